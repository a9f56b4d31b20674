//! SQLite.
//!
//! One writer at a time: a transaction takes the whole database when it begins, and so never
//! finds out halfway that it cannot write. A claim has nothing to wait for then.

mod messages;
mod sagas;

use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Pool, Row as _, SqlSafeStr as _, Sqlite, Transaction};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{Both, Claim, Database, Left, NotBegun, Sealed, Stored, both, in_time, row};
use crate::guard::{Row, State};

impl Database for Sqlite {
    const GUARD_SQL: &'static str = include_str!("sqlite/guard.sql");
    const OUTBOX_SQL: &'static str = include_str!("sqlite/outbox.sql");
    const INBOX_SQL: &'static str = include_str!("sqlite/inbox.sql");
    const SAGA_SQL: &'static str = include_str!("sqlite/saga.sql");
}

impl Sealed for Sqlite {
    async fn set_up(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    }

    async fn begin(
        pool: &Pool<Self>,
        until: Instant,
    ) -> Result<Transaction<'static, Self>, NotBegun> {
        loop {
            let connection = in_time(until, pool.acquire()).await?;
            // A handler has ended the transaction of the command before, and sqlx, which was not
            // told so, begins no other on this one.
            if connection.is_in_transaction() {
                connection.close().await?;
                continue;
            }
            // Which waits for whoever writes, for as long as the connection's own time for that.
            let begun = Transaction::begin(connection, Some("BEGIN IMMEDIATE".into_sql_str()));
            return Ok(timeout_at(until, begun).await.map_err(|_| NotBegun::Held)??);
        }
    }

    async fn claim(connection: &mut SqliteConnection, claim: &Claim<'_>) -> sqlx::Result<Row> {
        let sql = "INSERT INTO amends_guard \
                   (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 'claimed', ?6, \
                           strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) \
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET \
                   reply = CASE WHEN state IN ('refused', 'nothing') AND round < ?4 \
                                THEN ?6 ELSE reply END, \
                   state = CASE WHEN state IN ('refused', 'nothing') AND round < ?4 \
                                THEN 'claimed' ELSE state END \
                   RETURNING direction, round, body_sha256, state, reply";
        let claimed = sqlx::query(sql)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(claim.mark);
        read(&claimed.fetch_one(connection).await?).map(|(_, row)| row)
    }

    async fn claim_both(
        connection: &mut SqliteConnection,
        claim: &Claim<'_>,
    ) -> sqlx::Result<Both> {
        let sql = "INSERT INTO amends_guard \
                   (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
                   VALUES \
                   (?1, ?2, 'compensation', ?3, ?4, 'claimed', ?5, \
                    strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), \
                   (?1, ?2, 'action', ?3, ?4, 'claimed', ?5, \
                    strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) \
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET \
                   reply = CASE WHEN state = 'nothing' AND round < ?3 THEN ?5 ELSE reply END, \
                   state = CASE WHEN state = 'nothing' AND round < ?3 THEN 'claimed' \
                                ELSE state END \
                   RETURNING direction, round, body_sha256, state, reply";
        let claimed = sqlx::query(sql)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(claim.mark);
        both(claimed.fetch_all(connection).await?.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn answer(
        connection: &mut SqliteConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        let sql = "UPDATE amends_guard SET state = ?1, reply = ?2, round = ?3, body_sha256 = ?4, \
                   written_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
                   WHERE saga_id = ?5 AND step = ?6 AND direction = ?7 \
                   AND state = 'claimed' AND reply = ?8";
        let answer = sqlx::query(sql)
            .bind(state.as_str())
            .bind(reply)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction)
            .bind(claim.mark);
        Ok(answer.execute(connection).await?.rows_affected() == 1)
    }

    #[cfg(feature = "mistakes")]
    async fn claim_anew(connection: &mut SqliteConnection, claim: &Claim<'_>) -> sqlx::Result<()> {
        let sql = "UPDATE amends_guard SET state = 'claimed', reply = ?1 \
                   WHERE saga_id = ?2 AND step = ?3 AND direction = ?4";
        let claimed = sqlx::query(sql)
            .bind(claim.mark)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction);
        claimed.execute(connection).await.map(drop)
    }

    async fn answer_both(
        connection: &mut SqliteConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        let sql = "UPDATE amends_guard SET \
                   reply = CASE WHEN direction = 'compensation' THEN ?1 \
                                WHEN state = 'claimed' THEN NULL ELSE reply END, \
                   round = CASE direction WHEN 'action' THEN round ELSE ?2 END, \
                   body_sha256 = CASE direction WHEN 'action' THEN body_sha256 ELSE ?3 END, \
                   written_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), \
                   state = CASE WHEN direction = 'compensation' THEN ?4 \
                                WHEN state IN ('claimed', 'refused') THEN 'tombstone' \
                                ELSE state END \
                   WHERE saga_id = ?5 AND step = ?6 AND ( \
                     direction = 'action' OR ?4 = 'nothing' \
                     OR (state = 'claimed' AND reply = ?7))";
        let answer = sqlx::query(sql)
            .bind(reply)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(state.as_str())
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.mark);
        Ok(answer.execute(connection).await?.rows_affected() == 2)
    }

    async fn refuse(
        connection: &mut SqliteConnection,
        claim: &Claim<'_>,
        reply: &str,
        is_first: bool,
    ) -> sqlx::Result<Stored> {
        let is_claimed = is_claimed(connection, claim).await?;
        roll_back(connection).await;
        if !is_claimed {
            return begin_again(connection).await.map(|()| Stored::Ended);
        }
        let sql = if is_first {
            "INSERT INTO amends_guard \
             (round, body_sha256, reply, saga_id, step, direction, state, written_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'refused', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) \
             ON CONFLICT (saga_id, step, direction) DO NOTHING"
        } else {
            "UPDATE amends_guard SET round = ?1, body_sha256 = ?2, reply = ?3, \
             written_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
             WHERE saga_id = ?4 AND step = ?5 AND direction = ?6 \
             AND state = 'refused' AND round < ?1"
        };
        let refusal = sqlx::query(sql)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(reply)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction);
        let rows = refusal.execute(&mut *connection).await?.rows_affected();
        let stored = if rows == 1 { Stored::Yes } else { Stored::Another };
        begin_again(connection).await.map(|()| stored)
    }

    async fn abandon(connection: &mut SqliteConnection, claim: &Claim<'_>) -> sqlx::Result<Left> {
        let before = is_claimed(connection, claim).await?;
        roll_back(connection).await;
        let after = is_claimed(connection, claim).await?;
        begin_again(connection).await.map(|()| Left::of(before, after))
    }

    #[cfg(feature = "mistakes")]
    async fn look(
        connection: &mut SqliteConnection,
        saga_id: &str,
        step: &str,
    ) -> sqlx::Result<Vec<(String, Row)>> {
        let sql = "SELECT direction, round, body_sha256, state, reply FROM amends_guard \
                   WHERE saga_id = ?1 AND step = ?2";
        let rows = sqlx::query(sql).bind(saga_id).bind(step).fetch_all(connection).await?;
        rows.iter().map(read).collect()
    }

    async fn prune(
        connection: &mut SqliteConnection,
        age: Duration,
        steps_max: u16,
    ) -> sqlx::Result<u64> {
        let sql = "DELETE FROM amends_guard WHERE (saga_id, step) IN ( \
                     SELECT old.saga_id, old.step FROM amends_guard old \
                     WHERE old.written_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) \
                     AND NOT EXISTS ( \
                       SELECT 1 FROM amends_guard young \
                       WHERE young.saga_id = old.saga_id AND young.step = old.step \
                       AND young.written_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)) \
                     ORDER BY old.written_at LIMIT ?2)";
        let back = format!("-{:.3} seconds", age.as_secs_f64());
        let pruned = sqlx::query(sql).bind(back).bind(i64::from(steps_max));
        Ok(pruned.execute(connection).await?.rows_affected())
    }

    /// There is none: whoever has begun to write is alone.
    fn is_conflict(_error: &dyn sqlx::error::DatabaseError) -> bool {
        false
    }

    /// `SQLITE_BUSY`: another has the file; and `SQLITE_LOCKED`: another has the table, where
    /// connections share what they know of it. Each with whatever is said more exactly.
    fn has_waited(error: &dyn sqlx::error::DatabaseError) -> bool {
        let code = error.code().and_then(|code| code.parse::<i32>().ok());
        code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
    }

    /// A constraint that was deferred to the commit, and readers that did not make room for it.
    fn is_rolled_back(error: &dyn sqlx::error::DatabaseError) -> bool {
        error.is_foreign_key_violation() || Self::has_waited(error)
    }
}

/// Is the row there, with this claim in it?
async fn is_claimed(connection: &mut SqliteConnection, claim: &Claim<'_>) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM amends_guard \
               WHERE saga_id = ?1 AND step = ?2 AND direction = ?3 \
               AND state = 'claimed' AND reply = ?4";
    let found = sqlx::query(sql)
        .bind(claim.saga_id)
        .bind(claim.step)
        .bind(claim.direction)
        .bind(claim.mark);
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// Rolls back, so that the next statement is one of its own. Where there is nothing to roll back
/// any more, a handler has ended the transaction, and it is one all the same.
async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(e) = sqlx::raw_sql("ROLLBACK").execute(connection).await {
        debug!("there was no transaction to roll back: {e}");
    }
}

/// Begins one, which nothing is done in: sqlx, which was not told that it had ended, ends it.
async fn begin_again(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN").execute(connection).await.map(drop)
}

fn read(found: &SqliteRow) -> sqlx::Result<(String, Row)> {
    let row = row(found.try_get(1)?, found.try_get(2)?, found.try_get(3)?, found.try_get(4)?)?;
    Ok((found.try_get(0)?, row))
}
