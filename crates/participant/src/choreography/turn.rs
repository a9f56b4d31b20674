//! One thing that happened, taken in within one transaction: the saga's row is held, its record moves on,
//! and what there is to say goes into the outbox.

use amends_choreography::{
    Answered, Foreign, InVain, LEFT_FOR, Moment, NotTaken, Reason, Record, SagaEvent, Service, Task,
};
use amends_core::StepIx;
use amends_wire::SagaId;
use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Choreographies, counts::count, publish};
use crate::database::{Database, Kept, NotBegun, SagaRow};

/// How often a turn is taken that was rolled back for the sake of another transaction.
const TRIES_MAX: u32 = 5;

/// What happened.
pub(super) enum What<'a> {
    /// An event came.
    Heard(&'a SagaEvent),
    /// Time has passed.
    Time,
    /// An attempt at an own step, or at its undo, is about to leave for another process.
    Begun(Task),
    /// An own step ended.
    Answered(StepIx, Answered),
    /// An attempt at an own step, or at its undo, came to nothing.
    InVain(StepIx, InVain),
    /// A person cancels.
    Cancel(Reason),
}

/// What there is to do after a turn.
#[derive(Default)]
pub(super) struct Turned {
    /// What is to be asked of the handlers, each with the command's body.
    pub(super) asks: Vec<(Task, Bytes)>,
    /// The trace that the saga is part of.
    pub(super) traceparent: Option<String>,
    /// The steps that are late since then.
    pub(super) late: Vec<StepIx>,
}

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unturned {
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    #[error("what is stored of the saga cannot be read: {0}")]
    Foreign(#[from] Foreign),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

impl<D: Database> Choreographies<D> {
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
        let (was, now) = (record.state(), self.now());
        // An error drops the transaction, and so rolls it back.
        let events = match what {
            What::Heard(event) => service.hear(&mut record, event, now.at)?,
            What::Time => Vec::new(),
            What::Begun(task) => {
                service.begin(&mut record, *task, now.at)?;
                Vec::new()
            }
            What::Answered(step, answered) => {
                service.answered(&mut record, *step, answered.clone(), now)?
            }
            What::InVain(step, in_vain) => {
                service.tried(&mut record, *step, in_vain.clone(), now)?
            }
            What::Cancel(reason) => service.cancel(&mut record, reason.clone(), now.at)?,
        };
        let turned = self.keep(&mut tx, service, &mut record, events, now).await?;
        tx.commit().await?;
        self.0.participant.0.outbox_written.notify_one();
        self.say_late(service, saga_id, &turned);
        if was != record.state() {
            info!(saga_id = %saga_id, from = was.as_str(), to = record.state().as_str(), "the saga");
        }
        Ok(turned)
    }

    /// Holds a saga's row until the transaction ends.
    pub(super) async fn hold(
        &self,
        connection: &mut D::Connection,
        service: &Service,
        saga_id: SagaId,
    ) -> Result<Record, Unturned> {
        let saga_type = service.of().saga_type();
        let id = saga_id.to_string();
        let row = SagaRow { saga_id: &id, service: service.name() };
        let text = D::hold(connection, row, saga_type).await?;
        if text.is_empty() {
            return Ok(Record::new(service.of().clone(), saga_id));
        }
        Ok(Record::from_json(saga_id, &text, |hash| self.definition(hash))?)
    }

    /// Moves the record on by what follows by itself, writes it, and publishes what there is to say.
    pub(super) async fn keep(
        &self,
        connection: &mut D::Connection,
        service: &Service,
        record: &mut Record,
        mut events: Vec<SagaEvent>,
        now: Moment,
    ) -> sqlx::Result<Turned> {
        let advance = service.advance(record, now);
        events.extend(advance.events);
        let saga_id = record.saga_id().to_string();
        publish::<D>(connection, events.iter().map(SagaEvent::message)).await?;
        // What there is to ask is left to us for a while. A handler may take longer: it holds the row.
        let due_at = service.wakes_at(record, now.at);
        let kept = Kept {
            row: SagaRow { saga_id: &saga_id, service: service.name() },
            state: record.state().as_str(),
            due_at: due_at.map(|at| i64::try_from(at.0).unwrap_or(i64::MAX)),
            record: &record.to_json(),
        };
        D::keep(connection, &kept).await?;
        let traceparent = record.traceparent().map(str::to_owned);
        Ok(Turned { asks: advance.asks, traceparent, late: advance.late })
    }

    /// Once it is committed.
    pub(super) fn say_late(&self, service: &Service, saga_id: SagaId, turned: &Turned) {
        for &step in &turned.late {
            count(&self.0.counts.late);
            let step = service.step_name(step);
            warn!(saga_id = %saga_id, step, "the step was not done in its time");
        }
    }

    /// Sagas in which there is something to do by itself, each left to us for a while.
    pub(super) async fn due_sagas(&self, sagas_max: u16) -> sqlx::Result<Vec<(String, String)>> {
        let mut connection = self.0.participant.pool().acquire().await?;
        let at = self.now().at;
        let millis = |at: amends_core::Time| i64::try_from(at.0).unwrap_or(i64::MAX);
        let service = self.0.participant.service();
        D::due(&mut connection, service, millis(at), millis(at + LEFT_FOR), sagas_max).await
    }
}
