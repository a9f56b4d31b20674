//! One thing that happened, taken in within one transaction: the run's row is held, its record moves on, and
//! what there is to say goes into the outbox.

use amends_choreography::free::{Answered, Event, NotTaken, Record, Service, Task};
use amends_choreography::{Foreign, InVain, LEFT_FOR, Moment};
use amends_wire::SagaId;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;

use super::{Reactions, now};
use crate::choreography::publish;
use crate::database::{Database, Kept, NotBegun};

/// How often a turn is taken that was rolled back for the sake of another transaction.
const TRIES_MAX: u32 = 5;

/// What happened.
pub(super) enum What<'a> {
    /// An event came.
    Heard(&'a Event),
    /// Time has passed.
    Time,
    /// An action or an undo ended.
    Answered(Task, Answered),
    /// An attempt at one came to nothing.
    InVain(Task, InVain),
}

/// What there is to do after a turn.
#[derive(Default)]
pub(super) struct Turned {
    /// What is to be asked of the handlers, each with the command's body.
    pub(super) asks: Vec<(Task, Bytes)>,
    /// The trace that the run is part of.
    pub(super) traceparent: Option<String>,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unturned {
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    #[error("what is stored of the run cannot be read: {0}")]
    Foreign(#[from] Foreign),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

impl<D: Database> Reactions<D> {
    /// Takes it in.
    pub(super) async fn turn(
        &self,
        service: &Service,
        saga_id: SagaId,
        what: &What<'_>,
    ) -> Result<Turned, Unturned> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.try_turn(service, saga_id, what).await {
                Err(Unturned::Database(sqlx::Error::Database(e)))
                    if tried < TRIES_MAX && D::is_conflict(&*e) => {}
                turned => return turned,
            }
        }
    }

    async fn try_turn(
        &self,
        service: &Service,
        saga_id: SagaId,
        what: &What<'_>,
    ) -> Result<Turned, Unturned> {
        let participant = &self.0.participant;
        let until = Instant::now() + participant.0.connection_wait;
        let mut tx = D::begin(participant.pool(), until).await.map_err(|not| match not {
            NotBegun::Database(e) => e,
            NotBegun::NoConnection | NotBegun::Held => sqlx::Error::PoolTimedOut,
        })?;
        let mut record = self.hold(&mut tx, service, saga_id).await?;
        let (was, now) = (service.state(&record), now());
        // An error drops the transaction, and so rolls it back.
        let events = match what {
            What::Heard(event) => {
                service.hear(&mut record, event)?;
                Vec::new()
            }
            What::Time => Vec::new(),
            What::Answered(task, answered) => {
                service.answered(&mut record, *task, answered.clone(), now)?
            }
            What::InVain(task, in_vain) => service.tried(&mut record, *task, in_vain.clone(), now),
        };
        let turned = self.keep(&mut tx, service, &mut record, events, now).await?;
        tx.commit().await?;
        self.relay_soon();
        let is = service.state(&record);
        if was != is {
            info!(saga_id = %saga_id, from = was.as_str(), to = is.as_str(), "the run");
        }
        Ok(turned)
    }

    /// Holds a run's row until the transaction ends.
    pub(super) async fn hold(
        &self,
        connection: &mut D::Connection,
        service: &Service,
        saga_id: SagaId,
    ) -> Result<Record, Unturned> {
        let (id, choreography) = (saga_id.to_string(), service.of().name());
        let text = D::hold(connection, self.row(&id), choreography).await?;
        if text.is_empty() {
            return Ok(Record::new(choreography, saga_id));
        }
        Ok(Record::from_json(saga_id, &text)?)
    }

    /// Moves the record on by what takes place by itself, writes it, and publishes what there is to say.
    pub(super) async fn keep(
        &self,
        connection: &mut D::Connection,
        service: &Service,
        record: &mut Record,
        mut events: Vec<Event>,
        now: Moment,
    ) -> sqlx::Result<Turned> {
        let advance = service.advance(record, now);
        events.extend(advance.events);
        publish::<D>(connection, events.iter().map(Event::message)).await?;
        for event in &events {
            info!(saga_id = %event.saga_id, event = event.name, "said");
        }
        let saga_id = record.saga_id().to_string();
        // What there is to ask is left to us for a while. A handler may take longer: it holds the row.
        let due_at = service.wakes_at(record, now.at);
        let kept = Kept {
            row: self.row(&saga_id),
            state: service.state(record).as_str(),
            due_at: due_at.map(|at| i64::try_from(at.0).unwrap_or(i64::MAX)),
            record: &record.to_json(),
        };
        D::keep(connection, &kept).await?;
        let traceparent = record.traceparent().map(str::to_owned);
        Ok(Turned { asks: advance.asks, traceparent })
    }

    /// Runs in which there is something to do by itself, each left to us for a while.
    pub(super) async fn due_runs(&self, runs_max: u16) -> sqlx::Result<Vec<(String, String)>> {
        let mut connection = self.pool().acquire().await?;
        let at = now().at;
        let millis = |at: amends_core::Time| i64::try_from(at.0).unwrap_or(i64::MAX);
        let rows_of = &self.0.rows_of;
        D::due(&mut connection, rows_of, millis(at), millis(at + LEFT_FOR), runs_max).await
    }
}
