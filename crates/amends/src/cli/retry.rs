//! `amends retry`: sends a waiting command now.

use clap::Args;

use super::act::Act;
use super::client::escaped;
use super::{Outcome, Session};

/// Send a waiting command of a step now: a dead letter, or one that pauses
#[derive(Args, Debug)]
pub struct Retry {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step, as get shows it (<step>.<i> for one run of many)
    step: String,
    #[command(flatten)]
    act: Act,
}

impl Retry {
    pub async fn run(self, session: &Session) -> Outcome {
        let fields = Vec::new();
        let path = format!("steps/{}/retry", escaped(&self.step));
        self.act.send(session, &self.saga, &path, fields).await
    }
}
