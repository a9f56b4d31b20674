//! What holds of the saga after every decision (`semantics.md` section 6).

use amends_core::input::{Answer, Outcome, Verb};
use amends_core::saga::{Attention, Status};
use amends_core::{
    Direction, Event, Input, Millis, Moment, RunRef, Saga, StepIx, Time, decide, effects, rules,
};

use crate::Watched;

/// How many ticks at one moment must bring its timers to rest: each fires once for a run.
const TICKS_TO_REST_MAX: usize = 20;

/// A year: longer than any time that a drawn or written definition here names.
const FOR_EVER: Millis = Millis(365 * 24 * 3_600_000);

impl Watched {
    /// S16. An outage adds up by nature, and a verb that may be meant twice is guarded by the seq
    /// it was asked at.
    pub(crate) fn assert_twice_is_once(&self, input: &Input) {
        let repeatable = matches!(
            input,
            Input::Outage { .. } | Input::Verb { verb: Verb::Retry { .. } | Verb::Edit { .. }, .. }
        );
        if repeatable {
            return;
        }
        let (mut saga, mut facts) = (self.saga.clone(), Vec::new());
        let now = Moment { at: self.now, jitter: self.jitter };
        let _ = decide(&self.def, &mut saga, now, input.clone(), &mut facts);
        assert!(facts.is_empty(), "S16: {input:?} a second time moved it by {facts:?}");
    }

    /// All the others.
    pub(crate) fn assert_invariants(&self, before: &Saga) {
        let saga = &self.saga;
        let facts = self.history.iter().map(|(at, fact)| (*at, fact));
        assert_eq!(Saga::replay(facts).as_ref(), Ok(saga), "S17: replay differs");
        assert_eq!(saga.seq, self.history.len() as u64, "S20: a gap");
        let ends = self.history.iter().filter(|(_, e)| matches!(e, Event::Ended { .. })).count();
        assert_eq!(ends, usize::from(saga.state.ended()), "S3: at most one end");
        assert!(!before.state.ended() || before.state == saga.state, "an end is for good");
        for (i, a) in saga.attention.iter().enumerate() {
            let same =
                |b: &&Attention| (b.run, b.direction, b.reason) == (a.run, a.direction, a.reason);
            assert_eq!(saga.attention.iter().filter(same).count(), 1, "S21: {i}: {a:?}");
        }
        self.due_times_move_only_later(before);
        self.timers_come_to_rest();
        self.no_timer_is_overlooked();
        self.something_moves_it_on();
        self.an_end_leaves_nothing_half_done();
        self.made_up_replies_change_nothing();
    }

    /// S22.
    fn due_times_move_only_later(&self, before: &Saga) {
        assert!(before.deadline <= self.saga.deadline, "S22: the saga's deadline moved earlier");
        for (at, run) in before.runs() {
            let now = self.saga.run(at).expect("runs do not vanish");
            assert!(run.deadline <= now.deadline, "S22: the deadline of {at:?} moved earlier");
        }
    }

    /// A due time that is not in the future must be one that a tick uses up.
    fn timers_come_to_rest(&self) {
        let mut saga = self.saga.clone();
        let now = Moment { at: self.now, jitter: self.jitter };
        for _ in 0..TICKS_TO_REST_MAX {
            let Some(due) = effects::next_due(&self.def, &saga, self.now) else { return };
            if due > self.now {
                return;
            }
            let mut facts = Vec::new();
            decide(&self.def, &mut saga, now, Input::Tick, &mut facts).expect("a tick is taken");
            assert!(!facts.is_empty(), "due at {due:?}, yet a tick does nothing: {saga:#?}");
        }
        panic!("the timers do not come to rest: {saga:#?}");
    }

    /// S22: short of the next due time, and for ever where there is none, a tick has nothing to say. An
    /// engine that sleeps until then misses nothing.
    fn no_timer_is_overlooked(&self) {
        let mut saga = self.saga.clone();
        let due = effects::next_due(&self.def, &saga, self.now);
        let until = due.map_or(self.now + FOR_EVER, |due| Time(due.0 - 1));
        if until <= self.now {
            return;
        }
        let (moment, mut facts) = (Moment { at: until, jitter: self.jitter }, Vec::new());
        decide(&self.def, &mut saga, moment, Input::Tick, &mut facts).expect("a tick is taken");
        assert!(facts.is_empty(), "S22: next due at {due:?}, and before that {facts:?}");
    }

    /// L1: what still owes something is sent, timed, evaluated, or a person's.
    fn something_moves_it_on(&self) {
        let saga = &self.saga;
        let moves = !rules::live(&self.def, saga)
            || saga.paused.is_some()
            || !saga.attention.is_empty()
            || effects::owed(&self.def, saga).next().is_some()
            || effects::next_due(&self.def, saga, self.now).is_some()
            || !effects::evaluations(&self.def, saga).is_empty();
        assert!(moves, "L1: nothing moves it on and nobody is told: {saga:#?}");
        if saga.paused.is_some() {
            assert!(effects::owed(&self.def, saga).next().is_none(), "a paused saga sends");
            assert_eq!(effects::next_due(&self.def, saga, self.now), None, "a paused timer");
        }
    }

    fn an_end_leaves_nothing_half_done(&self) {
        if rules::live(&self.def, &self.saga) {
            return;
        }
        for (at, run) in self.saga.runs() {
            let open = matches!(run.status, Status::Executing | Status::Compensating);
            assert!(
                !open,
                "{} is {:?} in a saga that ended",
                self.name(at, Direction::Action),
                run.status
            );
        }
    }

    /// S15: replies to what was never sent, by every name that they could give it.
    fn made_up_replies_change_nothing(&self) {
        let (mut saga, mut facts) = (self.saga.clone(), Vec::new());
        let now = Moment { at: self.now, jitter: self.jitter };
        let mut refused = |run: RunRef, direction: Direction, round, attempt| {
            let outcome = Outcome::Completed { result: "1".into(), undone: Some(true) };
            let answer = Answer { run, direction, round, attempt, own_exchange: false, outcome };
            let told = decide(&self.def, &mut saga, now, Input::Answer(answer), &mut facts);
            assert!(
                told.is_err(),
                "S15: a reply to {direction:?} of {run:?} was taken, and it was never sent: round {round:?}, attempt {attempt:?}"
            );
        };
        let beyond = RunRef::only(StepIx(self.def.steps().len() as u8));
        for run in self.saga.runs().map(|(at, _)| at).chain([beyond]) {
            for direction in [Direction::Action, Direction::Compensation] {
                let known = self.saga.run(run).and_then(|run| run.sendings(direction));
                let Some(sendings) = known else {
                    refused(run, direction, None, None);
                    continue;
                };
                refused(run, direction, Some(0), None);
                if !sendings.intent {
                    refused(run, direction, Some(sendings.round), None);
                }
                refused(run, direction, Some(sendings.round + 1), None);
                refused(run, direction, Some(sendings.round), Some(sendings.attempts + 1));
                refused(run, direction, Some(sendings.round), Some(0));
            }
        }
        assert!(
            facts.is_empty() && saga == self.saga,
            "S15: made-up replies moved it by {facts:?}"
        );
    }
}
