//! What a message is to the choreographies of definitions, and what a saga in which something is due.

use std::sync::Arc;
use std::time::Duration;

use amends_choreography::{NotTaken, SagaEvent, Service, Unreadable};
use amends_core::{Millis, Time};
use amends_transport::Received;
use amends_wire::SagaId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{Instrument, Span, debug, error, info_span, warn};

use super::side::{Settle, Side, Taken, Work, sealed::Sided};
use super::turn::{Turned, Unturned, What};
use super::{Choreographies, clock, counts::count};
use crate::about::trace_id;
use crate::database::Database;
use crate::participant::Participant;

/// How long an event waits that this service cannot read yet, counted from when it was said: as long as it
/// takes to deploy a new definition, or a new version, at all services. After that it is among the dead
/// letters.
pub const DEFINITION_WAIT: Duration = Duration::from_secs(60 * 60);

impl<D: Database> Sided<D> for Choreographies<D> {
    fn side(self) -> Arc<dyn Side<D>> {
        Arc::new(self)
    }
}

impl<D: Database> Side<D> for Choreographies<D> {
    fn participant(&self) -> &Participant<D> {
        &self.0.participant
    }

    fn take<'a>(
        &'a self,
        received: &'a Received,
        is_held_up: &'a (dyn Fn(SagaId) -> bool + Sync),
    ) -> BoxFuture<'a, Taken> {
        let counts = &self.0.counts;
        let event = match SagaEvent::read(received, &received.body) {
            Ok(event) => event,
            Err(why) => {
                let taken = match why {
                    Unreadable::NotOurs => {
                        count(&counts.others);
                        Taken::new(String::new(), Some(clock()), Settle::Acknowledge)
                    }
                    Unreadable::Newer(_) => {
                        count(&counts.put_off);
                        warn!("an event is put off: {why}");
                        Taken::new("a later format".to_owned(), None, Settle::GiveBack)
                    }
                    Unreadable::Damaged(why) => {
                        count(&counts.damaged);
                        let settle = Settle::Bury(format!("DAMAGED_EVENT: {why}"));
                        Taken::new("damaged".to_owned(), Some(clock()), settle)
                    }
                };
                return std::future::ready(taken).boxed();
            }
        };
        let span = info_span!(
            "amends_event",
            saga_id = %event.saga_id,
            event = event.name(),
            by = event.by,
            trace_id = trace_id(event.traceparent.as_deref()),
        );
        async move { self.take_event(&event, is_held_up).await }.instrument(span).boxed()
    }

    fn due(&self, sagas_max: u16) -> BoxFuture<'_, sqlx::Result<Vec<(String, String)>>> {
        self.due_sagas(sagas_max).boxed()
    }

    fn wake<'a>(&'a self, saga_id: &'a str, saga_type: &'a str) -> BoxFuture<'a, Option<Work>> {
        let span = info_span!("amends_saga", saga_id, saga_type);
        let woken = async move {
            let Ok(id) = saga_id.parse() else {
                error!("a row of amends_saga has no saga_id");
                return None;
            };
            // The row says which definition it goes by; any of the type's may ask for it.
            let service = match self.record(id).await {
                Ok(record) => self.service_of(&record),
                Err(why) => {
                    error!("the saga cannot be taken up: {why}");
                    return None;
                }
            };
            match self.turn(&service, id, &What::Time).await {
                Ok(turned) => self.work(service, id, turned),
                Err(why) => {
                    error!("the saga cannot be taken up; it is tried again: {why}");
                    None
                }
            }
        };
        woken.instrument(span).boxed()
    }

    fn is_asked_elsewhere(&self) -> bool {
        self.hands_are_elsewhere()
    }

    fn grace(&self) -> Millis {
        self.longest_grace()
    }

    fn heard_until(&self, at: Time) {
        self.note_heard_until(at);
    }
}

impl<D: Database> Choreographies<D> {
    async fn take_event(
        &self,
        event: &SagaEvent,
        is_held_up: &(dyn Fn(SagaId) -> bool + Sync),
    ) -> Taken {
        let (counts, key, at) = (&self.0.counts, event.id(), Some(event.at));
        let is_of_ours = |service: &Service| service.of().saga_type() == event.saga_type;
        if !self.0.services.iter().any(is_of_ours) {
            // Several saga types may share a place.
            count(&counts.others);
            return Taken::new(key, at, Settle::Acknowledge);
        }
        let Some(service) = self.by_hash(&event.definition_hash) else {
            // It is of no saga that is known here.
            return Taken::new(key, Some(clock()), self.put_off(event));
        };
        if is_held_up(event.saga_id) {
            debug!("the saga's row is held by its handler: the event comes again");
            return Taken::new(key, at, Settle::GiveBack);
        }
        match self.turn(service, event.saga_id, &What::Heard(event)).await {
            Ok(turned) => {
                count(&counts.heard);
                let work = self.work(service.clone(), event.saga_id, turned);
                Taken { work, ..Taken::new(key, at, Settle::Acknowledge) }
            }
            Err(Unturned::NotTaken(why)) => {
                count(&counts.contradicted);
                let code = if why == NotTaken::NoStep { "UNKNOWN_STEP" } else { "CONTRADICTS" };
                Taken::new(key, at, Settle::Bury(format!("{code}: {why}")))
            }
            Err(why) => {
                error!("an event cannot be taken in; it comes again: {why}");
                Taken::new(key, at, Settle::GiveBack)
            }
        }
    }

    /// What there is to ask after a turn.
    fn work(&self, service: Service, saga_id: SagaId, turned: Turned) -> Option<Work> {
        if turned.asks.is_empty() {
            return None;
        }
        let this = self.clone();
        let asked = async move { this.carry_out(&service, saga_id, turned).await };
        Some(Work { saga_id, span: Span::current(), asked: asked.boxed() })
    }

    /// Of a definition that this service does not have: it may get it, and must miss nothing by then.
    fn put_off(&self, event: &SagaEvent) -> Settle {
        let why = format!(
            "it goes by version {} of {} (definition {}), which this service does not have",
            event.version, event.saga_type, event.definition_hash
        );
        let waits = u64::try_from(DEFINITION_WAIT.as_millis()).unwrap_or(u64::MAX);
        if event.at + Millis(waits) <= clock() {
            count(&self.0.counts.contradicted);
            return Settle::Bury(format!("UNKNOWN_DEFINITION: {why}"));
        }
        count(&self.0.counts.put_off);
        warn!("an event is put off: {why}; deploy it here too");
        Settle::GiveBack
    }
}
