//! What one service holds of one saga, and what it owes.

use super::{Choreography, Said};
use crate::ids::{StepIx, StepSet};
use crate::mutant::{Mutant, mutated};

/// What a service knows of a saga. Of its own steps this is the guard's word; of the others' it is
/// what they said. It only grows, so that the order in which things are heard does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Part {
    /// The saga was started.
    pub started: bool,
    /// The saga is to be undone.
    pub failed: bool,
    /// These steps are done.
    pub completed: StepSet,
    /// These are passed over.
    pub skipped: StepSet,
    /// These never ran, and never will.
    pub never_ran: StepSet,
    /// These are undone.
    pub compensated: StepSet,
    /// Of these own steps an attempt has begun whose answer is not known.
    pub begun: StepSet,
    /// For these best-effort steps it is waited no more.
    pub waived: StepSet,
}

/// What a service owes to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owed {
    /// To do the step.
    Run(StepIx),
    /// To undo it.
    Undo(StepIx),
}

impl Owed {
    /// Of which step.
    pub const fn step(self) -> StepIx {
        match self {
            Self::Run(step) | Self::Undo(step) => step,
        }
    }
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All that was required is done.
    Completed,
    /// All that was done is undone.
    Failed,
}

impl Part {
    /// What is to be done now for these steps, which are the service's own.
    pub fn owed(&self, of: &Choreography, mine: StepSet) -> impl Iterator<Item = Owed> {
        mine.iter().filter_map(move |step| {
            if self.is_to_run(of, step) {
                Some(Owed::Run(step))
            } else if self.is_to_undo(of, step) {
                Some(Owed::Undo(step))
            } else {
                None
            }
        })
    }

    /// The steps that nothing stands before and of which it is not known what became, whoever's they
    /// are: what is waited for now.
    pub fn awaited(&self, of: &Choreography) -> impl Iterator<Item = StepIx> {
        of.definition().indices().filter(move |&step| {
            let mut before = of.definition().ancestors(step).iter();
            self.started && !self.known(step) && before.all(|before| self.done(of, before))
        })
    }

    /// How the saga ended, as far as this was heard.
    pub fn end(&self, of: &Choreography) -> Option<End> {
        let mut steps = of.definition().indices();
        if self.decided(of) {
            return steps.all(|step| self.done(of, step)).then_some(End::Completed);
        }
        let fell = self.never_ran.contains(of.arbiter());
        (fell && steps.all(|step| !of.undoable(step) || self.settled(step))).then_some(End::Failed)
    }

    /// Did the arbiter run, or was it passed over? Then the saga goes forward only.
    pub(super) fn decided(&self, of: &Choreography) -> bool {
        self.completed.union(self.skipped).contains(of.arbiter())
    }

    /// Is it known what became of the step?
    pub(super) fn known(&self, step: StepIx) -> bool {
        self.completed.contains(step)
            || self.skipped.contains(step)
            || self.never_ran.contains(step)
    }

    /// May what follows the step go on?
    pub(super) fn done(&self, of: &Choreography, step: StepIx) -> bool {
        let given_up = self.never_ran.union(self.waived).contains(step);
        self.completed.union(self.skipped).contains(step) || (of.best_effort(step) && given_up)
    }

    fn is_to_run(&self, of: &Choreography, step: StepIx) -> bool {
        let barred =
            self.never_ran.contains(step) && !mutated(Mutant::ChoreographyForgetsTombstone);
        let past = self.completed.union(self.skipped).contains(step)
            && !mutated(Mutant::ChoreographyRunsTwice);
        if !self.started || barred || past {
            return false;
        }
        // What has begun is asked on until it answers: nothing else tells whether it ran.
        if self.begun.contains(step) {
            return true;
        }
        of.definition().ancestors(step).iter().all(|before| self.done(of, before))
    }

    pub(super) fn is_to_undo(&self, of: &Choreography, step: StepIx) -> bool {
        let ran = self.completed.contains(step)
            || (mutated(Mutant::ChoreographyUndoesWhatNeverRan) && self.never_ran.contains(step));
        if !of.undoable(step) || !ran || self.compensated.contains(step) {
            return false;
        }
        let fell = self.never_ran.contains(of.arbiter())
            || (mutated(Mutant::ChoreographyWithoutArbiter) && self.failed);
        let mut dependents = of.definition().descendants(step).iter();
        fell && dependents.all(|after| {
            !of.undoable(after)
                || self.settled(after)
                || mutated(Mutant::ChoreographyUndoesInAnyOrder)
        })
    }

    /// Is there nothing of the step, for good?
    fn settled(&self, step: StepIx) -> bool {
        self.never_ran.union(self.skipped).union(self.compensated).contains(step)
    }

    /// The same with what must have been, although it was not heard: whoever did a step had heard that all
    /// before it was done, or waited no more for a best effort.
    pub(super) fn inferred(self, of: &Choreography) -> Self {
        let mut part = self;
        let said = self.completed.union(self.skipped).union(self.compensated);
        part.started |= said != StepSet::EMPTY;
        for step in said.iter() {
            for before in of.definition().ancestors(step).iter() {
                if self.known(before) || self.compensated.contains(before) {
                    continue;
                }
                if of.best_effort(before) {
                    part.waived.insert(before);
                } else {
                    part.completed.insert(before);
                }
            }
        }
        part
    }

    /// Takes in what was said, whoever said it.
    pub(crate) fn note(&mut self, said: Said) {
        match said {
            Said::Started => self.started = true,
            Said::Failed => self.failed = true,
            Said::Completed(step) => self.completed.insert(step),
            Said::Skipped(step) => self.skipped.insert(step),
            Said::NeverRan(step) => self.never_ran.insert(step),
            Said::Compensated(step) => self.compensated.insert(step),
        }
    }

    /// Is this known already?
    pub(super) fn holds(&self, said: Said) -> bool {
        match said {
            Said::Started => self.started,
            Said::Failed => self.failed,
            Said::Completed(step) => self.completed.contains(step),
            Said::Skipped(step) => self.skipped.contains(step),
            Said::NeverRan(step) => self.never_ran.contains(step),
            Said::Compensated(step) => self.compensated.contains(step),
        }
    }

    /// Does this contradict what is known? A step that was undone had run, whichever is heard first.
    pub(super) fn contradicts(&self, of: &Choreography, said: Said) -> bool {
        match said {
            Said::Started | Said::Failed => false,
            Said::Completed(step) => {
                self.skipped.union(self.never_ran).contains(step) || self.too_late(of, step)
            }
            Said::Skipped(step) => {
                let other = self.completed.union(self.never_ran).union(self.compensated);
                other.contains(step) || self.too_late(of, step)
            }
            Said::NeverRan(step) => {
                let stands = self.completed.union(self.skipped).union(self.compensated);
                stands.contains(step) || (of.behind(step) && !of.best_effort(step))
            }
            Said::Compensated(step) => {
                !of.undoable(step)
                    || self.skipped.union(self.never_ran).contains(step)
                    || self.decided(of)
            }
        }
    }

    /// Would the arbiter have run although a step is undone?
    fn too_late(&self, of: &Choreography, step: StepIx) -> bool {
        step == of.arbiter() && self.compensated != StepSet::EMPTY
    }
}
