//! A participant: a service's name, its database, its handlers, and the limits on its work.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amends_wire::Direction;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Pool;
use tokio::sync::{Notify, Semaphore};

use crate::about::About;
use crate::database::{Database, create};
use crate::ending::{Outcome, Undoing};
#[cfg(feature = "mistakes")]
use crate::guard::Mistake;
use crate::handler::{self, ActionFn, CompensationFn};
use crate::outbox::Aside;
use crate::signed::{BadSecret, Secrets};
use crate::tx::Tx;

/// How many commands may be at work or wait for a connection, unless said otherwise: as many as
/// an engine sends to a service at once, from two engines.
pub const AT_WORK_MAX: usize = 128;

/// How long a command waits for a connection of the pool, unless said otherwise: an attempt has
/// 10 s by default, and "not now" is of use only while it is waited for.
pub const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// A service's side of sagas. Cheap to clone.
///
/// ```no_run
/// # #[cfg(feature = "postgres")] mod example {
/// use amends_participant::{About, Outcome, Participant, Refused, Tx, Undoing};
/// use serde::{Deserialize, Serialize};
/// use sqlx::{PgPool, Postgres};
///
/// #[derive(Deserialize)]
/// struct Order { sku: String, quantity: i64 }
///
/// #[derive(Serialize, Deserialize)]
/// struct Reservation { sku: String, quantity: i64 }
///
/// async fn reserve(tx: &mut Tx<Postgres>, order: Order, about: &About) -> Outcome<Reservation> {
///     let sql = "UPDATE stock SET amount = amount - $2 WHERE sku = $1 AND amount >= $2";
///     let taken = sqlx::query(sql).bind(&order.sku).bind(order.quantity);
///     if taken.execute(&mut **tx).await?.rows_affected() == 0 {
///         return Err(Refused::new("OUT_OF_STOCK", format!("no {} left", order.sku)).into());
///     }
///     Ok(Reservation { sku: order.sku, quantity: order.quantity })
/// }
///
/// async fn release(tx: &mut Tx<Postgres>, held: Reservation, about: &About) -> Undoing {
///     let sql = "UPDATE stock SET amount = amount + $2 WHERE sku = $1";
///     sqlx::query(sql).bind(&held.sku).bind(held.quantity).execute(&mut **tx).await?;
///     Ok(())
/// }
///
/// # async fn run(pool: PgPool) -> sqlx::Result<()> {
/// let inventory = Participant::builder("InventoryService", pool)
///     .action("ReserveItems", reserve)
///     .compensation("ReleaseReservation", release)
///     .build();
/// inventory.create_tables().await?;
/// # Ok(()) }
/// # }
/// ```
pub struct Participant<D: Database>(pub(crate) Arc<Inner<D>>);

pub(crate) struct Inner<D: Database> {
    pub(crate) service: String,
    pub(crate) pool: Pool<D>,
    pub(crate) actions: HashMap<String, handler::Action<D>>,
    pub(crate) compensations: HashMap<String, handler::Compensation<D>>,
    pub(crate) room: Semaphore,
    pub(crate) connection_wait: Duration,
    pub(crate) secrets: Secrets,
    /// Told when something was committed to the outbox.
    pub(crate) outbox_written: Notify,
    /// What the broker did not take, whichever relay of this participant tried it.
    pub(crate) aside: std::sync::Mutex<Aside>,
    /// Held by the relay at work, where the database holds no rows for it.
    pub(crate) relaying: tokio::sync::Mutex<()>,
    #[cfg(feature = "mistakes")]
    pub(crate) mistake: Option<Mistake>,
}

impl<D: Database> Participant<D> {
    /// Begins one. `service` is the name that definitions know it by: `InventoryService`. The
    /// pool is the service's own, with as many connections as commands shall run side by side.
    pub fn builder(service: impl Into<String>, pool: Pool<D>) -> Builder<D> {
        Builder {
            service: service.into(),
            pool,
            actions: HashMap::new(),
            compensations: HashMap::new(),
            at_work_max: AT_WORK_MAX,
            connection_wait: CONNECTION_WAIT,
            secrets: Secrets::default(),
            #[cfg(feature = "mistakes")]
            mistake: None,
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Its database.
    pub fn pool(&self) -> &Pool<D> {
        &self.0.pool
    }

    /// Makes the kit's tables where they are not there. Who runs migrations of their own takes the
    /// SQL from [`Database::GUARD_SQL`], [`Database::OUTBOX_SQL`] and [`Database::INBOX_SQL`]
    /// instead; a service that publishes nothing needs no outbox, and one that listens to no
    /// events no inbox.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn create_tables(&self) -> sqlx::Result<()> {
        let pool = &self.0.pool;
        create(pool, "SELECT 1 FROM amends_guard LIMIT 0", D::GUARD_SQL).await?;
        create(pool, "SELECT 1 FROM amends_outbox LIMIT 0", D::OUTBOX_SQL).await?;
        create(pool, "SELECT 1 FROM amends_inbox LIMIT 0", D::INBOX_SQL).await
    }

    /// Does it know a command of that name, in either direction?
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.actions.contains_key(name) || self.0.compensations.contains_key(name)
    }

    /// The names of its commands.
    pub fn commands(&self, direction: Direction) -> Vec<&str> {
        let Inner { actions, compensations, .. } = &*self.0;
        let mut names: Vec<&str> = match direction {
            Direction::Action => actions.keys().map(String::as_str).collect(),
            Direction::Compensation => compensations.keys().map(String::as_str).collect(),
        };
        names.sort_unstable();
        names
    }
}

impl<D: Database> Clone for Participant<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Database> fmt::Debug for Participant<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("service", &self.0.service)
            .field("actions", &self.commands(Direction::Action))
            .field("compensations", &self.commands(Direction::Compensation))
            .finish_non_exhaustive()
    }
}

/// A participant in the making.
#[must_use]
pub struct Builder<D: Database> {
    service: String,
    pool: Pool<D>,
    actions: HashMap<String, handler::Action<D>>,
    compensations: HashMap<String, handler::Compensation<D>>,
    at_work_max: usize,
    connection_wait: Duration,
    secrets: Secrets,
    #[cfg(feature = "mistakes")]
    mistake: Option<Mistake>,
}

impl<D: Database> Builder<D> {
    /// Has the action `name` (what stands after the dot in a definition) carried out by this
    /// `async fn(&mut Tx<D>, I, &About) -> Outcome<O>`.
    ///
    /// # Panics
    ///
    /// The participant has an action of this name already.
    pub fn action<I, O, F>(self, name: &str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> ActionFn<'a, D, I, O>,
    {
        self.action_boxed(name, move |tx, data, about| handler.call(tx, data, about))
    }

    /// The same for a closure that boxes its future, and so may hold on to something:
    /// `move |tx, order, about| Box::pin(reserve(prices.clone(), tx, order, about))`.
    ///
    /// # Panics
    ///
    /// As [`Builder::action`].
    pub fn action_boxed<I, O, F>(mut self, name: &str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> Fn(&'a mut Tx<D>, I, &'a About) -> BoxFuture<'a, Outcome<O>>
            + Send
            + Sync
            + 'static,
    {
        let before = self.actions.insert(name.to_owned(), handler::action(handler));
        assert!(before.is_none(), "{} has two handlers for the action {name}", self.service);
        self
    }

    /// Has the compensation `name` carried out by this
    /// `async fn(&mut Tx<D>, R, &About) -> Undoing`, where `R` is what the action returned. It may
    /// have the name of an action: a definition may have one command do one step and undo another.
    ///
    /// # Panics
    ///
    /// The participant has a compensation of this name already.
    pub fn compensation<R, F>(self, name: &str, handler: F) -> Self
    where
        R: DeserializeOwned + Send + 'static,
        F: for<'a> CompensationFn<'a, D, R>,
    {
        self.compensation_boxed(name, move |tx, result, about| handler.call(tx, result, about))
    }

    /// The same for a closure that boxes its future.
    ///
    /// # Panics
    ///
    /// As [`Builder::action`].
    pub fn compensation_boxed<R, F>(mut self, name: &str, handler: F) -> Self
    where
        R: DeserializeOwned + Send + 'static,
        F: for<'a> Fn(&'a mut Tx<D>, R, &'a About) -> BoxFuture<'a, Undoing>
            + Send
            + Sync
            + 'static,
    {
        let before = self.compensations.insert(name.to_owned(), handler::compensation(handler));
        assert!(before.is_none(), "{} has two handlers for the compensation {name}", self.service);
        self
    }

    /// How many commands may be at work or wait for a connection; one more is told "not now".
    pub const fn at_work_max(mut self, at_work_max: usize) -> Self {
        self.at_work_max = at_work_max;
        self
    }

    /// How long a command waits for a connection before it is told "not now".
    pub const fn connection_wait(mut self, connection_wait: Duration) -> Self {
        self.connection_wait = connection_wait;
        self
    }

    /// Shares this secret with the engine (Standard Webhooks: `whsec_…`, or any text): over HTTP and
    /// by message only commands are taken that are signed with it, and all replies and events are
    /// signed, whoever relays them. Of several, while one is rotated, each is taken, and all sign.
    ///
    /// # Errors
    ///
    /// The secret is empty, or no base64 after `whsec_`.
    pub fn secret(mut self, secret: &str) -> Result<Self, BadSecret> {
        self.secrets.add(secret)?;
        Ok(self)
    }

    /// The service's name.
    #[cfg(feature = "choreography")]
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Has it a handler of that name?
    #[cfg(feature = "choreography")]
    pub(crate) fn has(&self, direction: Direction, name: &str) -> bool {
        match direction {
            Direction::Action => self.actions.contains_key(name),
            Direction::Compensation => self.compensations.contains_key(name),
        }
    }

    /// Builds a mistake into the guard.
    #[cfg(feature = "mistakes")]
    pub const fn with_mistake(mut self, mistake: Mistake) -> Self {
        self.mistake = Some(mistake);
        self
    }

    /// The participant.
    pub fn build(self) -> Participant<D> {
        Participant(Arc::new(Inner {
            service: self.service,
            pool: self.pool,
            actions: self.actions,
            compensations: self.compensations,
            room: Semaphore::new(self.at_work_max.min(Semaphore::MAX_PERMITS)),
            connection_wait: self.connection_wait,
            secrets: self.secrets,
            outbox_written: Notify::new(),
            aside: std::sync::Mutex::default(),
            relaying: tokio::sync::Mutex::new(()),
            #[cfg(feature = "mistakes")]
            mistake: self.mistake,
        }))
    }
}

impl<D: Database> fmt::Debug for Builder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("service", &self.service).finish_non_exhaustive()
    }
}
