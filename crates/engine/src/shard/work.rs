//! Work on one saga: an input goes in, facts go into the batch, and what the saga then owes is
//! evaluated, sent or put into a queue.

use std::sync::Arc;

use amends_core::event::Event;
use amends_core::{Input, Millis, Refusal, SagaId, decide, effects, rules};
use amends_store::{ClaimKey, ClaimKind};

use super::batch::Effect;
use super::lane::Sign;
use super::live::Live;
use super::{Desk, Shard};
use crate::mutant::{self, Mutant, mutated};
use crate::persist;
use crate::transition::{Transition, Watched};

/// More rounds of evaluating and sending than a saga has steps mean that the machine asks for the
/// same thing again and again; the saga is left alone rather than the shard held up.
const ROUNDS_MAX: usize = 4 * amends_core::definition::STEPS_MAX;

impl Desk {
    /// Takes one input in, and all that follows from it by itself.
    pub fn work(
        &mut self,
        live: &mut Live,
        input: Input,
        sign: Option<Sign>,
    ) -> Result<(), Refusal> {
        let mut decided = Ok(());
        let answered = match &input {
            Input::Answer(answer) => Some((answer.run, answer.direction)),
            _ => None,
        };
        let sign = answered.zip(sign);
        self.move_on(live, |desk, live, facts| {
            let deployed = Arc::clone(&live.deployed);
            let moment = desk.moment();
            decided = decide(&deployed.definition, live.saga_mut(), moment, input, facts);
            desk.free_places(live, sign);
        });
        decided
    }

    /// Time has passed.
    pub fn tick(&mut self, live: &mut Live) {
        match &live.saga.heard {
            Some(_) => self.look(live),
            // It refuses nothing.
            None => drop(self.work(live, Input::Tick, None)),
        }
    }

    /// The engine was away: what it waits for has so much more time.
    pub fn make_up_for(&mut self, live: &mut Live, lasted: Millis) {
        match &live.saga.heard {
            Some(_) => drop(self.observe(live, |observing| observing.outage(lasted))),
            // It refuses nothing.
            None => drop(self.work(live, Input::Outage { lasted }, None)),
        }
    }

    /// Evaluates and sends what is owed now, for a saga on which nothing came in.
    pub fn nudge(&mut self, live: &mut Live) {
        self.move_on(live, |_, _, _| {});
    }

    /// Lets a saga be moved, draws what follows from it, and writes it all down.
    pub fn move_on(
        &mut self,
        live: &mut Live,
        moved: impl FnOnce(&mut Self, &mut Live, &mut Vec<Event>),
    ) {
        let before = self.shared.watched().then(|| Watched::of(&live.saga));
        let first_seq = live.saga.seq + 1;
        let mut facts = Vec::new();
        moved(self, live, &mut facts);
        self.go_on(live, &mut facts);
        self.record(live, first_seq, &facts);
        if let Some(before) = before {
            self.publish_changes(live, &before);
        }
    }

    /// Writes facts that were decided elsewhere (a start) into the batch.
    pub fn begin(&mut self, live: &mut Live, mut facts: Vec<Event>) {
        self.go_on(live, &mut facts);
        self.record(live, 1, &facts);
        if self.shared.watched() {
            self.publish_changes(live, &Watched::default());
        }
    }

    fn go_on(&mut self, live: &mut Live, facts: &mut Vec<Event>) {
        let deployed = Arc::clone(&live.deployed);
        for _ in 0..ROUNDS_MAX {
            let evaluated = self.evaluate(live, &deployed, facts);
            let sent = self.dispatch_owed(live, &deployed, facts);
            if !evaluated && !sent {
                return;
            }
        }
    }

    fn evaluate(
        &mut self,
        live: &mut Live,
        deployed: &crate::deployed::Deployed,
        facts: &mut Vec<Event>,
    ) -> bool {
        if !deployed.has_expressions {
            return false;
        }
        let steps = effects::evaluations(&deployed.definition, &live.saga);
        for &step in &steps {
            let value = crate::evaluation::evaluate(&deployed.compiled, &live.saga, step);
            let input = Input::Evaluated { step, value };
            let moment = self.moment();
            // A step that became unreachable through the evaluation before is no longer owed.
            let _ = decide(&deployed.definition, live.saga_mut(), moment, input, facts);
        }
        !steps.is_empty()
    }

    /// Writes the decision's facts down: for the journal, and for the next checkpoint.
    fn record(&mut self, live: &mut Live, first_seq: u64, facts: &[Event]) {
        let falsified = mutant::falsified(facts);
        let facts = falsified.as_deref().unwrap_or(facts);
        if facts.is_empty() {
            return self.set_timer(live);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        persist::encode(self.now, facts, &mut scratch);
        live.keep(&scratch);
        self.pending.add(live, first_seq, facts.len() as u32, &scratch);
        self.scratch = scratch;
        self.shared.metrics.facts(&live.deployed, &live.saga, facts);
        for fact in facts {
            if let Event::Ended { .. } = fact {
                self.release_key(live);
                self.pending.effect(Effect::Ended(live.id()));
            }
        }
        self.set_timer(live);
    }

    fn release_key(&mut self, live: &Live) {
        // One that is only observed holds none.
        if let Some(key) = live.saga.business_key.as_ref().filter(|_| live.saga.heard.is_none()) {
            let scope = Arc::clone(live.deployed.definition.saga_type());
            let key = Arc::clone(key);
            self.pending.release(live, ClaimKey { kind: ClaimKind::Business, scope, key });
        }
    }

    /// Registers when the saga must be looked at again. A timer that is only early is left alone:
    /// it finds nothing due and moves then.
    pub fn set_timer(&mut self, live: &mut Live) {
        let next = match &live.saga.heard {
            Some(_) => self.next_look(live),
            None => effects::next_due(&live.deployed.definition, &live.saga, self.now),
        };
        match (live.due, next) {
            (Some(due), Some(next)) if due <= next => {}
            (due, Some(next)) => {
                if let Some(due) = due {
                    self.timers.remove(&(due, live.id()));
                }
                self.timers.insert((next, live.id()));
                live.due = Some(next);
            }
            (_, None) => {}
        }
    }

    fn publish_changes(&mut self, live: &Live, before: &Watched) {
        let saga = &live.saga;
        for change in before.changes(&live.deployed, saga) {
            self.pending.effect(Effect::Publish(Transition {
                saga_id: saga.id,
                saga_type: Arc::clone(&saga.pinned.saga_type),
                seq: saga.seq,
                at: saga.updated_at,
                change,
            }));
        }
    }
}

impl Shard {
    /// Fires the timers that are due. Inputs that have arrived have been taken before.
    pub(super) fn fire_timers(&mut self) {
        while self.room_in_batch() {
            let Some(&(at, saga)) = self.desk.timers.first() else { return };
            if at > self.desk.now {
                return;
            }
            self.desk.timers.pop_first();
            self.desk.pending.inputs += 1;
            self.awake(saga);
            let Some(live) = self.sagas.get_mut(&saga) else { continue };
            live.due = None;
            self.desk.tick(live);
            self.desk.shared.metrics.timer_lag(self.desk.now.since(at));
        }
    }

    /// Serves whoever waits for room, lane by lane.
    pub(super) fn serve_lanes(&mut self) {
        for index in 0..self.desk.lanes.len() {
            while self.room_in_batch() {
                let Some(first) = self.desk.lanes[index].first() else { break };
                // One that waits for nothing any more must not use up a place, a probe or the pace.
                let waits = self
                    .sagas
                    .get_mut(&first.saga)
                    .is_some_and(|live| self.desk.still_waits(live, first));
                if !waits {
                    self.desk.lanes[index].drop_first();
                    continue;
                }
                let now = self.desk.now;
                let Some(waiting) = self.desk.lanes[index].next(now) else { break };
                self.desk.pending.inputs += 1;
                if let Some(live) = self.sagas.get_mut(&waiting.saga) {
                    self.desk.serve(live, waiting, index);
                }
            }
        }
    }

    pub(super) fn leave_timers(&mut self, live: &Live) {
        if let Some(due) = live.due {
            self.desk.timers.remove(&(due, live.id()));
        }
    }

    /// Gives back the places of a saga that leaves memory. Its entries in the queues find nobody.
    pub(super) fn leave_lanes(&mut self, live: &Live) {
        for place in live.places.iter().filter(|place| place.attempt.is_some()) {
            self.desk.lane(place.lane).give_back();
        }
    }

    /// A saga's end is durable. It leaves memory when nothing is owed any more.
    pub(super) fn ended(&mut self, saga: SagaId) {
        let Some(live) = self.sagas.get(&saga) else { return };
        let idle = live.durable_seq == live.saga.seq && live.places.is_empty();
        if !live.saga.state.ended() || !idle {
            return self.wake_waiters(saga);
        }
        if rules::live(&live.deployed.definition, &live.saga) {
            return self.wake_waiters(saga);
        }
        self.wake_waiters(saga);
        if let Some(live) = self.sagas.remove(&saga) {
            self.leave_timers(&live);
            let row = self.desk.collected(&live);
            self.archive.insert(saga, Arc::new(row));
        }
    }

    fn wake_waiters(&mut self, saga: SagaId) {
        let Some(live) = self.sagas.get_mut(&saga) else { return };
        if live.waiters.is_empty() {
            return;
        }
        let snapshot = live.snapshot();
        // Something may have happened since the end, a late answer say, that is not durable yet.
        for reply in std::mem::take(&mut live.waiters) {
            let snapshot = snapshot.clone();
            let effect = Effect::Got { reply, snapshot };
            match mutated(Mutant::TellWaitersEarly) {
                true => self.carry_out(effect),
                false => self.when_durable(saga, effect),
            }
        }
    }

    /// The engine was away: every saga in memory makes up for it.
    pub(super) fn outage(&mut self, lasted: Millis) {
        self.desk.shared.outage(self.desk.now, lasted);
        // One that is asleep hears of it when it wakes.
        let mut told = Vec::new();
        for live in self.sagas.values_mut().filter(|live| !live.asleep) {
            if live.missed == Millis::ZERO {
                told.push(live.id());
            }
            live.missed = Millis(live.missed.0 + lasted.0);
        }
        // The oldest first, and not as the map has them: that would be another order in every run.
        told.sort_unstable();
        self.to_wake.extend(told);
    }
}
