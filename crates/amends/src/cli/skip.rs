//! `amends skip`: goes on without a step.

use clap::Args;

use super::act::{self, Act, field};
use super::client::escaped;
use super::input::Sure;
use super::saga_view::SagaView;
use super::{Outcome, Session};

/// Go on without an undo, or without a retriable step
#[derive(Args, Debug)]
pub struct Skip {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step, as get shows it (<step>.<i> for one run of many)
    step: String,
    /// Also while an attempt is in flight and may be answered any moment
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    sure: Sure,
}

impl Skip {
    pub async fn run(self, session: &Session) -> Outcome {
        let question = |saga: &SagaView| format!("go on without {}", saga.part(&self.step));
        let saga = act::sure(session, &self.saga, &self.sure, question).await?;
        let fields = vec![field("force", self.force)];
        let path = format!("steps/{}/skip", escaped(&self.step));
        self.act.send(session, &saga, &path, fields).await
    }
}
