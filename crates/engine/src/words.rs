//! The machine's refusals in words for people: what is so, and what can be done.

use amends_core::Refusal;
use amends_core::saga::{Reason, State, Status};

/// A refusal in words.
pub fn refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoSuchStep => "the step has not begun, or has no such run",
        Refusal::NeverSent => "nothing was sent that this could answer",
        Refusal::NoSuchAttempt => "there was no such round or attempt",
        Refusal::NotOwed => "the saga does not wait for this",
        Refusal::TooLate => {
            "too late: the point of no return is behind the saga, or its command is in flight; \
             the saga goes forward from here"
        }
        Refusal::Ended => "the saga has ended",
        Refusal::AlreadyCompensating => "the saga is compensating already",
        Refusal::AlreadyPaused => "the saga is paused already",
        Refusal::NotPaused => "the saga is not paused",
        Refusal::UnknownSignal => "no step of the saga waits for a signal of this name",
        Refusal::SignalTaken => "a signal of this name came before; the first one counts",
        Refusal::VerbDoesNotFit => "this cannot be done where the saga and its step stand now",
        Refusal::AttemptInFlight => {
            "an attempt is in flight and may be answered any moment: wait for its time-out, or say \
             force where that is allowed"
        }
        Refusal::NotLater => "a deadline can be moved later only",
    }
}

/// The same as a code.
pub const fn refusal_code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoSuchStep => "no_such_step",
        Refusal::NeverSent | Refusal::NoSuchAttempt | Refusal::NotOwed => "not_owed",
        Refusal::TooLate => "too_late",
        Refusal::Ended => "ended",
        Refusal::AlreadyCompensating => "already_compensating",
        Refusal::AlreadyPaused => "already_paused",
        Refusal::NotPaused => "not_paused",
        Refusal::UnknownSignal => "unknown_signal",
        Refusal::SignalTaken => "signal_taken",
        Refusal::VerbDoesNotFit => "verb_does_not_fit",
        Refusal::AttemptInFlight => "attempt_in_flight",
        Refusal::NotLater => "not_later",
    }
}

/// The versions that there are of a type, after "there".
pub fn versions(versions: &[u32]) -> String {
    match versions {
        [] => "is none".to_owned(),
        [only] => format!("is version {only} only"),
        [before @ .., last] => {
            let before: Vec<String> = before.iter().map(u32::to_string).collect();
            format!("are versions {} and {last}", before.join(", "))
        }
    }
}

/// A state's name.
pub const fn state(state: State) -> &'static str {
    match state {
        State::Started => "started",
        State::Pending => "pending",
        State::Compensating => "compensating",
        State::Completed => "completed",
        State::Failed => "failed",
    }
}

/// A status's name.
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Executing => "executing",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::Unknown => "unknown",
        Status::Compensating => "compensating",
        Status::Compensated => "compensated",
        Status::Skipped => "skipped",
    }
}

/// The name of the reason for attention on a saga that cannot be read.
pub const UNREADABLE: &str = "unreadable";

/// The name of a reason for attention.
pub const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::PivotUnknown => "pivot_unknown",
        Reason::OutcomeUnknown => "outcome_unknown",
        Reason::RefusedAfterPivot => "refused_after_pivot",
        Reason::RetriableSlow => "retriable_slow",
        Reason::Overdue => "overdue",
        Reason::CompensationFailed => "compensation_failed",
        Reason::Poison => "poison",
        Reason::UndoSlow => "undo_slow",
        Reason::Contract => "contract",
        Reason::Contradicted => "contradicted",
        Reason::UnboundService => "unbound_service",
        Reason::Expression => "expression",
        Reason::Unheard => "unheard",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_counted_up_in_words() {
        for (there, words) in [
            (&[][..], "is none"),
            (&[3], "is version 3 only"),
            (&[1, 2], "are versions 1 and 2"),
            (&[1, 2, 5], "are versions 1, 2 and 5"),
        ] {
            assert_eq!(versions(there), words);
        }
    }
}
