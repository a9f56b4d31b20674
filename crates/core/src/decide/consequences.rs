//! What follows by itself: steps become ready, the saga turns, the saga ends.

use alloc::vec;
use alloc::vec::Vec;

use crate::definition::{Kind, Work};
use crate::event::Event;
use crate::ids::{RunRef, StepIx};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{Cause, Run, Settled, State, Status, StepState};

use super::Decision;

impl Decision<'_> {
    /// Draws every consequence of the facts so far, then sets the attention right.
    pub(super) fn settle(&mut self) {
        if !self.saga.state.ended() || mutated(Mutant::SecondEnd) {
            if self.saga.turned.is_none() {
                self.turn_or_go_on();
            }
            self.end();
        }
        self.refresh_attention();
    }

    fn turn_or_go_on(&mut self) {
        loop {
            self.turn_if_failed();
            if self.saga.turned.is_some() || self.saga.paused.is_some() || !self.advance() {
                return;
            }
        }
    }

    pub(super) fn turn_if_failed(&mut self) {
        let open = self.saga.turned.is_none() && !self.saga.state.ended();
        if let Some(run) = self.failing_run().filter(|_| open) {
            self.record(Event::Turned { cause: Cause::Step(run) });
        }
    }

    fn failing_run(&self) -> Option<RunRef> {
        let fails = |at: RunRef, run| rules::fails_saga(self.def.step(at.step), run);
        let (at, _) = self.saga.runs().find(|(at, run)| fails(*at, run))?;
        let unknown_pivot = self.saga.run(at).is_some_and(|run| run.settled == Settled::Open)
            && self.def.step(at.step).kind == Kind::Pivot;
        // Nothing turns a saga whose point of no return is held (S11).
        (unknown_pivot || !rules::point_of_no_return(self.def, self.saga)).then_some(at)
    }

    /// Makes steps ready and hands over signals; says whether anything moved.
    fn advance(&mut self) -> bool {
        let before = self.facts.len();
        for step in self.def.indices() {
            match &self.saga.steps[step.get()] {
                StepState::Waiting { expression_error: None } => self.begin(step),
                StepState::Runs { runs, .. } if runs[0].status == Status::Pending => {
                    if let Work::Signal { judged: false, .. } = self.def.step(step).work {
                        self.take_signal(step);
                    }
                }
                _ => {}
            }
        }
        self.facts.len() > before
    }

    fn begin(&mut self, step: StepIx) {
        let evaluated_first = self.def.step(step).computed.any();
        if !evaluated_first && rules::reached(self.def, self.saga, step) {
            self.ready(step, false, vec![None]);
        }
    }

    fn end(&mut self) {
        let state = if self.saga.turned.is_some() {
            let owes =
                |(at, run): (RunRef, _)| rules::owes_undo(self.saga, self.def.step(at.step), run);
            if self.saga.runs().any(owes) {
                return;
            }
            State::Failed
        } else if self.def.indices().all(|step| rules::done(self.def, self.saga, step)) {
            State::Completed
        } else {
            return;
        };
        self.give_up_what_does_not_matter();
        self.record(Event::Ended { state });
    }

    /// What was asked and is neither undone nor waited for (steps that only read, best efforts) is
    /// not left executing in a saga that has ended.
    fn give_up_what_does_not_matter(&mut self) {
        let open = |(_, run): &(RunRef, &Run)| {
            run.status == Status::Executing && run.settled == Settled::Open
        };
        let given_up = |(at, run): (RunRef, &Run)| (at, !rules::may_have_left(run));
        let left: Vec<_> = self.saga.runs().filter(open).map(given_up).collect();
        for (run, unreachable) in left {
            self.record(Event::GivenUp { run, unreachable });
        }
    }
}
