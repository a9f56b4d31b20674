//! The databases: all SQL of the kit, a room each, and nothing but SQL.
//!
//! `docs/guard.md` says what the tables hold; what is done about a row is decided in
//! [`crate::guard`].

mod messages;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod sagas;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::future::Future;
use std::time::Duration;

use sqlx::{Pool, Transaction};
use tokio::time::{Instant, timeout_at};

use crate::guard::{Row, State};
pub(crate) use messages::{Messages, Row as OutboxRow};
pub(crate) use sagas::Sagas;
#[cfg(feature = "choreography")]
pub(crate) use sagas::{Kept, Row as SagaRow};

/// A database that the kit keeps its tables in: PostgreSQL, MySQL and MariaDB, SQLite.
pub trait Database: sqlx::Database + Sealed + Messages + Sagas {
    /// Makes `amends_guard`, for those who run their migrations themselves.
    const GUARD_SQL: &'static str;
    /// Makes `amends_outbox`.
    const OUTBOX_SQL: &'static str;
    /// Makes `amends_inbox`.
    const INBOX_SQL: &'static str;
    /// Makes `amends_saga`, which only sagas without a coordinator need.
    const SAGA_SQL: &'static str;
}

/// Only the kit's own rooms speak its SQL.
pub trait Sealed: sqlx::Database {
    /// Runs statements that look for a table, or make it.
    fn set_up(
        connection: &mut Self::Connection,
        sql: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Begins the transaction of a command, until this moment at most.
    fn begin(
        pool: &Pool<Self>,
        until: Instant,
    ) -> impl Future<Output = Result<Transaction<'static, Self>, NotBegun>> + Send {
        async move { in_time(until, pool.begin()).await }
    }

    /// Claims one row of the guard, waiting for whoever holds it: made if it is not there. One over
    /// which a later round runs is claimed as one that is made, so that what is committed under it,
    /// or rolled back, by mistake is seen; it keeps its round, which tells that it was there.
    fn claim(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
    ) -> impl Future<Output = sqlx::Result<Row>> + Send;

    /// Claims both rows of a step for its compensation: its own, and the action's. The same.
    fn claim_both(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
    ) -> impl Future<Output = sqlx::Result<Both>> + Send;

    /// Claims a row over which nothing runs that is right.
    #[cfg(feature = "mistakes")]
    fn claim_anew(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Writes what became of a claimed action: `false` if the claim is not there any more.
    fn answer(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Writes what became of a compensation that has claimed both rows, and the tombstone: `false`
    /// if it ran, and the claim is not there any more. Both rows are as young as each other from then on, so
    /// that nothing prunes one of them alone.
    fn answer_both(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Rolls the transaction back and stores a refusal in one of its own, where there is no row, or
    /// the refusal of an earlier round; unless the claim is gone by then. Beyond the rollback one
    /// round trip. What it leaves behind is a transaction that has done nothing.
    fn refuse(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
        reply: &str,
        is_first: bool,
    ) -> impl Future<Output = sqlx::Result<Stored>> + Send;

    /// Rolls the transaction back, and says what became of the claim. As of `refuse`.
    fn abandon(
        connection: &mut Self::Connection,
        claim: &Claim<'_>,
    ) -> impl Future<Output = sqlx::Result<Left>> + Send;

    /// The rows of a step as they are, without a claim.
    #[cfg(feature = "mistakes")]
    fn look(
        connection: &mut Self::Connection,
        saga_id: &str,
        step: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<(String, Row)>>> + Send;

    /// Deletes the rows of at most `steps_max` steps of which nothing was written for `age`; how
    /// many rows went.
    fn prune(
        connection: &mut Self::Connection,
        age: Duration,
        steps_max: u16,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Is this error of a statement, or of a commit, one that has rolled back a transaction for
    /// the sake of another, so that the same may be tried again?
    fn is_conflict(error: &dyn sqlx::error::DatabaseError) -> bool;

    /// Does this error say that another transaction was waited for as long as may be? Who has waited
    /// so long does not begin again at once.
    fn has_waited(error: &dyn sqlx::error::DatabaseError) -> bool;

    /// Does this error say that the transaction is of no use any more, since one of its statements
    /// has failed before?
    fn is_aborted(_error: &dyn sqlx::error::DatabaseError) -> bool {
        false
    }

    /// Does this error of a commit prove that nothing was committed?
    fn is_rolled_back(error: &dyn sqlx::error::DatabaseError) -> bool {
        Self::is_conflict(error)
    }
}

/// Why no transaction was begun.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// All were in use.
    #[error("no connection became free in time")]
    NoConnection,
    /// There is a connection, and another transaction has the whole database.
    #[error("another transaction has the database")]
    Held,
    /// The database's.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What comes until then, or that nothing became free.
async fn in_time<T>(
    until: Instant,
    begun: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, NotBegun> {
    Ok(timeout_at(until, begun).await.map_err(|_| NotBegun::NoConnection)??)
}

/// Whose row is claimed or written.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The saga.
    pub saga_id: &'a str,
    /// The step.
    pub step: &'a str,
    /// `action` or `compensation`.
    pub direction: &'static str,
    /// The command's round.
    pub round: u16,
    /// Of its body.
    pub body_sha256: &'a [u8; 32],
    /// Of this claim alone: a row that it makes holds it until it is answered, and so is told from
    /// one that was left behind.
    pub mark: &'a str,
}

/// What became of a refusal that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Yes,
    /// By now there is another answer.
    Another,
    /// The claim was gone before the rollback; nothing was stored.
    Ended,
}

/// What was found of a claim when its transaction was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is gone with all else.
    Nothing,
    /// It was gone before: the transaction had been rolled back.
    Ended,
    /// It is still there: the transaction had been committed.
    Claimed,
}

impl Left {
    /// By whether the claim was there before the rollback, and is there after it.
    const fn of(before: bool, after: bool) -> Self {
        match (before, after) {
            (_, true) => Self::Claimed,
            (false, false) => Self::Ended,
            (true, false) => Self::Nothing,
        }
    }
}

/// The two rows of a step.
#[derive(Clone, Debug)]
pub struct Both {
    /// The compensation's.
    pub own: Row,
    /// The action's.
    pub action: Row,
}

/// Makes a table if it is not there. It is looked for first: to make an index "if it does not
/// exist" waits for all who write to the table, and has all others wait. Two services that start
/// at once may both find it missing, and one of them is told then that it is there already.
pub(crate) async fn create<D: Database>(
    pool: &Pool<D>,
    look: &'static str,
    sql: &'static str,
) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    match D::set_up(&mut connection, look).await {
        Err(sqlx::Error::Database(_)) => {}
        found => return found,
    }
    match D::set_up(&mut connection, sql).await {
        Err(sqlx::Error::Database(_)) => D::set_up(&mut connection, sql).await,
        made => made,
    }
}

/// What a row of the table reads as.
fn row(
    round: i32,
    body_sha256: &[u8],
    state: &str,
    reply: Option<String>,
) -> Result<Row, sqlx::Error> {
    let foreign = |what: &str| {
        let why = format!("amends_guard holds {what}, which this version did not write");
        sqlx::Error::Decode(why.into())
    };
    Ok(Row {
        round: round.try_into().map_err(|_| foreign("a round that is none"))?,
        body_sha256: body_sha256.try_into().map_err(|_| foreign("no SHA-256"))?,
        state: State::named(state).ok_or_else(|| foreign("a state that is none"))?,
        reply,
    })
}

/// The two rows of a claim, told by their direction.
fn both(rows: Vec<(String, Row)>) -> sqlx::Result<Both> {
    let (mut own, mut action) = (None, None);
    for (direction, row) in rows {
        *(if direction == "action" { &mut action } else { &mut own }) = Some(row);
    }
    own.zip(action).map(|(own, action)| Both { own, action }).ok_or(sqlx::Error::RowNotFound)
}
