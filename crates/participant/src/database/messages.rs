//! What the databases do for the outbox and the inbox.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use amends_transport::{Kind, Message};
use sqlx::{Pool, Transaction};

/// The SQL of the outbox and the inbox.
pub trait Messages: sqlx::Database {
    /// Whether the rows that are being relayed can be held against another relay. Where they
    /// cannot, the relays of a database take turns.
    const HOLDS_ROWS: bool;

    /// The file that the database is, where it is one: its relays, in all processes, take turns by
    /// it.
    fn file(
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = sqlx::Result<Option<PathBuf>>> + Send {
        async { Ok(None) }
    }

    /// Puts a message into the outbox.
    fn put(
        connection: &mut Self::Connection,
        message: &Message,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Begins the transaction of a relay, in which each statement sees what is committed by then.
    fn begin_relay(
        pool: &Pool<Self>,
    ) -> impl Future<Output = sqlx::Result<Transaction<'static, Self>>> + Send;

    /// The first messages in the outbox behind the row `after` that no other relay holds, in
    /// their order.
    fn first(
        connection: &mut Self::Connection,
        after: i64,
        messages_max: u16,
    ) -> impl Future<Output = sqlx::Result<Vec<(i64, Row)>>> + Send;

    /// Of the messages up to `last`, those before which there is none of the same saga.
    fn heads(
        connection: &mut Self::Connection,
        last: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<i64>>> + Send;

    /// Takes a message out.
    fn remove(
        connection: &mut Self::Connection,
        id: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Notes what was received: `false` if it was before.
    fn note(
        connection: &mut Self::Connection,
        source: &str,
        id: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Whether it was, by what is committed now.
    fn is_noted(
        connection: &mut Self::Connection,
        source: &str,
        id: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Forgets at most `rows_max` of what was received that long ago.
    fn forget(
        connection: &mut Self::Connection,
        age: Duration,
        rows_max: u16,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;
}

/// A row of the outbox, if it can be read.
pub type Row = Result<Message, Unreadable>;

/// A row of the outbox that cannot be read, by this version at least.
#[derive(Debug)]
pub struct Unreadable {
    /// The saga's that it is, as far as that can be read.
    pub saga_id: String,
    /// Why not.
    pub why: String,
}

impl Unreadable {
    pub(super) fn new(saga_id: sqlx::Result<String>, error: &sqlx::Error) -> Self {
        Self { saga_id: saga_id.unwrap_or_default(), why: error.to_string() }
    }
}

/// What a row of the outbox reads as.
pub(super) fn message(
    message_id: String,
    saga_id: String,
    kind: &str,
    name: String,
    attributes: &str,
    body: String,
) -> sqlx::Result<Message> {
    let foreign = |what: &str| {
        let why = format!("amends_outbox holds {what}, which this version did not write");
        sqlx::Error::Decode(why.into())
    };
    Ok(Message {
        id: message_id,
        saga_id,
        kind: Kind::named(kind).ok_or_else(|| foreign("a kind that is none"))?,
        name,
        attributes: serde_json::from_str(attributes).map_err(|_| foreign("no attributes"))?,
        body: body.into(),
    })
}

/// The body as it is stored: JSON, and so text.
pub(super) fn body(message: &Message) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&message.body)
}

/// As they are stored.
pub(super) fn attributes(message: &Message) -> String {
    serde_json::to_string(&message.attributes).unwrap_or_default()
}
