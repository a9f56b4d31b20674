//! Sagas that their services run among themselves: what is heard of them comes in, and is written down
//! like what a machine decides. Nothing is sent.

use std::sync::Arc;

use amends_core::choreography::{NotTaken, Observing, due, waits_until_all_is_read};
use amends_core::event::Started;
use amends_core::saga::Act;
use amends_core::{Millis, SagaId, Time};
use tokio::sync::oneshot;

use super::batch::Effect;
use super::live::Live;
use super::{Desk, Shard};
use crate::request::{Ask, AskError, Observation, SagaVerb, Snapshot, Unobserved};

/// How often it is looked whether all is read, while something may be late: before that nothing is.
const LOOK_AGAIN: Millis = Millis::secs(5);

/// What may be asked of such a saga.
const CANCEL_ALONE: &str = "its services run the saga among themselves: all that can be asked of them \
                            here is its end, by `cancel`; a step is retried, and its outcome known, at its \
                            own service";

/// Why nothing can be.
const NOBODY_THERE: &str = "its services run the saga among themselves, and this server does not listen where they speak: \
                            look at its log for the broker that it lacks, or ask at one of the services";

impl Desk {
    /// Moves a saga that is observed; nothing, where it is not.
    pub fn observe<T>(
        &mut self,
        live: &mut Live,
        observe: impl FnOnce(Observing<'_>) -> T,
    ) -> Option<T> {
        let deployed = Arc::clone(&live.deployed);
        let of = deployed.choreographed.as_ref()?.choreography();
        let mut observed = None;
        self.move_on(live, |desk, live, facts| {
            let now = desk.moment().at;
            observed = Some(observe(Observing::new(of, live.saga_mut(), now, facts)));
        });
        observed
    }

    /// Time has passed, or it is in memory again.
    pub fn look(&mut self, live: &mut Live) {
        let (all_is_read, asks) =
            (live.deployed.all_is_read(), self.shared.options.active_recovery);
        self.observe(live, |observing| observing.tick(all_is_read, asks));
    }

    /// When to look at it again.
    pub fn next_look(&self, live: &Live) -> Option<Time> {
        let of = live.deployed.choreographed.as_ref()?.choreography();
        let next = due(of, &live.saga, self.now);
        let asks = self.shared.options.active_recovery;
        let waits = waits_until_all_is_read(of, &live.saga, self.now, asks);
        let again = waits.then(|| self.now + LOOK_AGAIN);
        next.into_iter().chain(again).min()
    }
}

impl Shard {
    pub(super) fn hear(
        &mut self,
        observation: Observation,
        reply: oneshot::Sender<Result<(), Unobserved>>,
    ) {
        let saga = observation.saga_id;
        self.awake(saga);
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        // What is said of another saga by that id, a coordinator's or of another definition, was made up.
        let is_of_it = live.saga.pinned.hash == observation.deployed.hash;
        let heard = is_of_it.then_some(observation.report);
        let heard = heard.and_then(|report| self.desk.observe(live, |by| by.hear(report)));
        match heard.unwrap_or(Err(NotTaken::Contradicts)) {
            Ok(()) => self.when_durable(saga, Effect::Heard(reply)),
            Err(why) => drop(reply.send(Err(Unobserved::NotTaken(why)))),
        }
    }

    /// A saga of which something is heard for the first time begins here.
    pub(super) fn first_heard(
        &mut self,
        observation: Observation,
        reply: oneshot::Sender<Result<(), Unobserved>>,
    ) {
        if let Some(why) = self.refuses_starts() {
            return drop(reply.send(Err(why.into())));
        }
        let Observation { saga_id, deployed, report, data, business_key } = observation;
        let (Some(data), Some(of)) = (data, &deployed.choreographed) else {
            return drop(reply.send(Err(Unobserved::Unknown)));
        };
        let now = self.desk.moment().at;
        let started = Started {
            saga_id,
            pinned: deployed.pinned(),
            steps: deployed.definition.steps().len() as u8,
            data,
            business_key,
            deadline: deployed.definition.deadline().map(|deadline| now + deadline),
            choreographed: true,
        };
        let (mut saga, mut facts) = Observing::begin(started, now);
        let heard = Observing::new(of.choreography(), &mut saga, now, &mut facts).hear(report);
        if let Err(why) = heard {
            return drop(reply.send(Err(Unobserved::NotTaken(why))));
        }
        self.desk.pending.starts += 1;
        self.started += 1;
        let mut live = Live::new(saga, deployed);
        self.desk.begin(&mut live, facts);
        self.sagas.insert(saga_id, live);
        self.when_durable(saga_id, Effect::Heard(reply));
    }

    /// Whoever observes can ask for one thing.
    pub(super) fn ask_services(
        &mut self,
        saga: SagaId,
        ask: Ask,
        reply: oneshot::Sender<Result<Snapshot, AskError>>,
    ) {
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        let Ask::Verb { verb: SagaVerb::Cancel, by, reason } = ask else {
            return drop(reply.send(Err(AskError::DoesNotFit(CANCEL_ALONE))));
        };
        if !live.deployed.is_heard() {
            return drop(reply.send(Err(AskError::DoesNotFit(NOBODY_THERE))));
        }
        match self.desk.observe(live, |observing| observing.cancel(Act { by, reason })) {
            Some(Ok(())) => {
                let snapshot = live.snapshot();
                self.when_durable(saga, Effect::Asked { reply, snapshot });
            }
            Some(Err(refusal)) => drop(reply.send(Err(AskError::Refused(refusal)))),
            None => drop(reply.send(Err(AskError::DoesNotFit(CANCEL_ALONE)))),
        }
    }
}
