//! `amends pause`: holds a saga.

use clap::Args;

use super::act::Act;
use super::{Outcome, Session};

/// Send nothing more for a saga, until it is resumed
#[derive(Args, Debug)]
pub struct Pause {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    #[command(flatten)]
    act: Act,
}

impl Pause {
    pub async fn run(self, session: &Session) -> Outcome {
        let fields = Vec::new();
        let path = "pause".to_owned();
        self.act.send(session, &self.saga, &path, fields).await
    }
}
