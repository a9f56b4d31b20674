//! What is done in a command's transaction beside the command.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::answer::Answer;
use crate::command::Command;
use crate::database::Database;
use crate::ending::Failed;
use crate::tx::Tx;

/// What is done in a command's transaction, before it and after it. A try may be repeated, and is then
/// another transaction.
pub(crate) trait Beside<D: Database>: Send + Sync {
    /// Is the command still to be carried out? `false`: nothing is done, and all is rolled back.
    fn before<'a>(&'a self, _tx: &'a mut Tx<D>) -> BoxFuture<'a, sqlx::Result<bool>> {
        ready(Ok(true)).boxed()
    }

    /// Takes in a new answer, before it is committed.
    fn after<'a>(
        &'a self,
        tx: &'a mut Tx<D>,
        command: &'a Command,
        answer: &'a Answer,
    ) -> BoxFuture<'a, Result<(), Failed>>;
}

/// Nothing: the command came in an exchange, and is answered in it.
pub(super) struct Alone;

impl<D: Database> Beside<D> for Alone {
    fn after<'a>(
        &'a self,
        _tx: &'a mut Tx<D>,
        _command: &'a Command,
        _answer: &'a Answer,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        ready(Ok(())).boxed()
    }
}

/// The reply by name: the command came by message.
pub(super) struct Replying;

impl<D: Database> Beside<D> for Replying {
    fn after<'a>(
        &'a self,
        tx: &'a mut Tx<D>,
        command: &'a Command,
        answer: &'a Answer,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        tx.reply(command, answer).boxed()
    }
}
