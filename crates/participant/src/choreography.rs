//! Sagas without a coordinator: the participant reads what the other services of a saga say, carries out
//! its own steps when it is their turn, and undoes them when the saga fails.
//!
//! One row a saga, `amends_saga`, holds all that was heard of it. Whatever happens is taken in within one
//! transaction, together with the events that say so, and a step's handler, guard and word are one, too. So
//! a service may die at any moment: what it owes is in its database.

pub(crate) mod asking;
pub(crate) mod counts;
mod elsewhere;
mod hearing;
mod reacting;
pub(crate) mod side;
mod start;
mod turn;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_choreography::{
    Choreographed, Foreign, GRACE, Moment, Overdue, Reason, Record, SagaEvent, Service,
};
use amends_core::{Millis, Time};
use amends_transport::{Message, Transport};
use amends_wire::{Direction, SagaId};
use serde::Serialize;
use sqlx::Pool;
use tracing::info;
use uuid::Uuid;

use crate::database::{Database, SagaRow, create};
use crate::participant::Participant;
use crate::prune::Retention;
pub use counts::Counts;
pub use hearing::DEFINITION_WAIT;
pub use reacting::Reacting;
pub use side::Listens;
pub(crate) use start::Start;
use turn::{Unturned, What};

/// How many rows go in one statement when they are pruned.
pub(crate) const ROWS_MAX: u16 = 500;

/// A participant's side of sagas without a coordinator. Cheap to clone.
pub struct Choreographies<D: Database>(Arc<Inner<D>>);

struct Inner<D: Database> {
    participant: Participant<D>,
    /// Of each definition, of which a saga type may have several while it is changed.
    services: Vec<Service>,
    hands: Hands,
    counts: counts::Counters,
    /// Up to when what others said has been heard, in milliseconds since 1970.
    heard: AtomicU64,
}

/// Who carries out this service's steps.
#[derive(Clone)]
enum Hands {
    /// The participant's own handlers, in the transaction that keeps the record.
    Own,
    /// Another process, which this transport reaches.
    Elsewhere(Arc<dyn Transport>),
}

/// The participant cannot do what the definition asks of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{service} has no handler for what {saga_type} asks of it: {}; register each with `action` or \
     `compensation` before `build`",
    missing.join(", ")
)]
pub struct Unfitting {
    /// The participant.
    pub service: String,
    /// The saga type.
    pub saga_type: String,
    /// Each missing handler: `the action ReserveItems`.
    pub missing: Vec<String>,
}

/// Why a saga was not started. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// This service does not know such a saga type.
    #[error("{0} is none of this service's choreographies")]
    NoSuchType(String),
    /// The data does not fit.
    #[error("the data does not fit the definition: {}", .0.join("; "))]
    BadData(Vec<String>),
    /// The key came before, with other data.
    #[error("the key {0:?} came before with other data; another saga needs a key of its own")]
    KeyReused(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What became of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The saga is to be undone, if its arbiter has not run before it hears of that.
    Asked,
    /// Its arbiter has run: it goes forward only.
    TooLate,
}

/// Why nothing is said of a saga.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchSaga {
    /// This service has heard nothing of it.
    #[error("this service has heard nothing of the saga")]
    Unheard,
    /// What is stored cannot be read.
    #[error("what this service knows of the saga cannot be read: {0}")]
    Foreign(#[from] Foreign),
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl<D: Database> Participant<D> {
    /// The participant's side of these choreographies. Of a saga type there may be several definitions: a
    /// saga goes by the one that it was started with.
    ///
    /// # Errors
    ///
    /// It has no handler for a step of its own.
    pub fn choreographies(
        &self,
        definitions: impl IntoIterator<Item = Choreographed>,
    ) -> Result<Choreographies<D>, Unfitting> {
        let mut services: Vec<Service> = Vec::new();
        for definition in definitions {
            services.push(self.fit(definition.service(self.service()))?);
        }
        Ok(self.taking_part(services, Hands::Own))
    }

    /// The same for a service whose handlers are another process, which `transport` reaches under the
    /// service's name; the participant itself has none. That process has the fence `barrier`, and answers in
    /// the exchange in which it is asked.
    pub fn choreographies_elsewhere(
        &self,
        definitions: impl IntoIterator<Item = Choreographed>,
        transport: Arc<dyn Transport>,
    ) -> Choreographies<D> {
        let services = definitions.into_iter().map(|of| of.service(self.service())).collect();
        self.taking_part(services, Hands::Elsewhere(transport))
    }

    fn taking_part(&self, services: Vec<Service>, hands: Hands) -> Choreographies<D> {
        let (participant, counts) = (self.clone(), counts::Counters::default());
        let heard = AtomicU64::new(0);
        Choreographies(Arc::new(Inner { participant, services, hands, counts, heard }))
    }

    fn fit(&self, service: Service) -> Result<Service, Unfitting> {
        let (actions, undos) =
            (self.commands(Direction::Action), self.commands(Direction::Compensation));
        let mut missing = Vec::new();
        for (action, undo) in service.commands() {
            if !actions.contains(&action) {
                missing.push(format!("the action {action}"));
            }
            if let Some(undo) = undo.filter(|undo| !undos.contains(undo)) {
                missing.push(format!("the compensation {undo}"));
            }
        }
        if missing.is_empty() {
            return Ok(service);
        }
        let saga_type = service.of().saga_type().to_owned();
        Err(Unfitting { service: self.service().to_owned(), saga_type, missing })
    }
}

impl<D: Database> Choreographies<D> {
    /// Waits so much longer for the steps of other services than the definition gives them; 30 s when not
    /// said. It is for the event's own way, and because the other service says by itself that it is late.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        let grace = Millis(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        self.with(|service| service.with_grace(grace))
    }

    /// Says what this service does when the step of another one that it waits for does not come in its time.
    /// A name that no definition has changes nothing.
    #[must_use]
    pub fn when_overdue(self, step: &str, overdue: Overdue) -> Self {
        self.with(|mut service| {
            service.when_overdue(step, overdue);
            service
        })
    }

    fn with(self, change: impl Fn(Service) -> Service) -> Self {
        let services = self.0.services.iter().cloned().map(change).collect();
        self.0.participant.taking_part(services, self.0.hands.clone())
    }

    /// Makes the kit's tables where they are not there, `amends_saga` among them. The SQL is in
    /// [`Database`].
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn create_tables(&self) -> sqlx::Result<()> {
        self.0.participant.create_tables().await?;
        let pool = self.0.participant.pool();
        create(pool, "SELECT 1 FROM amends_saga LIMIT 0", D::SAGA_SQL).await
    }

    /// Starts a saga in the transaction that this connection is in: it is started if that is committed.
    /// Its id is new, and is what all its events and log lines name.
    ///
    /// # Errors
    ///
    /// There is no such type, its data does not fit, or the database's.
    pub async fn start<T: Serialize + ?Sized + Sync>(
        &self,
        connection: &mut D::Connection,
        saga_type: &str,
        data: &T,
    ) -> Result<SagaId, NotStarted> {
        let saga_id = SagaId(Uuid::now_v7().as_u128());
        let started = self.started(saga_id, saga_type, data)?;
        self.say_started(connection, &started).await?;
        Ok(saga_id)
    }

    /// The same for whoever may ask twice, because an answer was lost: the same key is the same saga, as long
    /// as the inbox remembers ([`Participant::forget_received`]). The key is this service's own.
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start), the key has more than 200 characters, or it came before with other
    /// data.
    pub async fn start_once<T: Serialize + ?Sized + Sync>(
        &self,
        connection: &mut D::Connection,
        saga_type: &str,
        key: &str,
        data: &T,
    ) -> Result<SagaId, NotStarted> {
        let start = Start::of(self.0.participant.service(), saga_type, key)?;
        let started = self.started(start.saga_id, saga_type, data)?;
        if start.is_new::<D>(connection, started.context.data.get()).await? {
            self.say_started(connection, &started).await?;
        }
        Ok(start.saga_id)
    }

    fn started<T: Serialize + ?Sized>(
        &self,
        saga_id: SagaId,
        saga_type: &str,
        data: &T,
    ) -> Result<SagaEvent, NotStarted> {
        // The definition that was given last is the current one.
        let of = self.0.services.iter().rev().find(|s| s.of().saga_type() == saga_type);
        let of = of.ok_or_else(|| NotStarted::NoSuchType(saga_type.to_owned()))?.of();
        let data = serde_json::to_string(data)
            .map_err(|error| NotStarted::BadData(vec![error.to_string()]))?;
        let by = self.0.participant.service();
        of.start(saga_id, by, &data, clock()).map_err(NotStarted::BadData)
    }

    async fn say_started(
        &self,
        connection: &mut D::Connection,
        started: &SagaEvent,
    ) -> sqlx::Result<()> {
        publish::<D>(connection, [started.message()]).await?;
        let (saga_id, saga_type) = (started.saga_id, &*started.saga_type);
        info!(saga_id = %saga_id, saga_type, "a saga without a coordinator is to start");
        Ok(())
    }

    /// Asks for the end of a saga that this service has heard of: all that was done is undone, unless its
    /// arbiter has run.
    ///
    /// # Errors
    ///
    /// This service has heard nothing of it, or the database's.
    pub async fn cancel(&self, saga_id: SagaId, reason: &str) -> Result<Cancelled, NoSuchSaga> {
        let service = self.service_of(&self.record(saga_id).await?);
        let what = What::Cancel(Reason::new("CANCELLED", reason));
        match self.turn(&service, saga_id, &what).await {
            Ok(_) => Ok(Cancelled::Asked),
            Err(Unturned::NotTaken(_)) => Ok(Cancelled::TooLate),
            Err(Unturned::Foreign(why)) => Err(why.into()),
            Err(Unturned::Database(why)) => Err(why.into()),
        }
    }

    /// What this service knows of a saga.
    ///
    /// # Errors
    ///
    /// It has heard nothing of it, what it knows cannot be read, or the database's.
    pub async fn record(&self, saga_id: SagaId) -> Result<Record, NoSuchSaga> {
        let mut connection = self.0.participant.pool().acquire().await?;
        let id = saga_id.to_string();
        let row = SagaRow { saga_id: &id, service: self.0.participant.service() };
        let text = D::look_up(&mut connection, row).await?;
        let text = text.filter(|text| !text.is_empty()).ok_or(NoSuchSaga::Unheard)?;
        Ok(Record::from_json(saga_id, &text, |hash| self.definition(hash))?)
    }

    /// The saga types in which it takes part.
    pub fn saga_types(&self) -> Vec<&str> {
        let mut types: Vec<_> = self.0.services.iter().map(|of| of.of().saga_type()).collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// The participant's database.
    pub fn pool(&self) -> &Pool<D> {
        self.0.participant.pool()
    }

    /// Has the outbox looked at now, rather than within a second: after the commit of a
    /// [`start`](Self::start), for who is in a hurry.
    pub fn relay_soon(&self) {
        self.0.participant.0.outbox_written.notify_one();
    }

    /// How much was heard and what came of it, since this was made.
    pub fn counts(&self) -> Counts {
        self.0.counts.read()
    }

    /// Deletes the rows of sagas of which nothing was written for so long, in batches, and says how many
    /// went. With the guard's own rows: [`Participant::prune`].
    ///
    /// # Errors
    ///
    /// The database's; what was deleted until then stays so.
    pub async fn prune(&self, retention: Retention) -> sqlx::Result<u64> {
        let mut pruned = 0;
        loop {
            let mut connection = self.0.participant.pool().acquire().await?;
            match D::prune_sagas(&mut connection, retention.age(), ROWS_MAX).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }

    /// The time, and chance.
    fn now(&self) -> Moment {
        let heard = Time(self.0.heard.load(Ordering::Relaxed));
        let [.., a, b, c, d] = *Uuid::now_v7().as_bytes();
        Moment { at: clock(), heard, jitter: u32::from_be_bytes([a, b, c, d]) }
    }

    /// All that others said by then has been heard.
    fn note_heard_until(&self, at: Time) {
        self.0.heard.store(at.0, Ordering::Relaxed);
    }

    /// The longest that it waits for steps of others, after their time.
    fn longest_grace(&self) -> Millis {
        self.0.services.iter().map(Service::grace).max().unwrap_or(GRACE)
    }

    fn hands_are_elsewhere(&self) -> bool {
        matches!(self.0.hands, Hands::Elsewhere(_))
    }

    fn definition(&self, hash: &str) -> Option<Choreographed> {
        self.by_hash(hash).map(|service| service.of().clone())
    }

    fn by_hash(&self, hash: &str) -> Option<&Service> {
        self.0.services.iter().find(|service| service.of().hash() == hash)
    }

    /// The service as the record's definition has it.
    fn service_of(&self, record: &Record) -> Service {
        let known = self.by_hash(record.of().hash()).cloned();
        known.unwrap_or_else(|| record.of().service(self.0.participant.service()))
    }
}

/// Writes events into the outbox.
pub(crate) async fn publish<D: Database>(
    connection: &mut D::Connection,
    messages: impl IntoIterator<Item = Message>,
) -> sqlx::Result<()> {
    for mut message in messages {
        // A row's own; the event's stands among its attributes, and is longer.
        message.id = Uuid::now_v7().to_string();
        D::put(connection, &message).await?;
    }
    Ok(())
}

/// Now, by this machine's clock.
pub(crate) fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl<D: Database> Clone for Choreographies<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Database> fmt::Debug for Choreographies<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of: Vec<_> = self.0.services.iter().map(|service| service.of()).collect();
        f.debug_struct("Choreographies")
            .field("participant", &self.0.participant)
            .field("of", &of)
            .finish_non_exhaustive()
    }
}
