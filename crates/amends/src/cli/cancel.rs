//! `amends cancel`: turns a saga, before the point of no return.

use clap::Args;

use super::act::Act;
use super::input::Sure;
use super::{Outcome, Session};

/// Turn a saga: what was done is undone, in reverse
#[derive(Args, Debug)]
pub struct Cancel {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    sure: Sure,
}

impl Cancel {
    pub async fn run(self, session: &Session) -> Outcome {
        self.sure.ask(&format!("cancel saga {} and undo what it did", self.saga))?;
        let fields = Vec::new();
        let path = "cancel".to_owned();
        self.act.send(session, &self.saga, &path, fields).await
    }
}
