//! MySQL and MariaDB.
//!
//! They have no statement that claims a row and says what is in it, so two go in one round trip,
//! as text, and so does what goes with a rollback: what
//! was seen before it is kept in a variable of the session, which no rollback takes back. Their values are written as hexadecimal literals
//! of a said character set, or are numbers: whatever is in them, no SQL is. Nothing of a body is
//! among them, since a slow statement may be logged; a refusal is, which leaves the service anyway.
//! All else is prepared.

mod messages;
mod sagas;

use std::fmt::Write;
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, MySql, Row as _};

use super::{Both, Claim, Database, Left, Sealed, Stored, both, row};
use crate::guard::{Row, State};

impl Database for MySql {
    const GUARD_SQL: &'static str = include_str!("mysql/guard.sql");
    const OUTBOX_SQL: &'static str = include_str!("mysql/outbox.sql");
    const INBOX_SQL: &'static str = include_str!("mysql/inbox.sql");
    const SAGA_SQL: &'static str = include_str!("mysql/saga.sql");
}

/// What rolls a whole transaction back: a deadlock, and in MariaDB a row that has changed since
/// this transaction's snapshot.
const CONFLICTS: [u16; 2] = [1213, 1020];

/// `innodb_lock_wait_timeout`.
const WAITED: u16 = 1205;

impl Sealed for MySql {
    async fn set_up(connection: &mut MySqlConnection, sql: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    }

    async fn claim(connection: &mut MySqlConnection, claim: &Claim<'_>) -> sqlx::Result<Row> {
        let sql = claim_sql(claim, &[claim.direction], "'refused', 'nothing'");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        read(rows.first().ok_or(sqlx::Error::RowNotFound)?).map(|(_, row)| row)
    }

    async fn claim_both(connection: &mut MySqlConnection, claim: &Claim<'_>) -> sqlx::Result<Both> {
        let sql = claim_sql(claim, &["compensation", "action"], "'nothing'");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        both(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn answer(
        connection: &mut MySqlConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        let sql = "UPDATE amends_guard \
                   SET state = ?, reply = ?, round = ?, body_sha256 = ?, \
                   written_at = UTC_TIMESTAMP(6) \
                   WHERE saga_id = ? AND step = ? AND direction = ? \
                   AND state = 'claimed' AND reply = ?";
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
    async fn claim_anew(connection: &mut MySqlConnection, claim: &Claim<'_>) -> sqlx::Result<()> {
        let sql = "UPDATE amends_guard SET state = 'claimed', reply = ? \
                   WHERE saga_id = ? AND step = ? AND direction = ?";
        let claimed = sqlx::query(sql)
            .bind(claim.mark)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction);
        claimed.execute(connection).await.map(drop)
    }

    async fn answer_both(
        connection: &mut MySqlConnection,
        claim: &Claim<'_>,
        state: State,
        reply: &str,
    ) -> sqlx::Result<bool> {
        // From left to right: the first looks at the state as it was.
        let sql = "UPDATE amends_guard SET \
                   reply = CASE WHEN direction = 'compensation' THEN ? \
                                WHEN state = 'claimed' THEN NULL ELSE reply END, \
                   round = CASE direction WHEN 'action' THEN round ELSE ? END, \
                   body_sha256 = CASE direction WHEN 'action' THEN body_sha256 ELSE ? END, \
                   written_at = UTC_TIMESTAMP(6), \
                   state = CASE WHEN direction = 'compensation' THEN ? \
                                WHEN state IN ('claimed', 'refused') THEN 'tombstone' \
                                ELSE state END \
                   WHERE saga_id = ? AND step = ? AND ( \
                     direction = 'action' OR ? = 'nothing' \
                     OR (state = 'claimed' AND reply = ?))";
        let answer = sqlx::query(sql)
            .bind(reply)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(state.as_str())
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(state.as_str())
            .bind(claim.mark);
        Ok(answer.execute(connection).await?.rows_affected() == 2)
    }

    async fn refuse(
        connection: &mut MySqlConnection,
        claim: &Claim<'_>,
        reply: &str,
        is_first: bool,
    ) -> sqlx::Result<Stored> {
        let write = refusal_sql(claim, reply, is_first);
        let look = is_claimed_sql(claim);
        let sql = format!(
            "SET @amends_claimed = ({look}); ROLLBACK; BEGIN; {write}; \
             SELECT @amends_claimed, ROW_COUNT(); COMMIT"
        );
        let said = match sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await {
            Ok(said) => said,
            Err(sqlx::Error::Database(e)) if e.is_unique_violation() => return Ok(Stored::Another),
            Err(e) => return Err(e),
        };
        let said = said.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(match (said.try_get::<i64, _>(0)?, said.try_get::<i64, _>(1)?) {
            (0, _) => Stored::Ended,
            (_, 1) => Stored::Yes,
            _ => Stored::Another,
        })
    }

    async fn abandon(connection: &mut MySqlConnection, claim: &Claim<'_>) -> sqlx::Result<Left> {
        let look = is_claimed_sql(claim);
        let sql =
            format!("SET @amends_claimed = ({look}); ROLLBACK; SELECT @amends_claimed, ({look})");
        let said = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        let said = said.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Left::of(said.try_get::<i64, _>(0)? > 0, said.try_get::<i64, _>(1)? > 0))
    }

    #[cfg(feature = "mistakes")]
    async fn look(
        connection: &mut MySqlConnection,
        saga_id: &str,
        step: &str,
    ) -> sqlx::Result<Vec<(String, Row)>> {
        let sql = "SELECT direction, round, body_sha256, state, reply FROM amends_guard \
                   WHERE saga_id = ? AND step = ?";
        let rows = sqlx::query(sql).bind(saga_id).bind(step).fetch_all(connection).await?;
        rows.iter().map(read).collect()
    }

    async fn prune(
        connection: &mut MySqlConnection,
        age: Duration,
        steps_max: u16,
    ) -> sqlx::Result<u64> {
        // The age is asked for twice: again when a row that was locked has been let go.
        let sql = "DELETE g FROM amends_guard g JOIN ( \
                     SELECT old.saga_id, old.step FROM amends_guard old \
                     WHERE old.written_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND \
                     AND NOT EXISTS ( \
                       SELECT 1 FROM amends_guard young \
                       WHERE young.saga_id = old.saga_id AND young.step = old.step \
                       AND young.written_at >= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND) \
                     ORDER BY old.written_at LIMIT ?) gone \
                   ON g.saga_id = gone.saga_id AND g.step = gone.step \
                   WHERE g.written_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND";
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let pruned = sqlx::query(sql).bind(micros).bind(micros);
        let pruned = pruned.bind(i64::from(steps_max)).bind(micros);
        Ok(pruned.execute(connection).await?.rows_affected())
    }

    fn is_conflict(error: &dyn sqlx::error::DatabaseError) -> bool {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        error.is_some_and(|error| CONFLICTS.contains(&error.number()))
    }

    fn has_waited(error: &dyn sqlx::error::DatabaseError) -> bool {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        error.is_some_and(|error| error.number() == WAITED)
    }
}

/// Claims the rows of these directions, those in one of these states anew for a later round, and
/// reads them with the lock that the claim has taken.
fn claim_sql(claim: &Claim<'_>, directions: &[&str], runs_over: &str) -> String {
    let saga_id = text("ascii", claim.saga_id);
    let step = text("utf8mb4", claim.step);
    let sha256 = hex(claim.body_sha256);
    let mark = text("utf8mb4", claim.mark);
    let list = |entry: &dyn Fn(&str) -> String| {
        directions.iter().map(|direction| entry(direction)).collect::<Vec<_>>().join(", ")
    };
    let values = list(&|direction| {
        let direction = text("ascii", direction);
        let round = claim.round;
        format!(
            "({saga_id}, {step}, {direction}, {round}, {sha256}, 'claimed', {mark}, \
             UTC_TIMESTAMP(6))"
        )
    });
    let later =
        format!("amends_guard.state IN ({runs_over}) AND amends_guard.round < {}", claim.round);
    // From left to right: the first looks at the state as it was.
    let among = list(&|direction| text("ascii", direction));
    format!(
        "INSERT INTO amends_guard \
         (saga_id, step, direction, round, body_sha256, state, reply, written_at) VALUES {values} \
         ON DUPLICATE KEY UPDATE \
         reply = CASE WHEN {later} THEN {mark} ELSE amends_guard.reply END, \
         state = CASE WHEN {later} THEN 'claimed' ELSE amends_guard.state END; \
         SELECT direction, round, body_sha256, state, reply FROM amends_guard \
         WHERE saga_id = {saga_id} AND step = {step} AND direction IN ({among}) FOR UPDATE"
    )
}

/// Whether the row is there, with this claim in it.
fn is_claimed_sql(claim: &Claim<'_>) -> String {
    let (saga_id, step) = (text("ascii", claim.saga_id), text("utf8mb4", claim.step));
    let (direction, mark) = (claim.direction, claim.mark);
    format!(
        "SELECT COUNT(*) FROM amends_guard \
         WHERE saga_id = {saga_id} AND step = {step} AND direction = '{direction}' \
         AND state = 'claimed' AND reply = '{mark}'"
    )
}

/// Writes a refusal, if the claim was found.
fn refusal_sql(claim: &Claim<'_>, reply: &str, is_first: bool) -> String {
    let saga_id = text("ascii", claim.saga_id);
    let (step, reply) = (text("utf8mb4", claim.step), text("utf8mb4", reply));
    let (direction, round, sha256) = (claim.direction, claim.round, hex(claim.body_sha256));
    if is_first {
        return format!(
            "INSERT INTO amends_guard \
             (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
             SELECT {saga_id}, {step}, '{direction}', {round}, {sha256}, 'refused', {reply}, \
             UTC_TIMESTAMP(6) FROM DUAL WHERE @amends_claimed = 1"
        );
    }
    // The condition looks at the row as it was.
    format!(
        "UPDATE amends_guard SET body_sha256 = {sha256}, reply = {reply}, round = {round}, \
         written_at = UTC_TIMESTAMP(6) \
         WHERE saga_id = {saga_id} AND step = {step} AND direction = '{direction}' \
         AND state = 'refused' AND round < {round} AND @amends_claimed = 1"
    )
}

/// A literal of a text, whatever is in it.
fn text(charset: &str, text: &str) -> String {
    format!("_{charset} {}", hex(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let mut literal = String::with_capacity(2 * bytes.len() + 3);
    literal.push_str("x'");
    for byte in bytes {
        let _ = write!(literal, "{byte:02x}");
    }
    literal.push('\'');
    literal
}

fn read(found: &MySqlRow) -> sqlx::Result<(String, Row)> {
    let row = row(found.try_get(1)?, found.try_get(2)?, found.try_get(3)?, found.try_get(4)?)?;
    Ok((found.try_get(0)?, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_out_of_its_literal() {
        assert_eq!(text("utf8mb4", "'; --"), "_utf8mb4 x'273b202d2d'");
        assert_eq!(text("ascii", ""), "_ascii x''");
    }
}
