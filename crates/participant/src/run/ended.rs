//! A handler that has ended the guard's transaction: how that is seen, and what is left behind so
//! that nothing is done over it.
//!
//! Only the endings that are no value are looked at, since a value's own statement sees it.

use amends_wire::Direction;
use sqlx::Transaction;
use tokio::time::Instant;
use tracing::{debug, error};

use super::{Broken, Tried, is_in_the_way, roll_back};
use crate::answer::Answer;
use crate::command::Command;
use crate::database::{Claim, Database, Left, NotBegun, Stored};
use crate::participant::Participant;

/// Rolls back, and stores a refusal if the claim was there until then; says what is there by now
/// otherwise. On the connection of the command: to wait for another one while this is held would
/// be to wait for each other.
pub(super) async fn store_refusal<D: Database>(
    mut transaction: Transaction<'static, D>,
    claim: &Claim<'_>,
    reply: String,
    is_first: bool,
) -> Result<Tried, Broken> {
    match D::refuse(&mut transaction, claim, &reply, is_first).await? {
        Stored::Yes => Ok(Tried::Answered(Answer::Refused(reply))),
        // It is tried again from the start, and finds what came between.
        Stored::Another => Ok(Tried::Conflict("another answer came before the refusal".to_owned())),
        Stored::Ended => Err(Broken::Ended(format!("it refused: {reply}"))),
    }
}

/// Rolls back, of a handler that came to no answer. Where the claim was gone before, the handler
/// has rolled back, and what it did since then stands; where it is there after, the handler has
/// committed, for good. Where that cannot be seen, "not now" is said as of any failure, and the
/// next attempt sees what was committed.
pub(super) async fn rolled_back<D: Database>(
    mut transaction: Transaction<'static, D>,
    broken: Broken,
    claim: &Claim<'_>,
) -> Broken {
    // To lose a conflict may itself have rolled the transaction back.
    let Some(how) = broken.said_by_the_handler::<D>() else {
        roll_back(transaction).await;
        return broken;
    };
    match D::abandon(&mut transaction, claim).await {
        Ok(Left::Nothing) => broken,
        Ok(Left::Ended) => Broken::Ended(how),
        Ok(Left::Claimed) => Broken::Committed(how),
        Err(e) => {
            debug!("whether the transaction still stood could not be seen: {e}");
            broken
        }
    }
}

impl<D: Database> Participant<D> {
    /// Leaves the claim behind without its answer, in a transaction of its own: the try that made
    /// it is over, so its mark is nobody's, and nothing runs over it until a person has looked.
    pub(super) async fn leave_claimed(&self, command: &Command, claim: &Claim<'_>) {
        if let Err(why) = self.try_to_leave_claimed(command, claim).await {
            error!("that its outcome is unknown could not be stored, so it may run again: {why}");
        }
    }

    async fn try_to_leave_claimed(
        &self,
        command: &Command,
        claim: &Claim<'_>,
    ) -> Result<(), String> {
        let mut transaction = self.begin().await.map_err(|e| e.to_string())?;
        // Any other answer came in between, of a copy that ran well, and is kept.
        let claimed = match command.direction() {
            Direction::Action => D::claim(&mut transaction, claim).await.map(drop),
            // An action whose record is gone must not run over it either.
            Direction::Compensation => D::claim_both(&mut transaction, claim).await.map(drop),
        };
        claimed.map_err(|e| e.to_string())?;
        transaction.commit().await.map_err(|e| e.to_string())
    }

    /// A transaction, waited for as long as may be.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, D>, NotBegun> {
        D::begin(&self.0.pool, Instant::now() + self.0.connection_wait).await
    }
}

impl Broken {
    /// How the handler ended, if it is its own ending and proves nothing of its transaction.
    fn said_by_the_handler<D: Database>(&self) -> Option<String> {
        match self {
            Self::Handler(failed)
                if failed.database_error().is_some_and(|e| is_in_the_way::<D>(e)) =>
            {
                None
            }
            Self::Handler(failed) => Some(failed.to_string()),
            Self::Panicked(why) => Some(format!("it panicked: {why}")),
            Self::BadData(why) => Some(why.clone()),
            Self::Database(_)
            | Self::Beside(_)
            | Self::Refused(_)
            | Self::Ended(_)
            | Self::Committed(_) => None,
        }
    }
}
