//! The outbox and the inbox in PostgreSQL.

use std::time::Duration;

use amends_transport::Message;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Pool, Postgres, Row as _, Transaction};

use crate::database::messages::{Messages, Row, Unreadable, attributes, body, message};

impl Messages for Postgres {
    const HOLDS_ROWS: bool = true;

    async fn put(connection: &mut PgConnection, message: &Message) -> sqlx::Result<()> {
        let sql = "INSERT INTO amends_outbox \
                   (message_id, saga_id, kind, name, attributes, body, written_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, now())";
        let put = sqlx::query(sql)
            .bind(&message.id)
            .bind(&message.saga_id)
            .bind(message.kind.as_str())
            .bind(&message.name)
            .bind(attributes(message))
            .bind(body(message));
        put.execute(connection).await.map(drop)
    }

    async fn begin_relay(pool: &Pool<Self>) -> sqlx::Result<Transaction<'static, Self>> {
        // The default of the server may be a stricter one.
        pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    async fn first(
        connection: &mut PgConnection,
        after: i64,
        messages_max: u16,
    ) -> sqlx::Result<Vec<(i64, Row)>> {
        let sql = "SELECT id, message_id, saga_id, kind, name, attributes, body \
                   FROM amends_outbox WHERE id > $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
        let first = sqlx::query(sql).bind(after).bind(i64::from(messages_max));
        first.fetch_all(connection).await?.iter().map(read).collect()
    }

    async fn heads(connection: &mut PgConnection, last: i64) -> sqlx::Result<Vec<i64>> {
        let sql = "SELECT head.id FROM amends_outbox head WHERE head.id <= $1 \
                   AND NOT EXISTS (SELECT 1 FROM amends_outbox earlier \
                                   WHERE earlier.saga_id = head.saga_id AND earlier.id < head.id)";
        sqlx::query_scalar(sql).bind(last).fetch_all(connection).await
    }

    async fn remove(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
        let sql = "DELETE FROM amends_outbox WHERE id = $1";
        sqlx::query(sql).bind(id).execute(connection).await.map(drop)
    }

    async fn note(connection: &mut PgConnection, source: &str, id: &str) -> sqlx::Result<bool> {
        let sql = "INSERT INTO amends_inbox (source, id, written_at) VALUES ($1, $2, now()) \
                   ON CONFLICT (source, id) DO NOTHING";
        let noted = sqlx::query(sql).bind(source).bind(id).execute(connection).await?;
        Ok(noted.rows_affected() == 1)
    }

    async fn is_noted(connection: &mut PgConnection, source: &str, id: &str) -> sqlx::Result<bool> {
        let sql = "SELECT 1 FROM amends_inbox WHERE source = $1 AND id = $2";
        let row = sqlx::query(sql).bind(source).bind(id).fetch_optional(connection).await?;
        Ok(row.is_some())
    }

    async fn forget(
        connection: &mut PgConnection,
        age: Duration,
        rows_max: u16,
    ) -> sqlx::Result<u64> {
        let sql = "DELETE FROM amends_inbox WHERE (source, id) IN ( \
                     SELECT source, id FROM amends_inbox \
                     WHERE written_at < now() - make_interval(secs => $1) LIMIT $2)";
        let forgotten = sqlx::query(sql).bind(age.as_secs_f64()).bind(i64::from(rows_max));
        Ok(forgotten.execute(connection).await?.rows_affected())
    }
}

fn read(found: &PgRow) -> sqlx::Result<(i64, Row)> {
    let message = read_message(found).map_err(|e| Unreadable::new(found.try_get(2), &e));
    Ok((found.try_get(0)?, message))
}

fn read_message(found: &PgRow) -> sqlx::Result<Message> {
    let kind: String = found.try_get(3)?;
    let attributes: String = found.try_get(5)?;
    let (message_id, saga_id) = (found.try_get(1)?, found.try_get(2)?);
    let (name, body) = (found.try_get(4)?, found.try_get(6)?);
    message(message_id, saga_id, &kind, name, &attributes, body)
}
