//! The codes of enumerations. A code is given once; 0 is none, so that zeroed bytes mean nothing.

use amends_core::Direction;
use amends_core::definition::Fence;
use amends_core::event::Ending;
use amends_core::saga::{ExceptionReason, Reason, State, Status};

use super::error::Problem;
use super::reader::Reader;
use super::value::Value;
use super::writer::Writer;

/// Every value, for the tests that leave none out.
#[cfg(test)]
pub(super) trait All: Sized + 'static {
    const ALL: &[Self];
}

macro_rules! codes {
    ($($type:ident $what:literal { $($name:ident = $code:literal),+ $(,)? })+) => {$(
        #[cfg(test)]
        impl All for $type {
            const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl Value for $type {
            fn put(&self, w: &mut Writer<'_>) {
                w.byte(match self { $(Self::$name => $code),+ });
            }
            fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
                match r.byte()? {
                    $($code => Ok(Self::$name),)+
                    code => Err(r.unknown_code($what, code)),
                }
            }
        }
    )+};
}

codes! {
    Direction "direction" {
        Action = 1,
        Compensation = 2,
    }
    Ending "ending" {
        NamedTransient = 1,
        Transient = 2,
        Unknown = 3,
        TimedOut = 4,
    }
    ExceptionReason "exception" {
        Unproven = 1,
        Skipped = 2,
        ByHand = 3,
    }
    Fence "fence" {
        Barrier = 1,
        Settle = 2,
        None = 3,
    }
    Reason "attention" {
        PivotUnknown = 1,
        OutcomeUnknown = 2,
        RefusedAfterPivot = 3,
        RetriableSlow = 4,
        Overdue = 5,
        CompensationFailed = 6,
        Poison = 7,
        UndoSlow = 8,
        Contract = 9,
        Contradicted = 10,
        UnboundService = 11,
        Expression = 12,
        Unheard = 13,
    }
    State "state" {
        Started = 1,
        Pending = 2,
        Compensating = 3,
        Completed = 4,
        Failed = 5,
    }
    Status "status" {
        Pending = 1,
        Executing = 2,
        Completed = 3,
        Failed = 4,
        Unknown = 5,
        Compensating = 6,
        Compensated = 7,
        Skipped = 8,
    }
}
