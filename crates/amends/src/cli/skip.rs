//! `amends skip`: goes on without a step.

use clap::Args;

use super::act::{Act, field};
use super::client::escaped;
use super::input::Sure;
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
        self.sure.ask(&format!("go on without {} of saga {}", self.step, self.saga))?;
        let fields = vec![field("force", self.force)];
        let path = format!("steps/{}/skip", escaped(&self.step));
        self.act.send(session, &self.saga, &path, fields).await
    }
}
