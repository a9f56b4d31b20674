//! Sagas without a coordinator in PostgreSQL.

use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::PgConnection;

use crate::database::sagas::{Kept, Row, Sagas};

impl Sagas for Postgres {
    async fn hold(
        connection: &mut PgConnection,
        row: Row<'_>,
        saga_type: &str,
    ) -> sqlx::Result<String> {
        let sql = "INSERT INTO amends_saga AS s \
                   (saga_id, service, saga_type, state, due_at, record, written_at) \
                   VALUES ($1, $2, $3, 'running', NULL, '', now()) \
                   ON CONFLICT (saga_id, service) DO UPDATE SET saga_id = s.saga_id RETURNING s.record";
        let hold = sqlx::query_scalar(sql).bind(row.saga_id).bind(row.service).bind(saga_type);
        hold.fetch_one(connection).await
    }

    async fn keep(connection: &mut PgConnection, kept: &Kept<'_>) -> sqlx::Result<()> {
        let sql = "UPDATE amends_saga SET state = $1, due_at = $2, record = $3, written_at = now() \
                   WHERE saga_id = $4 AND service = $5";
        let keep = sqlx::query(sql)
            .bind(kept.state)
            .bind(kept.due_at)
            .bind(kept.record)
            .bind(kept.row.saga_id)
            .bind(kept.row.service);
        keep.execute(connection).await.map(drop)
    }

    async fn due(
        connection: &mut PgConnection,
        service: &str,
        by: i64,
        later: i64,
        sagas_max: u16,
    ) -> sqlx::Result<Vec<(String, String)>> {
        let sql = "UPDATE amends_saga SET due_at = $2 WHERE service = $4 AND saga_id IN ( \
                     SELECT saga_id FROM amends_saga WHERE service = $4 AND due_at <= $1 \
                     ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
                   RETURNING saga_id, saga_type";
        let due = sqlx::query_as(sql).bind(by).bind(later).bind(i64::from(sagas_max)).bind(service);
        due.fetch_all(connection).await
    }

    async fn look_up(connection: &mut PgConnection, row: Row<'_>) -> sqlx::Result<Option<String>> {
        let sql = "SELECT record FROM amends_saga WHERE saga_id = $1 AND service = $2";
        let look = sqlx::query_scalar(sql).bind(row.saga_id).bind(row.service);
        look.fetch_optional(connection).await
    }

    async fn prune_sagas(
        connection: &mut PgConnection,
        age: Duration,
        rows_max: u16,
    ) -> sqlx::Result<u64> {
        let sql = "DELETE FROM amends_saga WHERE (saga_id, service) IN ( \
                     SELECT saga_id, service FROM amends_saga \
                     WHERE state IN ('completed', 'failed') AND due_at IS NULL \
                     AND written_at < now() - make_interval(secs => $1) LIMIT $2)";
        let pruned = sqlx::query(sql).bind(age.as_secs_f64()).bind(i64::from(rows_max));
        Ok(pruned.execute(connection).await?.rows_affected())
    }
}
