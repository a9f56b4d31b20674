//! Timers: what time alone brings about. Inputs that have arrived are taken before them.

use alloc::vec::Vec;

use crate::definition::{Kind, OnDeadline, Work};
use crate::effects::{deadline_armed, saga_deadline_armed, step_timers_run};
use crate::event::{CommandRef, Ending, Event};
use crate::ids::{Direction, RunRef};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{Cause, Fault};
use crate::time::Millis;

use super::Decision;

impl Decision<'_> {
    pub(super) fn tick(&mut self) {
        if self.saga.paused.is_some() {
            return;
        }
        let runs: Vec<RunRef> = self.saga.runs().map(|(at, _)| at).collect();
        for run in runs {
            self.attempt_timer(run, Direction::Action);
            self.attempt_timer(run, Direction::Compensation);
            self.deadline_timer(run);
        }
        self.saga_deadline();
    }

    fn attempt_timer(&mut self, run: RunRef, direction: Direction) {
        let Some(state) = self.saga.run(run) else { return };
        let Some(sendings) = state.sendings(direction) else { return };
        let Some(open) = sendings.open else { return };
        let until = rules::waited_until(self.def.step(run.step), state, direction, open);
        let early = if mutated(Mutant::TimerEarly) { Millis::secs(1) } else { Millis::ZERO };
        if until > self.at() + early {
            return;
        }
        if direction == Direction::Action && !step_timers_run(self.def, self.saga, run, state) {
            return;
        }
        let command = CommandRef { run, direction, round: sendings.round };
        self.attempt_over(command, open.number, Ending::TimedOut, None, None);
    }

    fn deadline_timer(&mut self, run: RunRef) {
        let Some(state) = self.saga.run(run) else { return };
        let due = state.deadline <= self.at()
            && step_timers_run(self.def, self.saga, run, state)
            && deadline_armed(self.def, self.saga, run, state);
        if !due {
            return;
        }
        match &self.def.step(run.step).work {
            Work::Command { .. } => self.time_is_up(run),
            Work::Signal { on_deadline: OnDeadline::Refuse, signal, .. } => {
                let message = alloc::format!("no signal {signal} came in time");
                let fault = Fault::new("DEADLINE", &message);
                self.record(Event::SignalRefused { step: run.step, fault });
            }
            Work::Signal { on_deadline: OnDeadline::Continue(value), .. } => {
                self.record(Event::Completed { run, result: value.clone() });
            }
        }
    }

    fn saga_deadline(&mut self) {
        let passed = self.saga.deadline.is_some_and(|deadline| deadline <= self.at());
        if passed && saga_deadline_armed(self.def, self.saga) {
            self.record(Event::Turned { cause: Cause::Deadline });
        }
    }

    /// The step's deadline has passed, or its `max_attempts` are sent and timed out. What that
    /// means is its kind's (section 5, table); what makes it harmless is its fence's.
    pub(super) fn time_is_up(&mut self, run: RunRef) {
        let Some(state) = self.saga.run(run) else { return };
        if !rules::action_open(state) || rules::undo_begun(state) {
            return;
        }
        let unreachable = !rules::may_have_left(state);
        match self.def.step(run.step).kind {
            Kind::Compensatable | Kind::BestEffort => {
                self.record(Event::GivenUp { run, unreachable });
            }
            Kind::Pivot if unreachable => self.record(Event::GivenUp { run, unreachable }),
            Kind::Pivot | Kind::Retriable => {
                if state.action.as_ref().is_some_and(|action| !action.overdue) {
                    self.record(Event::Overdue { run });
                }
            }
        }
    }
}
