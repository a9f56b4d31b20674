//! `amends cancel`: turns a saga, before the point of no return.

use clap::Args;

use super::act::{self, Act};
use super::input::Sure;
use super::saga_view::SagaView;
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
        let question = |_: &SagaView| "cancel it, and undo what it did".to_owned();
        let saga = act::sure(session, &self.saga, &self.sure, question).await?;
        let fields = Vec::new();
        let path = "cancel".to_owned();
        self.act.send(session, &saga, &path, fields).await
    }
}
