//! Sagas without a coordinator in MySQL and MariaDB.

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, MySql, QueryBuilder};

use crate::database::sagas::{Kept, Row, Sagas};

impl Sagas for MySql {
    async fn hold(
        connection: &mut MySqlConnection,
        row: Row<'_>,
        saga_type: &str,
    ) -> sqlx::Result<String> {
        // It takes the row's lock also where it is there already.
        let sql = "INSERT INTO amends_saga \
                   (saga_id, service, saga_type, state, due_at, record, written_at) \
                   VALUES (?, ?, ?, 'running', NULL, '', UTC_TIMESTAMP(6)) \
                   ON DUPLICATE KEY UPDATE saga_id = saga_id";
        sqlx::query(sql)
            .bind(row.saga_id)
            .bind(row.service)
            .bind(saga_type)
            .execute(&mut *connection)
            .await?;
        let sql = "SELECT record FROM amends_saga WHERE saga_id = ? AND service = ? FOR UPDATE";
        sqlx::query_scalar(sql).bind(row.saga_id).bind(row.service).fetch_one(connection).await
    }

    async fn keep(connection: &mut MySqlConnection, kept: &Kept<'_>) -> sqlx::Result<()> {
        let sql = "UPDATE amends_saga SET state = ?, due_at = ?, record = ?, \
                   written_at = UTC_TIMESTAMP(6) WHERE saga_id = ? AND service = ?";
        let keep = sqlx::query(sql)
            .bind(kept.state)
            .bind(kept.due_at)
            .bind(kept.record)
            .bind(kept.row.saga_id)
            .bind(kept.row.service);
        keep.execute(connection).await.map(drop)
    }

    async fn due(
        connection: &mut MySqlConnection,
        service: &str,
        by: i64,
        later: i64,
        sagas_max: u16,
    ) -> sqlx::Result<Vec<(String, String)>> {
        let mut transaction = connection.begin().await?;
        let sql = "SELECT saga_id, saga_type FROM amends_saga WHERE service = ? AND due_at <= ? \
                   ORDER BY due_at LIMIT ? FOR UPDATE SKIP LOCKED";
        let due = sqlx::query_as(sql).bind(service).bind(by).bind(i64::from(sagas_max));
        let due: Vec<(String, String)> = due.fetch_all(&mut *transaction).await?;
        if !due.is_empty() {
            let mut put_off = QueryBuilder::new("UPDATE amends_saga SET due_at = ");
            put_off.push_bind(later).push(" WHERE service = ").push_bind(service);
            put_off.push(" AND saga_id IN (");
            let mut ids = put_off.separated(", ");
            due.iter().for_each(|(saga_id, _)| {
                ids.push_bind(saga_id);
            });
            put_off.push(")");
            put_off.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(due)
    }

    async fn look_up(
        connection: &mut MySqlConnection,
        row: Row<'_>,
    ) -> sqlx::Result<Option<String>> {
        let sql = "SELECT record FROM amends_saga WHERE saga_id = ? AND service = ?";
        let look = sqlx::query_scalar(sql).bind(row.saga_id).bind(row.service);
        look.fetch_optional(connection).await
    }

    async fn prune_sagas(
        connection: &mut MySqlConnection,
        age: Duration,
        rows_max: u16,
    ) -> sqlx::Result<u64> {
        let sql = "DELETE FROM amends_saga \
                   WHERE state IN ('completed', 'failed') AND due_at IS NULL \
                   AND written_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND LIMIT ?";
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let pruned = sqlx::query(sql).bind(micros).bind(i64::from(rows_max));
        Ok(pruned.execute(connection).await?.rows_affected())
    }
}
