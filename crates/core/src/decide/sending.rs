//! Evaluations and room: what happens to a command up to its leaving.

use alloc::vec::Vec;

use crate::definition::{Computed, Kind, RUNS_MAX, Step, Work};
use crate::event::{CommandRef, Event};
use crate::ids::{Direction, RunRef, StepIx};
use crate::input::{Evaluation, Refusal};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{Fault, Letter, StepState, Terms};
use crate::time::{Millis, Time};

use super::Decision;

/// From how long a wait for room is taken off the step's time. Shorter ones are the grain of the
/// engine's own batches; were they taken off too, every retry would move the deadline.
pub const ROOM_WAIT_NOTED: Millis = Millis::secs(1);

impl Decision<'_> {
    pub(super) fn evaluated(&mut self, step: StepIx, value: Evaluation) -> Result<(), Refusal> {
        if !crate::effects::evaluations(self.def, self.saga).contains(&step) {
            return Err(Refusal::NotOwed);
        }
        if !fits(self.def.step(step), &value) {
            return Err(Refusal::NotOwed);
        }
        let for_each = self.def.step(step).computed.for_each;
        match bounded(value) {
            Evaluation::Skip => self.record(Event::Skipped { step, for_each }),
            Evaluation::Data => self.ready(step, false, alloc::vec![None]),
            Evaluation::Inputs(inputs) if inputs.is_empty() => {
                self.record(Event::Skipped { step, for_each });
            }
            Evaluation::Inputs(inputs) => self.ready(step, for_each, inputs),
            Evaluation::Judged { refused: true } => {
                let fault = Fault::new("SIGNAL_REFUSED", "the signal refused the saga");
                self.record(Event::SignalRefused { step, fault });
            }
            Evaluation::Judged { refused: false } => self.take_signal(step),
            Evaluation::Failed(fault) if self.saga.run(RunRef::only(step)).is_some() => {
                self.record(Event::SignalRefused { step, fault });
            }
            Evaluation::Failed(fault) => {
                let revocable = !rules::point_of_no_return(self.def, self.saga);
                let failed = revocable || self.def.step(step).kind == Kind::BestEffort;
                self.record(Event::ExpressionFailed { step, failed, fault });
            }
        }
        Ok(())
    }

    pub(super) fn ready(
        &mut self,
        step: StepIx,
        for_each: bool,
        inputs: Vec<Option<crate::ids::Payload>>,
    ) {
        let deadline = self.at() + self.def.step(step).deadline;
        self.record(Event::Readied { step, deadline, for_each, inputs });
    }

    /// Completes a step with the signal it waited for, where that has come.
    pub(super) fn take_signal(&mut self, step: StepIx) {
        let Work::Signal { signal, .. } = &self.def.step(step).work else { return };
        let came = self.saga.signals.iter().find(|came| came.name == *signal);
        if let Some(result) = came.map(|came| came.body.clone()) {
            self.record(Event::Completed { run: RunRef::only(step), result });
        }
    }

    pub(super) fn room(
        &mut self,
        run: RunRef,
        direction: Direction,
        terms: Terms,
    ) -> Result<(), Refusal> {
        let from = rules::owed_from(self.def, self.saga, run, direction);
        let from = from.filter(|&from| from <= self.at()).ok_or(Refusal::NotOwed)?;
        let step = self.def.step(run.step);
        let state = self.run(run)?;
        let sendings = state.sendings(direction);
        let (round, attempts) = sendings.map_or((1, 0), |s| (s.round, s.attempts));
        let terms = match sendings.filter(|s| s.intent) {
            Some(sendings) => sendings.terms,
            None => Terms { fence: step.fence.or(terms.fence), ..terms },
        };
        let overdue = sendings.is_some_and(|s| s.overdue) && step.kind == Kind::Pivot;
        let timeout = match direction {
            Direction::Compensation => step.undo.timeout,
            // A pivot whose time is up is asked on with the undo policy.
            Direction::Action if overdue => step.undo.timeout,
            Direction::Action => step.timeout,
        };
        let deadline = match direction {
            Direction::Action => self.moved_deadline(run, from, timeout),
            Direction::Compensation => None,
        };
        let saga_deadline = self.moved_saga_deadline(from, timeout);
        let until = self.at() + timeout;
        let attempt = attempts + 1;
        let command = CommandRef { run, direction, round };
        self.record(Event::Sent { command, attempt, until, deadline, terms });
        if let Some(deadline) = saga_deadline {
            self.record(Event::DeadlineMoved { deadline });
        }
        Ok(())
    }

    /// Where the deadline moves to because the step waited for us: for room, or out an outage.
    fn moved_deadline(&self, run: RunRef, from: Time, timeout: Millis) -> Option<Time> {
        let state = self.saga.run(run)?;
        self.moved(state.deadline, state.floats, from, timeout)
    }

    /// The same of the saga's own deadline, while that may still turn it.
    fn moved_saga_deadline(&self, from: Time, timeout: Millis) -> Option<Time> {
        let may_turn =
            self.saga.turned.is_none() && !rules::point_of_no_return(self.def, self.saga);
        let deadline = self.saga.deadline.filter(|_| may_turn)?;
        self.moved(deadline, self.saga.floats, from, timeout)
    }

    fn moved(&self, deadline: Time, floats: bool, from: Time, timeout: Millis) -> Option<Time> {
        let waited = self.at().since(from);
        let passed_meanwhile = from < deadline && deadline <= self.at();
        let ours = floats || waited >= ROOM_WAIT_NOTED || passed_meanwhile;
        if floats && mutated(Mutant::DeadlineEarlier) {
            return Some(self.at() + timeout);
        }
        let moved = (deadline + waited).max(self.at() + timeout);
        (ours && moved > deadline).then_some(moved)
    }

    pub(super) fn unbound(&mut self, run: RunRef) -> Result<(), Refusal> {
        let known = self.run(run)?.unbound;
        let owed = [Direction::Action, Direction::Compensation]
            .into_iter()
            .any(|direction| rules::owed_from(self.def, self.saga, run, direction).is_some());
        match (owed, known) {
            (false, _) => Err(Refusal::NotOwed),
            (true, true) => Ok(()),
            (true, false) => {
                self.record(Event::UnboundFound { run });
                Ok(())
            }
        }
    }

    pub(super) fn signal(
        &mut self,
        name: alloc::sync::Arc<str>,
        body: crate::ids::Payload,
    ) -> Result<(), Refusal> {
        let waits = |step: &crate::definition::Step| matches!(&step.work, Work::Signal { signal, .. } if *signal == name);
        let mut steps = self.def.indices().filter(|&step| waits(self.def.step(step))).peekable();
        steps.peek().ok_or(Refusal::UnknownSignal)?;
        if self.saga.state.ended() {
            return Err(Refusal::Ended);
        }
        let over = steps.all(|step| match &self.saga.steps[step.get()] {
            StepState::Waiting { .. } => false,
            StepState::Skipped { .. } => true,
            StepState::Runs { runs, .. } => {
                runs.iter().any(|run| run.status != crate::saga::Status::Pending)
            }
        });
        if over || self.saga.signals.iter().any(|came| came.name == name) {
            return Err(Refusal::SignalTaken);
        }
        if self.saga.turned.is_some() {
            return Err(Refusal::AlreadyCompensating);
        }
        self.record(Event::SignalReceived { name, body });
        Ok(())
    }

    /// What follows when an attempt of an undo ended without an acknowledgement: another one, a
    /// dead letter, the next redrive, or poison (section 5, compensation).
    pub(super) fn undo_attempt_over(&mut self, run: RunRef) {
        let Some(undo) = self.saga.run(run).and_then(|run| run.undo.as_ref()) else { return };
        let Some(sendings) = &undo.sendings else { return };
        let policy = self.def.step(run.step).undo;
        match undo.letter {
            Letter::None if sendings.left < policy.max_attempts => {}
            Letter::None => {
                let next_at = self.at() + redrive_pause(0);
                self.record(Event::DeadLettered { run, redrives: 0, next_at });
            }
            // What a person sent is none of the redriver's five.
            Letter::Dead { redrives } if undo.by_hand => {
                let next_at = self.at() + redrive_pause(redrives);
                self.record(Event::DeadLettered { run, redrives, next_at });
            }
            Letter::Dead { redrives } if redrives + 1 < REDRIVES_MAX => {
                let redrives = redrives + 1;
                let next_at = self.at() + redrive_pause(redrives);
                self.record(Event::DeadLettered { run, redrives, next_at });
            }
            Letter::Dead { .. } | Letter::Poison => {
                let next_at = self.at() + POISON_PAUSE;
                self.record(Event::Poisoned { run, next_at });
            }
        }
    }
}

/// Can the step's expressions have come to this?
fn fits(step: &Step, value: &Evaluation) -> bool {
    let signal = matches!(step.work, Work::Signal { .. });
    let Computed { when, for_each, .. } = step.computed;
    match value {
        Evaluation::Failed(_) => true,
        Evaluation::Judged { .. } => signal,
        Evaluation::Skip => !signal && (when || for_each),
        Evaluation::Data => !signal && !for_each,
        Evaluation::Inputs(inputs) => !signal && (for_each || inputs.len() == 1),
    }
}

/// A list that is too long is a failed expression.
fn bounded(value: Evaluation) -> Evaluation {
    match value {
        Evaluation::Inputs(inputs) if inputs.len() > RUNS_MAX => {
            let items = inputs.len();
            let message = alloc::format!("for_each over {items} items, at most {RUNS_MAX} may be");
            Evaluation::Failed(Fault::new("EXPRESSION", &message))
        }
        other => other,
    }
}

/// How often the redriver sends a dead letter again before it is poison: the seed's 5.
pub const REDRIVES_MAX: u32 = 5;

/// How long poison rests between two tries. It is a person's by now; the hourly try is for the
/// participant that was repaired without anybody coming back here.
pub const POISON_PAUSE: Millis = Millis::mins(60);

/// The redriver's pause after `redrives` redrives: 10 s × 2ⁿ, the seed's.
pub const fn redrive_pause(redrives: u32) -> Millis {
    Millis::secs(10).times(1 << if redrives < REDRIVES_MAX { redrives } else { REDRIVES_MAX })
}
