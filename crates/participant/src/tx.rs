//! The transaction that a handler works in: the guard's, the business's and the outbox's in one.

use std::fmt;
use std::ops::{Deref, DerefMut};

use amends_transport::{Kind, Message};
use serde::Serialize;
use sqlx::Transaction;
use uuid::Uuid;

use crate::answer::Answer;
use crate::command::Command;
use crate::database::Database;
use crate::ending::Failed;
use crate::inbox;

/// The longest name of an event, in characters.
pub const EVENT_NAME_CHARS_MAX: usize = 200;

/// The transaction. It is begun and committed by the kit: what a handler does in it is done
/// together with the guard's record of it, or not at all.
///
/// ```no_run
/// # #[cfg(feature = "postgres")] mod example {
/// # use amends_participant::Tx;
/// # use sqlx::Postgres;
/// async fn take(tx: &mut Tx<Postgres>, sku: &str) -> sqlx::Result<u64> {
///     let sql = "UPDATE stock SET amount = amount - 1 WHERE sku = $1 AND amount > 0";
///     Ok(sqlx::query(sql).bind(sku).execute(&mut **tx).await?.rows_affected())
/// }
/// # }
/// ```
pub struct Tx<D: Database> {
    inner: Transaction<'static, D>,
    origin: Origin,
    has_published: bool,
}

/// Whose messages they are.
pub(crate) struct Origin {
    service: String,
    saga_id: String,
    causation_id: String,
    traceparent: Option<String>,
}

impl<D: Database> Tx<D> {
    pub(crate) fn new(inner: Transaction<'static, D>, service: &str, command: &Command) -> Self {
        Self { inner, origin: Origin::of(service, command), has_published: false }
    }

    /// Publishes a domain event: it is written into the outbox with all else that this
    /// transaction does, and leaves once that is committed. At least once, and those of one saga
    /// in their order.
    ///
    /// # Errors
    ///
    /// The name is too long, the event is no JSON, or the database's.
    pub async fn publish<E: Serialize + ?Sized + Sync>(
        &mut self,
        name: &str,
        event: &E,
    ) -> Result<(), Failed> {
        if name.is_empty() || name.chars().count() > EVENT_NAME_CHARS_MAX {
            return Err(Failed::new(format!(
                "an event's name has 1 to {EVENT_NAME_CHARS_MAX} characters"
            )));
        }
        let body = serde_json::to_string(event)?;
        self.put(Kind::Event, name, body).await
    }

    /// Writes the reply to its command into the outbox.
    pub(crate) async fn reply(&mut self, command: &Command, answer: &Answer) -> Result<(), Failed> {
        match answer.reply(&command.id, command.sending.attempt) {
            Some(reply) => self.put(Kind::Reply, "reply", reply).await,
            None => Ok(()),
        }
    }

    /// Notes that something was received, from `source` and with this id: `false` if it was
    /// before, and then there is nothing to do. For messages that are no commands of a saga.
    ///
    /// # Errors
    ///
    /// A text that is too long, or the database's.
    pub async fn once(&mut self, source: &str, id: &str) -> Result<bool, Failed> {
        inbox::once::<D>(&mut self.inner, source, id).await
    }

    async fn put(&mut self, kind: Kind, name: &str, body: String) -> Result<(), Failed> {
        let message = self.origin.message(kind, name, body);
        D::put(&mut self.inner, &message).await?;
        self.has_published = true;
        Ok(())
    }

    /// Something was put into the outbox by another way.
    #[cfg(feature = "choreography")]
    pub(crate) const fn note_published(&mut self) {
        self.has_published = true;
    }

    /// Is there something to relay once it is committed?
    pub(crate) const fn has_published(&self) -> bool {
        self.has_published
    }

    pub(crate) fn into_inner(self) -> Transaction<'static, D> {
        self.inner
    }
}

impl Origin {
    pub(crate) fn of(service: &str, command: &Command) -> Self {
        Self {
            service: service.to_owned(),
            saga_id: command.saga_id.clone(),
            causation_id: command.id.to_string(),
            traceparent: command.sending.traceparent.clone(),
        }
    }

    pub(crate) fn message(&self, kind: Kind, name: &str, body: String) -> Message {
        let id = Uuid::now_v7().to_string();
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut attributes = vec![
            attribute("specversion", "1.0"),
            attribute("id", &id),
            attribute("source", &format!("/services/{}", self.service)),
            attribute("type", name),
            attribute("correlationid", &self.saga_id),
            attribute("causationid", &self.causation_id),
            attribute("datacontenttype", "application/json"),
        ];
        if let Some(traceparent) = &self.traceparent {
            attributes.push(attribute("traceparent", traceparent));
        }
        let (saga_id, name) = (self.saga_id.clone(), name.to_owned());
        Message { id, saga_id, kind, name, attributes, body: body.into() }
    }
}

impl<D: Database> Deref for Tx<D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        &self.inner
    }
}

impl<D: Database> DerefMut for Tx<D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        &mut self.inner
    }
}

impl<D: Database> fmt::Debug for Tx<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("saga_id", &self.origin.saga_id).finish_non_exhaustive()
    }
}
