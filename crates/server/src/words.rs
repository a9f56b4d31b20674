//! The words of the API: the names under which callers know states, statuses and reasons, apart
//! from the machine's own types, so that either can change without the other.

use amends_core::definition;
use amends_core::saga;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares an enum of the API that stands for one of the machine's, or for more than that.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $machine:path { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? } and { $($(#[$more_doc:meta])* $more:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ $($(#[$more_doc])* $more),+ }

        impl From<$machine> for $name {
            fn from(machine: $machine) -> Self {
                use $machine as Machine;
                match machine { $(Machine::$variant => Self::$variant),+ }
            }
        }

        impl $name {
            /// The machine's own, where it has one.
            pub const fn machine(self) -> Option<$machine> {
                use $machine as Machine;
                match self { $(Self::$variant => Some(Machine::$variant),)+ $(Self::$more)|+ => None }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident = $machine:path { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl From<$machine> for $name {
            fn from(machine: $machine) -> Self {
                use $machine as Machine;
                match machine { $(Machine::$variant => Self::$variant),+ }
            }
        }

        impl From<$name> for $machine {
            fn from(word: $name) -> Self {
                use $machine as Machine;
                match word { $($name::$variant => Machine::$variant),+ }
            }
        }
    };
}

words! {
    /// A saga's state.
    State = saga::State {
        /// No step is completed, refused or unknown yet.
        Started,
        /// Waiting for replies.
        Pending,
        /// Rolling back.
        Compensating,
        /// Ended: all done.
        Completed,
        /// Ended: all undone.
        Failed,
    }
}

words! {
    /// A step's status.
    Status = saga::Status {
        /// Nothing has been sent.
        Pending,
        /// Asked.
        Executing,
        /// Done.
        Completed,
        /// Definitely not done.
        Failed,
        /// May have happened.
        Unknown,
        /// Being undone.
        Compensating,
        /// Undone.
        Compensated,
        /// Its condition was false, or a person skipped it.
        Skipped,
    }
}

words! {
    /// Which steps are atomic, which may be eventual.
    Kind = definition::Kind {
        /// Undone when the saga fails.
        Compensatable,
        /// The point of no return.
        Pivot,
        /// Retried until it succeeds.
        Retriable,
        /// Its failure is recorded and the saga goes on.
        BestEffort,
    }
}

words! {
    /// Which of a step's two commands.
    Direction = amends_core::Direction {
        /// The action.
        Action,
        /// The compensation, which undoes it.
        Compensation,
    }
}

words! {
    /// What a person is needed for.
    Reason = saga::Reason {
        /// The pivot's outcome is unknown and its time is up.
        PivotUnknown,
        /// A step without a fence may have happened.
        OutcomeUnknown,
        /// A retriable step was refused after the point of no return.
        RefusedAfterPivot,
        /// A retriable step takes longer than its deadline.
        RetriableSlow,
        /// The saga's deadline passed after the point of no return.
        Overdue,
        /// An undo has used up its retries.
        CompensationFailed,
        /// The redriver gave up.
        Poison,
        /// An undo has been waited for longer than a minute.
        UndoSlow,
        /// A participant broke the protocol.
        Contract,
        /// An answer contradicts what an operator decided.
        Contradicted,
        /// No transport is bound to the service.
        UnboundService,
        /// An expression failed after the point of no return.
        Expression,
        /// Of a saga without a coordinator: nothing was heard of a step in its time.
        Unheard,
    } and {
        /// The saga cannot be read, and is left alone.
        Unreadable,
    }
}

words! {
    /// What makes an end not clean.
    ExceptionReason = saga::ExceptionReason {
        /// Undone without ever hearing what the action came to.
        Unproven,
        /// An operator skipped it.
        Skipped,
        /// An operator decided it.
        ByHand,
    }
}

/// What a step, or its undo, waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// The steps before it.
    Steps,
    /// Room: the service's window, its pace or its circuit.
    Room,
    /// The answer to what was sent.
    Reply,
    /// The answer that was promised for later.
    Accepted,
    /// The end of a pause between two attempts.
    Retry,
    /// A signal.
    Signal,
    /// The undos of the steps that depend on it, or the settling of its own action.
    Dependents,
    /// A person.
    Person,
    /// The saga to be resumed.
    Resume,
    /// The event by which its service says so, of a saga that services run among themselves.
    Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(word: impl Serialize) -> String {
        serde_json::to_value(word).unwrap().as_str().unwrap().to_owned()
    }

    /// The engine names the same things in metrics and logs: one word a thing everywhere.
    #[test]
    fn the_words_are_those_of_the_engine() {
        for (reason, _) in amends_engine::REASON_BITS {
            assert_eq!(written(Reason::from(reason)), amends_engine::words::reason(reason));
            assert_eq!(Reason::from(reason).machine(), Some(reason));
        }
        assert_eq!(written(Reason::Unreadable), amends_engine::words::UNREADABLE);
        assert_eq!(Reason::Unreadable.machine(), None);
        use saga::State as S;
        for state in [S::Started, S::Pending, S::Compensating, S::Completed, S::Failed] {
            assert_eq!(written(State::from(state)), amends_engine::words::state(state));
        }
        assert_eq!(written(Kind::BestEffort), "best_effort");
    }
}
