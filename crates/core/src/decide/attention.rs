//! Attention: what a person is needed for, worked out anew after every decision. It goes when its
//! cause goes (S21); only `contradicted` waits to be acknowledged.

use alloc::vec::Vec;

use crate::definition::Kind;
use crate::effects::UNDO_SLOW_AFTER;
use crate::event::Event;
use crate::ids::{Direction, RunRef, StepIx};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{Letter, Reason, Run, StepState};

use super::Decision;

type Item = (Option<RunRef>, Direction, Reason);

impl Decision<'_> {
    pub(super) fn raise(&mut self, run: Option<RunRef>, direction: Direction, reason: Reason) {
        let known = self.saga.attention.iter().any(|a| a.is(run, direction, reason));
        if !known {
            self.record(Event::AttentionRaised { run, direction, reason });
        }
        if !known && mutated(Mutant::AttentionDoubled) {
            self.record(Event::AttentionRaised { run, direction, reason });
        }
    }

    pub(super) fn refresh_attention(&mut self) {
        let wanted = self.wanted();
        let held = |a: &crate::saga::Attention| (a.run, a.direction, a.reason);
        let gone: Vec<Item> = self
            .saga
            .attention
            .iter()
            .map(held)
            .filter(|item| item.2 != Reason::Contradicted && !wanted.contains(item))
            .collect();
        for (run, direction, reason) in gone {
            if mutated(Mutant::AttentionStays) {
                continue;
            }
            self.record(Event::AttentionCleared { run, direction, reason, act: None });
        }
        for (run, direction, reason) in wanted {
            self.raise(run, direction, reason);
        }
    }

    fn wanted(&self) -> Vec<Item> {
        let mut wanted = Vec::new();
        let overdue = self.saga.deadline.is_some_and(|deadline| deadline <= self.at())
            && self.saga.turned.is_none()
            && !self.saga.state.ended()
            && rules::point_of_no_return(self.def, self.saga);
        if overdue {
            wanted.push((None, Direction::Action, Reason::Overdue));
        }
        let forward = self.saga.turned.is_none() && !self.saga.state.ended();
        for (i, step) in (0u8..).zip(&self.saga.steps) {
            if forward && matches!(step, StepState::Waiting { expression_error: Some(_) }) {
                let run = Some(RunRef::only(StepIx(i)));
                wanted.push((run, Direction::Action, Reason::Expression));
            }
        }
        for (at, run) in self.saga.runs() {
            self.wanted_by_action(at, run, &mut wanted);
            self.wanted_by_undo(at, run, &mut wanted);
        }
        if self.saga.paused.is_some() {
            // A pause fires no timer: what time alone would raise waits for the resume.
            wanted.retain(|&(run, direction, reason)| {
                let by_time = matches!(reason, Reason::Overdue | Reason::UndoSlow);
                !by_time || self.saga.attention.iter().any(|a| a.is(run, direction, reason))
            });
        }
        wanted
    }

    fn wanted_by_action(&self, at: RunRef, run: &Run, wanted: &mut Vec<Item>) {
        let mut want = |reason| wanted.push((Some(at), Direction::Action, reason));
        let step = self.def.step(at.step);
        let open = rules::action_open(run) && !self.saga.state.ended();
        let overdue = open && run.action.as_ref().is_some_and(|action| action.overdue);
        match step.kind {
            Kind::Pivot if overdue => want(Reason::PivotUnknown),
            Kind::Retriable if overdue => want(Reason::RetriableSlow),
            _ => {}
        }
        if step.kind == Kind::Retriable && open {
            let refused = run.action.as_ref().is_some_and(|action| action.refused_before);
            if refused && self.saga.turned.is_none() && run.by.is_none() {
                want(Reason::RefusedAfterPivot);
            }
        }
        if rules::waits_for_a_person(step, run) {
            want(Reason::OutcomeUnknown);
        }
        if run.contract.is_some() && !rules::undo_begun(run) && open {
            want(Reason::Contract);
        }
        if run.unbound && open && !self.undo_is_next(at, run) {
            want(Reason::UnboundService);
        }
    }

    /// Is its undo, and no longer its action, the command that is sent next?
    fn undo_is_next(&self, at: RunRef, run: &Run) -> bool {
        rules::undo_begun(run) || rules::undo_due(self.def, self.saga, at, run)
    }

    fn wanted_by_undo(&self, at: RunRef, run: &Run, wanted: &mut Vec<Item>) {
        let mut want = |reason| wanted.push((Some(at), Direction::Compensation, reason));
        if run.unbound && self.undo_is_next(at, run) && !rules::undo_ended(run) {
            want(Reason::UnboundService);
        }
        let Some(undo) = run.undo.as_ref().filter(|undo| undo.end.is_none()) else { return };
        match undo.letter {
            Letter::None => {
                let since = undo.sendings.as_ref().filter(|s| s.intent).map(|s| s.since);
                if since.is_some_and(|since| since + UNDO_SLOW_AFTER <= self.at()) {
                    want(Reason::UndoSlow);
                }
            }
            Letter::Dead { .. } if mutated(Mutant::AttentionLost) => {}
            Letter::Dead { .. } => want(Reason::CompensationFailed),
            Letter::Poison => want(Reason::Poison),
        }
        if run.contract.is_some() && undo.sendings.as_ref().is_some_and(|s| s.intent) {
            want(Reason::Contract);
        }
    }
}
