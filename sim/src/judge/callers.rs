//! What was told to callers, and what the judge tells them of sagas.

use std::sync::Arc;

use amends_core::definition::{Kind, Work};
use amends_core::saga::{Sendings, Settled, StepState};
use amends_core::{Direction, RunRef, SagaId};

use super::{Call, Judge, Law, Place, Said};

impl Judge {
    /// The start of that number was acknowledged.
    pub fn started(&self, number: u64, saga: SagaId) {
        let mut inner = self.inner();
        let first = *inner.truth.acknowledged.entry(number).or_insert(saga);
        let twice = (first != saga).then(|| format!("start {number} gave {first} before"));
        inner.check(&self.trace, Law::S16, Some(saga), twice);
    }

    /// The last event that a caller was told of.
    pub fn told(&self, saga: SagaId) -> u64 {
        self.inner().truth.told.get(&saga).copied().unwrap_or(0)
    }

    /// Every start that was acknowledged.
    pub fn acknowledged(&self) -> Vec<SagaId> {
        self.inner().truth.acknowledged.values().copied().collect()
    }

    /// A reply was said to be durable.
    pub fn reply_taken(&self, call: &Call, said: Said) {
        let mut inner = self.inner();
        let known = inner.truth.saga(call.place.saga);
        let run = known.and_then(|known| known.saga.run(call.place.run));
        let kept = match (call.direction, said) {
            (Direction::Action, Said::Done) => {
                run.is_some_and(|run| run.resolved || run.settled == Settled::Succeeded)
            }
            // It closes its own round, and no later one.
            (Direction::Compensation, Said::Undone(_)) => {
                run.and_then(|run| run.undo.as_ref()).is_some_and(|undo| {
                    let later = |sendings: &Sendings| sendings.round > u32::from(call.round);
                    undo.end.is_some() || undo.sendings.as_ref().is_some_and(later)
                })
            }
            _ => known.is_some(),
        };
        let lost = (!kept).then(|| format!("{} {said:?} is acknowledged and lost", call.key));
        inner.check(&self.trace, Law::S18, Some(call.place.saga), lost);
    }

    /// An authentic reply was refused, though its command was sent.
    pub fn reply_refused(&self, call: &Call, what: String) {
        self.check(Law::S13, Some(call.place.saga), Some(what));
    }

    /// What kind of step this is.
    pub fn kind_of(&self, at: Place) -> Kind {
        let inner = self.inner();
        let known = inner.truth.saga(at.saga);
        known.map_or(Kind::Compensatable, |known| known.definition.step(at.run.step).kind)
    }

    /// The signals that a saga may wait for.
    pub fn signals_of(&self, saga: SagaId) -> Vec<Arc<str>> {
        let inner = self.inner();
        let Some(known) = inner.truth.saga(saga) else { return Vec::new() };
        let signal = |step: &amends_core::definition::Step| match &step.work {
            Work::Signal { signal, .. } => Some(Arc::clone(signal)),
            Work::Command { .. } => None,
        };
        known.definition.steps().iter().filter_map(signal).collect()
    }

    /// The runs of a saga that have commands, by name, each with its service.
    pub fn steps_of(&self, saga: SagaId) -> Vec<(String, RunRef, Arc<str>)> {
        let inner = self.inner();
        let Some(known) = inner.truth.saga(saga) else { return Vec::new() };
        let named = |(at, _): (RunRef, &amends_core::saga::Run)| {
            let step = known.definition.step(at.step);
            let service = Arc::clone(&step.action()?.service);
            let name = match &known.saga.steps[at.step.get()] {
                StepState::Runs { for_each: true, .. } => format!("{}.{}", step.name, at.run),
                _ => step.name.to_string(),
            };
            Some((name, at, service))
        };
        known.saga.runs().filter_map(named).collect()
    }
}

impl Judge {
    /// A transition was published.
    pub fn published(
        &self,
        opening: u64,
        saga: SagaId,
        seq: u64,
        state: Option<amends_core::saga::State>,
    ) {
        let mut inner = self.inner();
        let held = inner.truth.saga(saga).map_or(0, |known| known.saga.seq);
        let early = (seq > held).then(|| format!("event {seq} is published, {held} is durable"));
        inner.check(&self.trace, Law::S23, Some(saga), early);
        let known = inner.truth.sagas.get_mut(&saga);
        let last = known.and_then(|known| known.last_published.insert(opening, seq));
        let order = last.filter(|last| *last > seq);
        let order = order.map(|last| format!("event {seq} is published after event {last}"));
        inner.check(&self.trace, Law::S23, Some(saga), order);
        if let Some(known) = inner.truth.sagas.get_mut(&saga)
            && state.is_some_and(|state| state.ended())
        {
            known.published.insert(opening);
        }
    }

    /// Of the sagas that ended under this opening, every end must have been published.
    pub fn judge_published(&self, opening: u64) {
        for saga in self.ended_by(opening) {
            let mut inner = self.inner();
            let known = inner.truth.saga(saga);
            let heard = known.is_some_and(|known| known.published.contains(&opening));
            let unheard = (!heard).then(|| "its end was never published".to_owned());
            inner.check(&self.trace, Law::S23, Some(saga), unheard);
        }
    }
}
