//! Who plays in a scene: for each step of a definition what it is, what its service promises, and
//! how its answers travel.

use amends_core::Definition;
use amends_core::definition::{Fence, Kind, OnDeadline, Step, Work};

use crate::model::Wire;

/// A kind, told apart by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Has a compensation.
    Compensatable,
    /// Compensatable, but only reads.
    ReadOnly,
    /// The pivot.
    Pivot,
    /// Retriable.
    Retriable,
    /// Best effort.
    BestEffort,
    /// Waits for a signal that may refuse, by what it says or by its deadline.
    Judged,
    /// Waits for a signal; its deadline goes on.
    Waiting,
}

/// A promise that a participant does not keep, whatever its fence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// It says `barrier` and leaves no tombstone: an action that arrives after its undo is done.
    NoTombstone,
    /// It refuses a repeated command as "already there", instead of answering as it did at first.
    ForgetsAnswers,
    /// After a refusal it carries out another copy of the command.
    RefusalNotFinal,
    /// It carries a repeated action out again.
    Twice,
    /// It refuses every undo.
    RefusesUndo,
    /// It acknowledges an undo and undoes nothing.
    IgnoresUndo,
}

/// Which promises are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaches(u8);

impl Breaches {
    /// One more.
    pub const fn insert(&mut self, breach: Breach) {
        self.0 |= 1 << breach as u8;
    }

    /// Is it one of them?
    pub const fn contains(self, breach: Breach) -> bool {
        self.0 & (1 << breach as u8) != 0
    }
}

/// One step's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the step is.
    pub role: Role,
    /// What its service says of itself, or the step of it.
    pub fence: Option<Fence>,
    /// How its answers travel.
    pub wire: Wire,
    /// Which promises are not kept.
    pub breaches: Breaches,
}

/// The parts of a definition whose steps say their fences themselves, all on one wire.
pub fn of(def: &Definition, wire: Wire) -> Vec<Part> {
    let part = |step: &Step| {
        let breaches = Breaches::default();
        Part { role: Role::of(step), fence: step.fence, wire, breaches }
    };
    def.steps().iter().map(part).collect()
}

impl Role {
    /// What a step is.
    pub fn of(step: &Step) -> Self {
        match (&step.work, step.kind) {
            (Work::Signal { judged, on_deadline, .. }, _) => {
                let refuses = *judged || *on_deadline == OnDeadline::Refuse;
                if refuses { Self::Judged } else { Self::Waiting }
            }
            (_, Kind::Compensatable) if step.compensation().is_none() => Self::ReadOnly,
            (_, Kind::Compensatable) => Self::Compensatable,
            (_, Kind::Pivot) => Self::Pivot,
            (_, Kind::Retriable) => Self::Retriable,
            (_, Kind::BestEffort) => Self::BestEffort,
        }
    }

    /// Does the step wait for a signal?
    pub const fn waits(self) -> bool {
        matches!(self, Self::Judged | Self::Waiting)
    }
}
