//! What a message is to a participant's reactions, and what a run in which something is due.

use std::sync::Arc;

use amends_choreography::free::{Event, Service};
use amends_choreography::{GRACE, Unreadable};
use amends_core::Millis;
use amends_transport::Received;
use amends_wire::SagaId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{Instrument, Span, debug, error, info_span, warn};

use super::Reactions;
use super::turn::{Turned, What};
use crate::about::trace_id;
use crate::choreography::counts::count;
use crate::choreography::side::{Settle, Side, Taken, Work, sealed::Sided};
use crate::choreography::{DEFINITION_WAIT, clock};
use crate::database::Database;
use crate::participant::Participant;

impl<D: Database> Sided<D> for Reactions<D> {
    fn side(self) -> Arc<dyn Side<D>> {
        Arc::new(self)
    }
}

impl<D: Database> Side<D> for Reactions<D> {
    fn participant(&self) -> &Participant<D> {
        &self.0.participant
    }

    fn take<'a>(
        &'a self,
        received: &'a Received,
        is_held_up: &'a (dyn Fn(SagaId) -> bool + Sync),
    ) -> BoxFuture<'a, Taken> {
        let event = match Event::read(received, &received.body) {
            Ok(event) => event,
            Err(why) => return std::future::ready(self.unreadable(why)).boxed(),
        };
        let span = info_span!(
            "amends_event",
            saga_id = %event.saga_id,
            event = event.name,
            by = event.by,
            trace_id = trace_id(event.traceparent.as_deref()),
        );
        async move { self.take_event(&event, is_held_up).await }.instrument(span).boxed()
    }

    fn due(&self, sagas_max: u16) -> BoxFuture<'_, sqlx::Result<Vec<(String, String)>>> {
        self.due_runs(sagas_max).boxed()
    }

    fn wake<'a>(&'a self, saga_id: &'a str, saga_type: &'a str) -> BoxFuture<'a, Option<Work>> {
        let span = info_span!("amends_saga", saga_id, saga_type);
        let woken = async move {
            let (Ok(id), Some(service)) = (saga_id.parse(), self.named(saga_type)) else {
                error!(
                    "something is due in a run of a choreography that this service does not have"
                );
                return None;
            };
            match self.turn(service, id, &What::Time).await {
                Ok(turned) => self.work(service, id, turned),
                Err(why) => {
                    error!("the run cannot be taken up; it is tried again: {why}");
                    None
                }
            }
        };
        woken.instrument(span).boxed()
    }

    fn grace(&self) -> Millis {
        GRACE
    }
}

impl<D: Database> Reactions<D> {
    fn unreadable(&self, why: Unreadable) -> Taken {
        let counts = &self.0.counts;
        match why {
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
        }
    }

    async fn take_event(
        &self,
        event: &Event,
        is_held_up: &(dyn Fn(SagaId) -> bool + Sync),
    ) -> Taken {
        let (counts, key, at) = (&self.0.counts, event.id(), event.at);
        let service = self.named(&event.choreography);
        let Some((service, is_of_interest)) =
            service.map(|service| (service, service.is_of_interest(&event.name)))
        else {
            // Several choreographies may share a place.
            count(&counts.others);
            return Taken::new(key, at, Settle::Acknowledge);
        };
        match is_of_interest {
            None => return Taken::new(key, Some(clock()), self.put_off(event)),
            Some(false) => {
                count(&counts.others);
                return Taken::new(key, at, Settle::Acknowledge);
            }
            Some(true) => {}
        }
        if is_held_up(event.saga_id) {
            debug!("the run's row is held by its handler: the event comes again");
            return Taken::new(key, at, Settle::GiveBack);
        }
        match self.turn(service, event.saga_id, &What::Heard(event)).await {
            Ok(turned) => {
                count(&counts.heard);
                let work = self.work(service, event.saga_id, turned);
                Taken { work, ..Taken::new(key, at, Settle::Acknowledge) }
            }
            Err(why) => {
                error!("an event cannot be taken in; it comes again: {why}");
                Taken::new(key, at, Settle::GiveBack)
            }
        }
    }

    /// What there is to ask after a turn.
    fn work(&self, service: &Service, saga_id: SagaId, turned: Turned) -> Option<Work> {
        if turned.asks.is_empty() {
            return None;
        }
        let (this, service) = (self.clone(), service.clone());
        let asked = async move { this.carry_out(&service, saga_id, turned).await };
        Some(Work { saga_id, span: Span::current(), asked: asked.boxed() })
    }

    /// An event that this service's file does not have: it may get that, and must miss nothing by then.
    fn put_off(&self, event: &Event) -> Settle {
        let why = format!("{} has no event {:?} here", event.choreography, event.name);
        let waits = u64::try_from(DEFINITION_WAIT.as_millis()).unwrap_or(u64::MAX);
        if event.at.is_none_or(|at| at + Millis(waits) <= clock()) {
            count(&self.0.counts.contradicted);
            return Settle::Bury(format!("UNKNOWN_EVENT: {why}"));
        }
        count(&self.0.counts.put_off);
        warn!("an event is put off: {why}; deploy the choreography that has it here too");
        Settle::GiveBack
    }
}
