//! The outbox and the inbox in MySQL and MariaDB.

use std::time::Duration;

use amends_transport::Message;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{MySql, Pool, Row as _, Transaction};

use crate::database::messages::{Messages, Row, Unreadable, attributes, body, message};

impl Messages for MySql {
    const HOLDS_ROWS: bool = true;

    async fn put(connection: &mut MySqlConnection, message: &Message) -> sqlx::Result<()> {
        let sql = "INSERT INTO amends_outbox \
                   (message_id, saga_id, kind, name, attributes, body, written_at) \
                   VALUES (?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))";
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
        let mut connection = pool.acquire().await?;
        // Of the next transaction only.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .execute(&mut *connection)
            .await?;
        Transaction::begin(connection, None).await
    }

    async fn first(
        connection: &mut MySqlConnection,
        after: i64,
        messages_max: u16,
    ) -> sqlx::Result<Vec<(i64, Row)>> {
        let sql = "SELECT id, message_id, saga_id, kind, name, attributes, body \
                   FROM amends_outbox WHERE id > ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED";
        let first = sqlx::query(sql).bind(after).bind(i64::from(messages_max));
        first.fetch_all(connection).await?.iter().map(read).collect()
    }

    async fn heads(connection: &mut MySqlConnection, last: i64) -> sqlx::Result<Vec<i64>> {
        let sql = "SELECT head.id FROM amends_outbox head WHERE head.id <= ? \
                   AND NOT EXISTS (SELECT 1 FROM amends_outbox earlier \
                                   WHERE earlier.saga_id = head.saga_id AND earlier.id < head.id)";
        sqlx::query_scalar(sql).bind(last).fetch_all(connection).await
    }

    async fn remove(connection: &mut MySqlConnection, id: i64) -> sqlx::Result<()> {
        let sql = "DELETE FROM amends_outbox WHERE id = ?";
        sqlx::query(sql).bind(id).execute(connection).await.map(drop)
    }

    async fn note(connection: &mut MySqlConnection, source: &str, id: &str) -> sqlx::Result<bool> {
        let sql = "INSERT IGNORE INTO amends_inbox (source, id, written_at) \
                   VALUES (?, ?, UTC_TIMESTAMP(6))";
        let noted = sqlx::query(sql).bind(source).bind(id).execute(connection).await?;
        Ok(noted.rows_affected() == 1)
    }

    async fn is_noted(
        connection: &mut MySqlConnection,
        source: &str,
        id: &str,
    ) -> sqlx::Result<bool> {
        // Not as it was when the transaction began.
        let sql = "SELECT 1 FROM amends_inbox WHERE source = ? AND id = ? LOCK IN SHARE MODE";
        let row = sqlx::query(sql).bind(source).bind(id).fetch_optional(connection).await?;
        Ok(row.is_some())
    }

    async fn forget(
        connection: &mut MySqlConnection,
        age: Duration,
        rows_max: u16,
    ) -> sqlx::Result<u64> {
        let sql = "DELETE FROM amends_inbox \
                   WHERE written_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND LIMIT ?";
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let forgotten = sqlx::query(sql).bind(micros).bind(i64::from(rows_max));
        Ok(forgotten.execute(connection).await?.rows_affected())
    }
}

fn read(found: &MySqlRow) -> sqlx::Result<(i64, Row)> {
    let message = read_message(found).map_err(|e| Unreadable::new(found.try_get(2), &e));
    Ok((found.try_get(0)?, message))
}

fn read_message(found: &MySqlRow) -> sqlx::Result<Message> {
    let kind: String = found.try_get(3)?;
    let attributes: String = found.try_get(5)?;
    let (message_id, saga_id) = (found.try_get(1)?, found.try_get(2)?);
    let (name, body) = (found.try_get(4)?, found.try_get(6)?);
    message(message_id, saga_id, &kind, name, &attributes, body)
}
