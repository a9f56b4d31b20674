//! The drills: each is one run of the saga with one fault, at one step, in one direction.

use std::fmt;

use amends_core::StepIx;
use amends_core::definition::{Definition, Fence, Kind};

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nothing: the saga completes.
    None,
    /// The command never reaches the participant, and the engine is told no.
    RefuseBefore,
    /// It is carried out, and the answer is lost.
    CrashAfter,
    /// The answer comes when nobody waits any more.
    TimeOut,
    /// The command arrives twice, one after another.
    Duplicate,
    /// The command arrives twice at the same time.
    AtOnce,
    /// The action arrives after its undo.
    Late,
    /// The action arrives again after its undo.
    Again,
    /// The participant itself refuses, and is asked again.
    Refused,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::RefuseBefore,
        Self::CrashAfter,
        Self::TimeOut,
        Self::Duplicate,
        Self::AtOnce,
        Self::Late,
        Self::Again,
        Self::Refused,
    ];

    /// Its name for `--only`, and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RefuseBefore => "refuse_before",
            Self::CrashAfter => "crash_after",
            Self::TimeOut => "time_out",
            Self::Duplicate => "duplicate",
            Self::AtOnce => "at_once",
            Self::Late => "late",
            Self::Again => "again",
            Self::Refused => "refused",
        }
    }
}

/// One run of the saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// The step that the fault meets, and its name.
    pub step: StepIx,
    /// The step's name.
    pub name: String,
    /// Whether it meets the undo; the saga is then turned as soon as the step is done.
    pub undo: bool,
    /// What goes wrong.
    pub fault: Fault,
}

impl Drill {
    /// Does the engine have to wait in vain for the faulty command?
    pub fn waits(&self) -> bool {
        matches!(self.fault, Fault::TimeOut | Fault::Late)
    }
}

impl fmt::Display for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fault == Fault::None {
            return f.write_str("without any fault");
        }
        let direction = if self.undo { " (undo)" } else { "" };
        write!(f, "{}{direction}: {}", self.name, self.fault.name())
    }
}

/// Every drill of a definition: each fault that means something at a step and in a direction. The
/// first is the one without a fault.
pub fn drills(
    definition: &Definition,
    fence: &dyn Fn(StepIx) -> Option<Fence>,
    refused: &dyn Fn(&str) -> bool,
) -> Vec<Drill> {
    let drill = |step, undo, fault| Drill {
        step,
        name: definition.step(step).name.to_string(),
        undo,
        fault,
    };
    let mut drills = vec![drill(StepIx(0), false, Fault::None)];
    for at in definition.indices() {
        let step = definition.step(at);
        if step.action().is_none() {
            continue;
        }
        let undone = step.compensation().is_some();
        let mut faults =
            vec![Fault::RefuseBefore, Fault::CrashAfter, Fault::Duplicate, Fault::AtOnce];
        let reads_only = step.kind == Kind::Compensatable && !undone;
        if !reads_only {
            faults.push(Fault::TimeOut);
        }
        if undone {
            faults.push(Fault::Again);
            // Without a fence an unknown outcome is never undone by itself.
            if fence(at) != Some(Fence::None) {
                faults.push(Fault::Late);
            }
        }
        if refused(&step.name) {
            faults.push(Fault::Refused);
        }
        drills.extend(faults.into_iter().map(|fault| drill(at, false, fault)));
        if undone {
            let faults = [
                Fault::RefuseBefore,
                Fault::CrashAfter,
                Fault::TimeOut,
                Fault::Duplicate,
                Fault::AtOnce,
            ];
            drills.extend(faults.map(|fault| drill(at, true, fault)));
        }
    }
    drills
}
