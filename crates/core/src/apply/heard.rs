//! Facts about a saga that its services run among themselves: they said something.
//!
//! Whatever order it is heard in, the same comes of it: of a step that is undone it may be heard later
//! that it was done.

use alloc::vec;

use super::Applied;
use crate::choreography::Said;
use crate::ids::{Payload, StepIx};
use crate::saga::{Cause, Fault, Run, Saga, Settled, Status, StepState, Undo, UndoEnd};
use crate::time::Time;

/// Why such a fact does not fit.
pub(super) const COORDINATED: &str = "the saga is not run by its services among themselves";

impl Saga {
    pub(super) fn hears(
        &mut self,
        at: Time,
        said: Said,
        result: Option<&Payload>,
        fault: Option<&Fault>,
        cause: Option<&Cause>,
    ) -> Applied {
        if said.step().is_some_and(|step| step.get() >= self.steps.len()) {
            return Err("there is no such step");
        }
        let heard = self.heard.as_mut().ok_or(COORDINATED)?;
        heard.part.note(said);
        // What it was undone for may be heard after that.
        if let Some(cause) = cause.filter(|_| heard.failure.is_none()) {
            heard.failure = Some(cause.clone());
            if let (Some(turned), None) = (&mut self.turned, &heard.end_asked) {
                turned.cause = cause.clone();
            }
        }
        match said {
            Said::Started => {}
            Said::Completed(step) => {
                let run = self.begun(step, at)?;
                run.settled = Settled::Succeeded;
                run.result = result.cloned();
                if run.undo.is_none() {
                    run.status = Status::Completed;
                    run.error = None;
                }
                self.left_started();
            }
            Said::Compensated(step) => {
                let run = self.begun(step, at)?;
                let end = Some(UndoEnd::Acknowledged { undone: Some(true) });
                run.undo = Some(Undo { end, ..Undo::unsent() });
                run.status = Status::Compensated;
                self.left_started();
            }
            Said::Skipped(step) => {
                *self.step_mut(step)? = StepState::Skipped { for_each: false, by: None };
            }
            // One that was refused, or whose time was up before it began, failed by that.
            Said::NeverRan(step) => match fault {
                Some(fault) => {
                    let run = self.begun(step, at)?;
                    run.settled = Settled::Unreachable;
                    run.status = Status::Failed;
                    run.error = Some(fault.clone());
                    self.left_started();
                }
                None => *self.step_mut(step)? = StepState::Waiting { expression_error: None },
            },
            // Whoever waited for it says why; what became of it, its own service says.
            Said::Failed => {
                if let (Some(Cause::Step(at)), Some(fault)) = (cause, fault)
                    && let Some(run) = self.run_mut(*at).filter(|run| run.settled == Settled::Open)
                {
                    run.error.get_or_insert_with(|| fault.clone());
                }
            }
        }
        Ok(())
    }

    /// The step's one run, which begins here where it has not.
    fn begun(&mut self, step: StepIx, at: Time) -> Result<&mut Run, &'static str> {
        let slot = self.step_mut(step)?;
        if !matches!(slot, StepState::Runs { .. }) {
            *slot = StepState::Runs { for_each: false, runs: vec![Run::ready(at, at, None)] };
        }
        match slot {
            StepState::Runs { runs, .. } => runs.first_mut().ok_or("the step has no run"),
            _ => Err("the step has no run"),
        }
    }

    fn step_mut(&mut self, step: StepIx) -> Result<&mut StepState, &'static str> {
        self.steps.get_mut(step.get()).ok_or("there is no such step")
    }
}
