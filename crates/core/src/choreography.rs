//! A saga without a coordinator: each service reads what the others say, and acts.
//!
//! Every service of a [`Choreography`] reads every [`Said`] of a saga, in whatever order and however
//! often it comes, and keeps its own [`Part`] in its own database. [`react`] takes in one thing that
//! happened and gives what is to be said about it, which belongs into the same transaction;
//! [`Part::owed`] is what the service is to do next.
//!
//! One step decides how the saga ends, the [arbiter](Choreography::arbiter). Its service runs it, or
//! bars it for ever: in one transaction of its own, and so never both. As long as it has done neither
//! nothing is undone; once it ran, a failure that is said comes too late and is void.

mod observe;
mod part;
mod react;

use alloc::vec::Vec;

use crate::definition::{Definition, Kind, Step};
use crate::ids::{StepIx, StepSet};
use crate::time::Millis;

/// How much longer than a step may take it is waited for by whoever else waits for it, unless said
/// otherwise: for the event's own way, and because its service says by itself that it is late.
pub const GRACE: Millis = Millis::secs(30);

pub use observe::{Observing, Report, due, may_be_cancelled, waits_until_all_is_read};
pub use part::{End, Owed, Part};
pub use react::{Happened, NotTaken, Outcome, react};

/// A definition that services can run among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choreography {
    definition: Definition,
    arbiter: StepIx,
}

/// What is said in a saga, for all of its services to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    /// The saga is to be run.
    Started,
    /// The step is done.
    Completed(StepIx),
    /// The step's condition does not hold: it is passed over.
    Skipped(StepIx),
    /// The step did not run, and never will.
    NeverRan(StepIx),
    /// The step is undone.
    Compensated(StepIx),
    /// The saga is to be undone: a step was refused or is overdue, or a person cancels.
    Failed,
}

/// Why a definition is nothing for a choreography.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuited {
    /// A signal comes to a coordinator.
    Signal(StepIx),
    /// The runs of a `for_each` step are counted by a coordinator.
    Runs(StepIx),
    /// The step is done at one service and undone at another: no tombstone can stand between.
    UndoneElsewhere(StepIx),
    /// There is no pivot, no retriable step before all the others, and no last step, so that a failure
    /// might be heard by one service as in time and by another as too late.
    NoArbiter,
}

impl Said {
    /// The step that it is about, if it is about one.
    pub const fn step(self) -> Option<StepIx> {
        match self {
            Self::Started | Self::Failed => None,
            Self::Completed(step)
            | Self::Skipped(step)
            | Self::NeverRan(step)
            | Self::Compensated(step) => Some(step),
        }
    }
}

impl Choreography {
    /// Checks that services can run the definition among themselves. All that is wrong is reported.
    pub fn new(definition: Definition) -> Result<Self, Vec<Unsuited>> {
        let mut wrong: Vec<Unsuited> =
            definition.indices().filter_map(|step| unsuited(step, definition.step(step))).collect();
        let arbiter = arbiter(&definition);
        if arbiter.is_none() {
            wrong.push(Unsuited::NoArbiter);
        }
        match arbiter {
            Some(arbiter) if wrong.is_empty() => Ok(Self { definition, arbiter }),
            _ => Err(wrong),
        }
    }

    /// The definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The step that decides how the saga ends: the pivot; without one the first retriable step;
    /// without those the last step, after which nothing is left that could fail.
    pub fn arbiter(&self) -> StepIx {
        self.arbiter
    }

    /// The steps of a service.
    pub fn steps_of(&self, service: &str) -> StepSet {
        let its = |&step: &StepIx| {
            self.definition.step(step).action().is_some_and(|action| &*action.service == service)
        };
        self.definition.indices().filter(its).collect()
    }

    /// Does the step follow the decision, so that no failure touches it any more?
    pub(crate) fn behind(&self, step: StepIx) -> bool {
        self.definition.descendants(self.arbiter).contains(step)
    }

    /// May the step have to be undone? The arbiter has not: once it ran, nothing is.
    pub(crate) fn undoable(&self, step: StepIx) -> bool {
        step != self.arbiter && self.definition.step(step).compensation().is_some()
    }

    pub(crate) fn best_effort(&self, step: StepIx) -> bool {
        self.definition.step(step).kind == Kind::BestEffort
    }
}

fn unsuited(ix: StepIx, step: &Step) -> Option<Unsuited> {
    let Some(action) = step.action() else { return Some(Unsuited::Signal(ix)) };
    if step.computed.for_each {
        return Some(Unsuited::Runs(ix));
    }
    let elsewhere = step.compensation().is_some_and(|undo| undo.service != action.service);
    elsewhere.then_some(Unsuited::UndoneElsewhere(ix))
}

fn arbiter(definition: &Definition) -> Option<StepIx> {
    if let Some(pivot) = definition.pivot() {
        return Some(pivot);
    }
    let of_kind = |test: fn(Kind) -> bool| -> StepSet {
        definition.indices().filter(|&step| test(definition.step(step).kind)).collect()
    };
    let retriable = of_kind(|kind| kind == Kind::Retriable);
    if retriable != StepSet::EMPTY {
        return retriable.iter().find(|&first| {
            let mut reached = definition.descendants(first);
            reached.insert(first);
            reached.covers(retriable)
        });
    }
    let required = of_kind(|kind| kind != Kind::BestEffort);
    required.iter().find(|&last| {
        let mut reached = definition.ancestors(last);
        reached.insert(last);
        reached.covers(required)
    })
}
