//! PostgreSQL.
//!
//! What goes with a rollback goes in its round trip, as text, since what is prepared goes alone. The
//! values in it are written as hexadecimal digits, or are numbers: whatever is in them, no SQL is.

mod messages;
mod sagas;

use std::fmt::Write;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _};

use super::{Both, Claim, Database, Left, Sealed, Stored, both, row};
use crate::guard::{Row, State};

impl Database for Postgres {
    const GUARD_SQL: &'static str = include_str!("postgres/guard.sql");
    const OUTBOX_SQL: &'static str = include_str!("postgres/outbox.sql");
    const INBOX_SQL: &'static str = include_str!("postgres/inbox.sql");
    const SAGA_SQL: &'static str = include_str!("postgres/saga.sql");
}

impl Sealed for Postgres {
    async fn set_up(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    }

    async fn claim(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<Row> {
        let sql = "INSERT INTO amends_guard AS g \
                   (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
                   VALUES ($1, $2, $3, $4, $5, 'claimed', $6, \
                           now()) \
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET \
                   reply = CASE WHEN g.state IN ('refused', 'nothing') AND g.round < $4 \
                                THEN $6 ELSE g.reply END, \
                   state = CASE WHEN g.state IN ('refused', 'nothing') AND g.round < $4 \
                                THEN 'claimed' ELSE g.state END \
                   RETURNING g.direction, g.round, g.body_sha256, g.state, g.reply";
        let claimed = sqlx::query(sql)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(claim.mark);
        read(&claimed.fetch_one(connection).await?).map(|(_, row)| row)
    }

    async fn claim_both(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<Both> {
        let sql = "INSERT INTO amends_guard AS g \
                   (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
                   VALUES ($1, $2, 'compensation', $3, $4, 'claimed', $5, now()), \
                          ($1, $2, 'action', $3, $4, 'claimed', $5, now()) \
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET \
                   reply = CASE WHEN g.state = 'nothing' AND g.round < $3 \
                                THEN $5 ELSE g.reply END, \
                   state = CASE WHEN g.state = 'nothing' AND g.round < $3 \
                                THEN 'claimed' ELSE g.state END \
                   RETURNING g.direction, g.round, g.body_sha256, g.state, g.reply";
        let claimed = sqlx::query(sql)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(claim.mark);
        both(claimed.fetch_all(connection).await?.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn answer(
        connection: &mut PgConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        let sql = "UPDATE amends_guard \
                   SET state = $1, reply = $2, round = $3, body_sha256 = $4, written_at = now() \
                   WHERE saga_id = $5 AND step = $6 AND direction = $7 \
                   AND state = 'claimed' AND reply = $8";
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
    async fn claim_anew(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<()> {
        let sql = "UPDATE amends_guard SET state = 'claimed', reply = $1 \
                   WHERE saga_id = $2 AND step = $3 AND direction = $4";
        let claimed = sqlx::query(sql)
            .bind(claim.mark)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction);
        claimed.execute(connection).await.map(drop)
    }

    async fn answer_both(
        connection: &mut PgConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        let sql = "UPDATE amends_guard SET \
                   reply = CASE WHEN direction = 'compensation' THEN $1 \
                                WHEN state = 'claimed' THEN NULL ELSE reply END, \
                   round = CASE direction WHEN 'action' THEN round ELSE $2 END, \
                   body_sha256 = CASE direction WHEN 'action' THEN body_sha256 ELSE $3 END, \
                   written_at = now(), \
                   state = CASE WHEN direction = 'compensation' THEN $4 \
                                WHEN state IN ('claimed', 'refused') THEN 'tombstone' \
                                ELSE state END \
                   WHERE saga_id = $5 AND step = $6 AND ( \
                     direction = 'action' OR $4 = 'nothing' \
                     OR (state = 'claimed' AND reply = $7))";
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
        connection: &mut PgConnection,
        claim: &Claim<'_>,
        reply: &str,
        is_first: bool,
    ) -> sqlx::Result<Stored> {
        if !is_claimed(connection, claim).await? {
            return Ok(Stored::Ended);
        }
        let write = refusal_sql(claim, reply, is_first);
        let sql = format!("ROLLBACK; BEGIN; {write}; COMMIT; BEGIN");
        let refusal = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(if refusal.rows_affected() == 1 { Stored::Yes } else { Stored::Another })
    }

    async fn abandon(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<Left> {
        let before = is_claimed(connection, claim).await?;
        let sql = format!("ROLLBACK; {}; BEGIN", is_claimed_sql(claim));
        let after = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        Ok(Left::of(before, !after.is_empty()))
    }

    #[cfg(feature = "mistakes")]
    async fn look(
        connection: &mut PgConnection,
        saga_id: &str,
        step: &str,
    ) -> sqlx::Result<Vec<(String, Row)>> {
        let sql = "SELECT direction, round, body_sha256, state, reply FROM amends_guard \
                   WHERE saga_id = $1 AND step = $2";
        let rows = sqlx::query(sql).bind(saga_id).bind(step).fetch_all(connection).await?;
        rows.iter().map(read).collect()
    }

    async fn prune(
        connection: &mut PgConnection,
        age: Duration,
        steps_max: u16,
    ) -> sqlx::Result<u64> {
        // The age is asked for twice: again when a row that was locked has been let go.
        let sql = "DELETE FROM amends_guard WHERE (saga_id, step) IN ( \
                     SELECT old.saga_id, old.step FROM amends_guard old \
                     WHERE old.written_at < now() - make_interval(secs => $1) \
                     AND NOT EXISTS ( \
                       SELECT 1 FROM amends_guard young \
                       WHERE young.saga_id = old.saga_id AND young.step = old.step \
                       AND young.written_at >= now() - make_interval(secs => $1)) \
                     ORDER BY old.written_at LIMIT $2) \
                   AND written_at < now() - make_interval(secs => $1)";
        let pruned = sqlx::query(sql).bind(age.as_secs_f64()).bind(i64::from(steps_max));
        Ok(pruned.execute(connection).await?.rows_affected())
    }

    /// A failed serialization, and a deadlock.
    fn is_conflict(error: &dyn sqlx::error::DatabaseError) -> bool {
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// `lock_timeout`.
    fn has_waited(error: &dyn sqlx::error::DatabaseError) -> bool {
        error.code().as_deref() == Some("55P03")
    }

    /// Everything is refused then but to roll back.
    fn is_aborted(error: &dyn sqlx::error::DatabaseError) -> bool {
        error.code().as_deref() == Some("25P02")
    }

    /// A conflict, a wait in vain, or a constraint, of what was deferred to the commit.
    fn is_rolled_back(error: &dyn sqlx::error::DatabaseError) -> bool {
        let in_the_way = Self::is_conflict(error) || Self::has_waited(error);
        in_the_way || error.code().is_some_and(|code| code.starts_with("23"))
    }
}

/// Is the row there, with this claim in it?
async fn is_claimed(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM amends_guard \
               WHERE saga_id = $1 AND step = $2 AND direction = $3 \
               AND state = 'claimed' AND reply = $4";
    let found = sqlx::query(sql)
        .bind(claim.saga_id)
        .bind(claim.step)
        .bind(claim.direction)
        .bind(claim.mark);
    match found.fetch_optional(connection).await {
        Ok(found) => Ok(found.is_some()),
        // A transaction that has failed answers nothing any more, and is there.
        Err(sqlx::Error::Database(e)) if Postgres::is_aborted(&*e) => Ok(true),
        Err(e) => Err(e),
    }
}

/// The same as text.
fn is_claimed_sql(claim: &Claim<'_>) -> String {
    let (saga_id, step) = (text(claim.saga_id), text(claim.step));
    let (direction, mark) = (claim.direction, claim.mark);
    format!(
        "SELECT 1 FROM amends_guard \
         WHERE saga_id = {saga_id} AND step = {step} AND direction = '{direction}' \
         AND state = 'claimed' AND reply = '{mark}'"
    )
}

/// Writes a refusal, as text: with the rollback before it, it is one round trip.
fn refusal_sql(claim: &Claim<'_>, reply: &str, is_first: bool) -> String {
    let (saga_id, step, reply) = (text(claim.saga_id), text(claim.step), text(reply));
    let (direction, round, sha256) = (claim.direction, claim.round, hex(claim.body_sha256));
    let sha256 = format!("decode({sha256}, 'hex')");
    if is_first {
        return format!(
            "INSERT INTO amends_guard \
             (saga_id, step, direction, round, body_sha256, state, reply, written_at) VALUES \
             ({saga_id}, {step}, '{direction}', {round}, {sha256}, 'refused', {reply}, now()) \
             ON CONFLICT (saga_id, step, direction) DO NOTHING"
        );
    }
    format!(
        "UPDATE amends_guard SET round = {round}, body_sha256 = {sha256}, reply = {reply}, \
         written_at = now() \
         WHERE saga_id = {saga_id} AND step = {step} AND direction = '{direction}' \
         AND state = 'refused' AND round < {round}"
    )
}

/// A literal of a text, whatever is in it.
fn text(text: &str) -> String {
    format!("convert_from(decode({}, 'hex'), 'UTF8')", hex(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let mut literal = String::with_capacity(2 * bytes.len() + 2);
    literal.push('\'');
    for byte in bytes {
        let _ = write!(literal, "{byte:02x}");
    }
    literal.push('\'');
    literal
}

fn read(found: &PgRow) -> sqlx::Result<(String, Row)> {
    let row = row(found.try_get(1)?, found.try_get(2)?, found.try_get(3)?, found.try_get(4)?)?;
    Ok((found.try_get(0)?, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_out_of_its_literal() {
        assert_eq!(text("'; --\\"), "convert_from(decode('273b202d2d5c', 'hex'), 'UTF8')");
        assert_eq!(text(""), "convert_from(decode('', 'hex'), 'UTF8')");
    }
}
