//! `amends resume`: goes on with a held saga.

use clap::Args;

use super::act::Act;
use super::{Outcome, Session};

/// Go on with a paused saga
#[derive(Args, Debug)]
pub struct Resume {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    #[command(flatten)]
    act: Act,
}

impl Resume {
    pub async fn run(self, session: &Session) -> Outcome {
        let fields = Vec::new();
        let path = "resume".to_owned();
        self.act.send(session, &self.saga, &path, fields).await
    }
}
