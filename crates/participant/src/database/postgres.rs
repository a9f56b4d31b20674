//! PostgreSQL.

mod messages;

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Pool, Postgres, Row as _, Transaction};

use super::{Both, Claim, Database, Sealed, both, row};
use crate::guard::{Row, State};

impl Database for Postgres {
    const GUARD_SQL: &'static str = include_str!("postgres/guard.sql");
    const OUTBOX_SQL: &'static str = include_str!("postgres/outbox.sql");
    const INBOX_SQL: &'static str = include_str!("postgres/inbox.sql");
}

impl Sealed for Postgres {
    async fn set_up(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    }

    async fn begin(pool: &Pool<Self>) -> sqlx::Result<Transaction<'static, Self>> {
        pool.begin().await
    }

    async fn claim(connection: &mut PgConnection, claim: &Claim<'_>) -> sqlx::Result<Row> {
        let sql = "INSERT INTO amends_guard AS g \
                   (saga_id, step, direction, round, body_sha256, state, reply, written_at) \
                   VALUES ($1, $2, $3, $4, $5, 'claimed', $6, \
                           now()) \
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET round = g.round \
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
                   ON CONFLICT (saga_id, step, direction) DO UPDATE SET round = g.round \
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
    ) -> sqlx::Result<bool> {
        let sql = if is_first {
            "INSERT INTO amends_guard \
             (round, body_sha256, reply, saga_id, step, direction, state, written_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'refused', now()) \
             ON CONFLICT (saga_id, step, direction) DO NOTHING"
        } else {
            "UPDATE amends_guard SET round = $1, body_sha256 = $2, reply = $3, written_at = now() \
             WHERE saga_id = $4 AND step = $5 AND direction = $6 \
             AND state = 'refused' AND round < $1"
        };
        let refusal = sqlx::query(sql)
            .bind(i32::from(claim.round))
            .bind(&claim.body_sha256[..])
            .bind(reply)
            .bind(claim.saga_id)
            .bind(claim.step)
            .bind(claim.direction);
        Ok(refusal.execute(connection).await?.rows_affected() == 1)
    }

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

    /// A conflict, or a constraint that was deferred to the commit.
    fn is_rolled_back(error: &dyn sqlx::error::DatabaseError) -> bool {
        Self::is_conflict(error) || error.code().is_some_and(|code| code.starts_with("23"))
    }
}

fn read(found: &PgRow) -> sqlx::Result<(String, Row)> {
    let row = row(found.try_get(1)?, found.try_get(2)?, found.try_get(3)?, found.try_get(4)?)?;
    Ok((found.try_get(0)?, row))
}
