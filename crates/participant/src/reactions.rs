//! Free choreographies: the participant hears the events of others, and what it does at which, and says
//! then, is what the checked file has of it.
//!
//! All that a service knows of a run is one row of `amends_saga`. What is heard goes in with the
//! acknowledgement behind it; a reaction's row, its handler's work, its guard and the event that it says are
//! one transaction. So a service may die at any moment: what it owes is in its database.

mod asking;
mod builder;
mod fit;
mod hearing;
mod turn;

use std::fmt;
use std::sync::Arc;

use amends_choreography::free::{Event, FreeChoreography, Record, Service};
use amends_choreography::{Moment, State};
use amends_wire::SagaId;
use serde::Serialize;
use sqlx::Pool;
use tracing::info;
use uuid::Uuid;

use crate::choreography::counts::{Counters, Counts};
use crate::choreography::{NoSuchSaga, NotStarted, ROWS_MAX, Start, clock, publish};
use crate::database::{Database, SagaRow, create};
use crate::participant::Participant;
use crate::prune::Retention;
pub use builder::ReactionsBuilder;
pub use fit::Misfit;

/// A participant's reactions in free choreographies. Cheap to clone.
pub struct Reactions<D: Database>(Arc<Inner<D>>);

struct Inner<D: Database> {
    participant: Participant<D>,
    /// In each choreography.
    services: Vec<Service>,
    /// Whose rows of `amends_saga` are these: the service may take part in choreographies of definitions,
    /// too, and who listens for those knows nothing of these.
    rows_of: String,
    counts: Counters,
}

impl<D: Database> Participant<D> {
    /// The participant's reactions in these choreographies, which its handlers carry out: an action and a
    /// compensation each by its command's name.
    ///
    /// # Errors
    ///
    /// A choreography has no reaction of this service, or one for which it has no handler.
    pub fn reactions(
        &self,
        choreographies: impl IntoIterator<Item = FreeChoreography>,
    ) -> Result<Reactions<D>, Misfit> {
        let mut services = Vec::new();
        for of in choreographies {
            services.push(fit::fit(self, of.service(self.service()), &[])?);
        }
        Ok(Reactions::of(self.clone(), services))
    }
}

impl<D: Database> Reactions<D> {
    fn of(participant: Participant<D>, services: Vec<Service>) -> Self {
        let rows_of = format!("{}{}", participant.service(), fit::ROWS_MARK);
        Self(Arc::new(Inner { participant, services, rows_of, counts: Counters::default() }))
    }

    /// Gives an action up, where its kind lets it fail, after so many attempts that came to nothing, and
    /// says its `on_failure`; 65 when not said, about five minutes. Refused, it has failed at once.
    #[must_use]
    pub fn with_attempts_max(self, attempts_max: u32) -> Self {
        let services = self.0.services.iter().cloned();
        let services = services.map(|of| of.with_attempts_max(attempts_max)).collect();
        Self::of(self.0.participant.clone(), services)
    }

    /// Makes the kit's tables where they are not there, `amends_saga` among them. The SQL is in
    /// [`Database`].
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn create_tables(&self) -> sqlx::Result<()> {
        self.0.participant.create_tables().await?;
        create(self.pool(), "SELECT 1 FROM amends_saga LIMIT 0", D::SAGA_SQL).await
    }

    /// Starts a run in the transaction that this connection is in, by the event that a choreography of this
    /// service starts with: it is started if that is committed. Its id is new, and is what all its events
    /// and log lines name. The data has the fields that `events` lists for the event.
    ///
    /// # Errors
    ///
    /// No choreography starts so, the data does not fit, or the database's.
    pub async fn start<T: Serialize + ?Sized + Sync>(
        &self,
        connection: &mut D::Connection,
        event: &str,
        data: &T,
    ) -> Result<SagaId, NotStarted> {
        let saga_id = SagaId(Uuid::now_v7().as_u128());
        let started = self.started(self.starting(event)?, saga_id, data)?;
        self.say_started(connection, &started).await?;
        Ok(saga_id)
    }

    /// The same for whoever may ask twice, because an answer was lost: the same key is the same run, as long
    /// as the inbox remembers ([`Participant::forget_received`]). The key is this service's own.
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start), the key has more than 200 characters, or it came before with other
    /// data.
    pub async fn start_once<T: Serialize + ?Sized + Sync>(
        &self,
        connection: &mut D::Connection,
        event: &str,
        key: &str,
        data: &T,
    ) -> Result<SagaId, NotStarted> {
        let service = self.starting(event)?;
        let of = format!("{}{}", service.of().name(), fit::ROWS_MARK);
        let start = Start::of(service.name(), &of, key)?;
        let started = self.started(service, start.saga_id, data)?;
        if start.is_new::<D>(connection, &started.carried.data.to_json()).await? {
            self.say_started(connection, &started).await?;
        }
        Ok(start.saga_id)
    }

    fn starting(&self, event: &str) -> Result<&Service, NotStarted> {
        let mut services = self.0.services.iter();
        let found = services.find(|service| service.of().starts_with() == event);
        found.ok_or_else(|| NotStarted::NoSuchType(event.to_owned()))
    }

    fn started<T: Serialize + ?Sized>(
        &self,
        service: &Service,
        saga_id: SagaId,
        data: &T,
    ) -> Result<Event, NotStarted> {
        let data = serde_json::to_string(data)
            .map_err(|error| NotStarted::BadData(vec![error.to_string()]))?;
        service.start(saga_id, &data, clock()).map_err(NotStarted::BadData)
    }

    async fn say_started(
        &self,
        connection: &mut D::Connection,
        started: &Event,
    ) -> sqlx::Result<()> {
        publish::<D>(connection, [started.message()]).await?;
        let (saga_id, event) = (started.saga_id, &*started.name);
        info!(saga_id = %saga_id, event, "a run of a free choreography is to start");
        Ok(())
    }

    /// What this service knows of a run.
    ///
    /// # Errors
    ///
    /// It has heard nothing of it, what it knows cannot be read, or the database's.
    pub async fn record(&self, saga_id: SagaId) -> Result<Record, NoSuchSaga> {
        let mut connection = self.pool().acquire().await?;
        let id = saga_id.to_string();
        let text = D::look_up(&mut connection, self.row(&id)).await?;
        let text = text.filter(|text| !text.is_empty()).ok_or(NoSuchSaga::Unheard)?;
        Ok(Record::from_json(saga_id, &text)?)
    }

    /// How far a run is, as far as this service knows.
    ///
    /// # Errors
    ///
    /// As of [`record`](Self::record).
    pub async fn state(&self, saga_id: SagaId) -> Result<State, NoSuchSaga> {
        let record = self.record(saga_id).await?;
        let service = self.named(record.choreography()).ok_or(NoSuchSaga::Unheard)?;
        Ok(service.state(&record))
    }

    /// The choreographies in which it takes part.
    pub fn choreographies(&self) -> Vec<&str> {
        self.0.services.iter().map(|service| service.of().name()).collect()
    }

    /// The participant that carries the reactions out.
    pub fn participant(&self) -> &Participant<D> {
        &self.0.participant
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

    /// Deletes the rows of runs that have ended, and of which nothing was written for so long, in batches,
    /// and says how many went. With the guard's own rows: [`Participant::prune`].
    ///
    /// # Errors
    ///
    /// The database's; what was deleted until then stays so.
    pub async fn prune(&self, retention: Retention) -> sqlx::Result<u64> {
        let mut pruned = 0;
        loop {
            let mut connection = self.pool().acquire().await?;
            match D::prune_sagas(&mut connection, retention.age(), ROWS_MAX).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }

    fn named(&self, choreography: &str) -> Option<&Service> {
        self.0.services.iter().find(|service| service.of().name() == choreography)
    }

    fn row<'a>(&'a self, saga_id: &'a str) -> SagaRow<'a> {
        SagaRow { saga_id, service: &self.0.rows_of }
    }
}

/// The time, and chance.
fn now() -> Moment {
    let [.., a, b, c, d] = *Uuid::now_v7().as_bytes();
    let at = clock();
    Moment { at, heard: at, jitter: u32::from_be_bytes([a, b, c, d]) }
}

impl<D: Database> Clone for Reactions<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Database> fmt::Debug for Reactions<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactions")
            .field("participant", &self.0.participant)
            .field("choreographies", &self.choreographies())
            .finish_non_exhaustive()
    }
}
