//! `amends edit`: gives a command another body.

use clap::Args;
use serde_json::value::RawValue;

use super::act::{self, Act, field};
use super::client::{self, escaped};
use super::input;
use super::input::Sure;
use super::saga_view::SagaView;
use super::{Outcome, Session};

/// Give a command another body, in a new round with its own key
#[derive(Args, Debug)]
pub struct Edit {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step, as get shows it (<step>.<i> for one run of many)
    step: String,
    /// What the command carries from then on: JSON text, @file, or - for stdin
    #[arg(short, long, value_name = "JSON")]
    body: String,
    /// Also while an attempt is in flight and may be answered any moment
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    sure: Sure,
}

impl Edit {
    pub async fn run(self, session: &Session) -> Outcome {
        let body: Box<RawValue> = client::read(&input::json("--body", &self.body)?)?;
        let question =
            |saga: &SagaView| format!("send {} with another body", saga.part(&self.step));
        let saga = act::sure(session, &self.saga, &self.sure, question).await?;
        let fields = vec![("body", body), field("force", self.force)];
        let path = format!("steps/{}/edit", escaped(&self.step));
        self.act.send(session, &saga, &path, fields).await
    }
}
