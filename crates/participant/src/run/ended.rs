//! A handler that has ended the guard's transaction: how that is seen, and what is left behind so
//! that nothing is done over it.
//!
//! Only the endings that are no value are looked at, since a value's own statement sees it.

use amends_wire::Direction;
use sqlx::Transaction;
use tracing::{debug, error};

use super::{Broken, NO_CONNECTION, is_conflict};
use crate::command::Command;
use crate::database::{Claim, Database};
use crate::guard::{Asked, State};
use crate::participant::Participant;
use crate::tx::Tx;

impl<D: Database> Participant<D> {
    /// Of a handler that came to no value, before the rollback: does the transaction still hold
    /// the claim? Where it does not, the handler has rolled back, and what it did since then
    /// stands.
    pub(super) async fn unless_ended(
        &self,
        tx: &mut Tx<D>,
        asked: Asked<'_>,
        claim: &Claim<'_>,
        broken: Broken,
    ) -> Broken {
        // To lose a conflict may itself have rolled the transaction back.
        let Some(how) = broken.said_by_the_handler::<D>() else { return broken };
        match D::look(tx, claim.saga_id, claim.step).await {
            Ok(rows)
                if rows.iter().any(|(of, row)| of == claim.direction && asked.has_made(row)) =>
            {
                broken
            }
            Ok(_) => Broken::Ended(how),
            // A transaction that has failed answers nothing any more, and is there.
            Err(e) => {
                debug!("whether the transaction still stands could not be seen: {e}");
                broken
            }
        }
    }

    /// The same after the rollback. A handler may have committed before it failed: its claim is
    /// there then, for good. Where that cannot be seen, "not now" is said as of any failure, and
    /// the next attempt sees.
    pub(super) async fn looked_at(
        &self,
        broken: Broken,
        asked: Asked<'_>,
        claim: &Claim<'_>,
    ) -> Broken {
        let Some(how) = broken.said_by_the_handler::<D>() else { return broken };
        let Ok(mut connection) = self.connection().await else { return broken };
        match D::look(&mut connection, claim.saga_id, claim.step).await {
            Ok(rows) if rows.iter().any(|(_, row)| asked.has_made(row)) => Broken::Committed(how),
            Ok(_) => broken,
            Err(e) => {
                debug!("whether the handler committed by itself could not be seen: {e}");
                broken
            }
        }
    }

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
        let mut transaction = self.begin().await?;
        let own = match command.direction() {
            Direction::Action => D::claim(&mut transaction, claim).await,
            // An action whose record is gone must not run over it either.
            Direction::Compensation => {
                D::claim_both(&mut transaction, claim).await.map(|both| both.own)
            }
        };
        let own = own.map_err(|e| e.to_string())?;
        // Any other answer came in between, of a copy that ran well, and is kept.
        if matches!(own.state, State::Refused | State::Nothing) && own.round < claim.round {
            D::claim_anew(&mut transaction, claim).await.map_err(|e| e.to_string())?;
        }
        transaction.commit().await.map_err(|e| e.to_string())
    }

    /// A transaction, waited for as long as may be.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, D>, String> {
        match tokio::time::timeout(self.0.connection_wait, D::begin(&self.0.pool)).await {
            Ok(begun) => begun.map_err(|e| e.to_string()),
            Err(_) => Err(NO_CONNECTION.to_owned()),
        }
    }
}

impl Broken {
    /// How the handler ended, if it is its own ending and proves nothing of its transaction.
    fn said_by_the_handler<D: Database>(&self) -> Option<String> {
        match self {
            Self::Handler(failed) if is_conflict::<D>(failed) => None,
            Self::Handler(failed) => Some(failed.to_string()),
            Self::Panicked => Some("it panicked".to_owned()),
            Self::Refused(reply) => Some(format!("it refused: {reply}")),
            Self::BadData(why) => Some(why.clone()),
            Self::Database(_) | Self::Ended(_) | Self::Committed(_) => None,
        }
    }
}
