//! `amends acknowledge`: dismisses a contradiction.

use clap::Args;

use super::act::{Act, field};
use super::{Outcome, Session};

/// Dismiss a contradiction that you have seen
#[derive(Args, Debug)]
pub struct Acknowledge {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step, as get shows it (<step>.<i> for one run of many)
    step: String,
    #[command(flatten)]
    act: Act,
}

impl Acknowledge {
    pub async fn run(self, session: &Session) -> Outcome {
        let fields = vec![field("step", &self.step)];
        let path = "acknowledge".to_owned();
        self.act.send(session, &self.saga, &path, fields).await
    }
}
