//! Marks: what a run must have seen somewhere, so that a law is not kept for want of a chance to
//! break it.

use std::sync::atomic::{AtomicU64, Ordering};

use amends_core::event::{Event, NewRound};
use amends_core::input::Refusal;
use amends_core::saga::{Cause, Reason, Saga, State, StepState};

macro_rules! marks {
    ($($name:ident: $words:literal,)*) => {
        /// Something that a whole run must see at least once.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mark { $(#[doc = $words] $name,)* }

        /// All of them, in words.
        pub const ALL: &[(Mark, &str)] = &[$((Mark::$name, $words),)*];
    };
}

marks! {
    Completed: "completed",
    FailedClean: "failed, rolled back",
    FailedUnproven: "failed with an unproven step",
    SecondRound: "a second round of an undo",
    RefusedRound: "a new round of a refused retriable step",
    LateSuccess: "a success heard after the turn",
    LateSuccessAfterEnd: "a success heard after the end",
    UnsettledRefusal: "a refusal that is not settled",
    SettledByOnlySending: "a refusal settled by being the only sending's",
    OutcomeUnknown: "a step without a fence waits for a person",
    PivotUnknown: "a pivot whose time is up",
    PivotUnknownThenDone: "a pivot whose time was up, completed",
    RetriableSlow: "a retriable step whose time is up",
    Unreachable: "a step that was never reached",
    UndoSlow: "an undo without an acknowledgement for a minute",
    DeadLetter: "a dead letter",
    Poison: "poison",
    CancelTaken: "a cancel that turned the saga",
    CancelTooLate: "a cancel that came too late",
    CrashTwice: "two crashes in one saga",
    LostBetween: "a crash between the fact and the sending",
    Outage: "an outage that moved a deadline",
    NotSent: "a sending that never left",
    AcceptedThenDone: "an accepted attempt, completed by a callback",
    Tombstoned: "an action refused by a tombstone",
    Contradicted: "a success that nobody may undo",
    SagaDeadline: "the saga's own deadline turned it",
    SagaOverdue: "the saga's own deadline after the point of no return",
    SignalRefused: "a signal, or its deadline, refused the saga",
    SignalEarly: "a signal before its step was ready",
    Skipped: "a step whose condition was false",
    ManyRuns: "a step with two runs",
    WaitedForRoom: "a deadline moved because the step waited for room",
    Paused: "a pause, and the resume",
    ByHand: "an outcome said by an operator",
    Edited: "a body given by an operator",
    Contract: "an answer that broke the protocol",
    Unbound: "a service without a binding",
    SecondRoundFour: "a second round in a saga of four steps",
    PausedFour: "a pause of a saga of four steps, and the resume",
    Gone: "an undo of what is not there, answered 404",
}

static SEEN: AtomicU64 = AtomicU64::new(0);

/// It was seen.
pub fn seen(mark: Mark) {
    let bit = 1 << mark as u8;
    // Most marks are seen often: a read is cheaper than a contended write.
    if SEEN.load(Ordering::Relaxed) & bit == 0 {
        SEEN.fetch_or(bit, Ordering::Relaxed);
    }
}

/// What has not been seen since the process began.
pub fn missing() -> Vec<&'static str> {
    let seen = SEEN.load(Ordering::Relaxed);
    let unseen = |(mark, _): &&(Mark, _)| seen & (1 << *mark as u8) == 0;
    ALL.iter().filter(unseen).map(|&(_, words)| words).collect()
}

/// It was seen, if so.
pub fn seen_if(so: bool, mark: Mark) {
    if so {
        seen(mark);
    }
}

/// What a decision shows.
pub fn of_decision(before: &Saga, facts: &[Event], refusal: Option<Refusal>) {
    seen_if(refusal == Some(Refusal::TooLate), Mark::CancelTooLate);
    for event in facts {
        match event {
            Event::RoundOpened { why: NewRound::LateSuccess, .. } => {
                seen(Mark::SecondRound);
                seen_if(before.steps.len() == 4, Mark::SecondRoundFour);
            }
            Event::RoundOpened { why: NewRound::Refused, .. } => seen(Mark::RefusedRound),
            Event::RoundOpened { why: NewRound::Edited { .. }, .. } => seen(Mark::Edited),
            Event::Completed { run, .. } => {
                let was = before.run(*run);
                let action = was.and_then(|run| run.action.as_ref());
                seen_if(before.turned.is_some(), Mark::LateSuccess);
                seen_if(before.state.ended(), Mark::LateSuccessAfterEnd);
                let overdue = action.is_some_and(|action| action.overdue);
                seen_if(overdue, Mark::PivotUnknownThenDone);
                let accepted = action.and_then(|action| action.open).is_some_and(|o| o.accepted);
                seen_if(accepted, Mark::AcceptedThenDone);
            }
            Event::Refused { run, settled, .. } => {
                seen_if(!settled, Mark::UnsettledRefusal);
                let said = before.run(*run).and_then(|run| run.action.as_ref());
                let said = said.is_some_and(|action| action.terms.refusals_settle());
                seen_if(*settled && !said, Mark::SettledByOnlySending);
            }
            Event::GivenUp { unreachable: true, .. } => seen(Mark::Unreachable),
            Event::DeadLettered { .. } => seen(Mark::DeadLetter),
            Event::Poisoned { .. } => seen(Mark::Poison),
            Event::Turned { cause: Cause::Cancelled(_) } => seen(Mark::CancelTaken),
            Event::Turned { cause: Cause::Deadline } => seen(Mark::SagaDeadline),
            Event::OutageEnded { .. } => seen(Mark::Outage),
            Event::NotSent { .. } => seen(Mark::NotSent),
            Event::SignalRefused { .. } => seen(Mark::SignalRefused),
            Event::SignalReceived { .. } => {
                let waiting = |step: &StepState| matches!(step, StepState::Waiting { .. });
                seen_if(before.steps.iter().any(waiting), Mark::SignalEarly);
            }
            Event::Skipped { .. } => seen(Mark::Skipped),
            Event::Readied { inputs, .. } => seen_if(inputs.len() > 1, Mark::ManyRuns),
            Event::Sent { deadline: Some(_), .. } => seen(Mark::WaitedForRoom),
            Event::Resumed(_) => {
                seen(Mark::Paused);
                seen_if(before.steps.len() == 4, Mark::PausedFour);
            }
            Event::ActionResolved { .. } | Event::UndoSettledByHand { .. } => seen(Mark::ByHand),
            _ => {}
        }
    }
}

/// What a saga shows.
pub fn of_saga(saga: &Saga) {
    match saga.state {
        State::Completed => seen(Mark::Completed),
        State::Failed if saga.clean() => seen(Mark::FailedClean),
        State::Failed => seen_if(crate::laws::unproven(saga), Mark::FailedUnproven),
        _ => {}
    }
    for attention in &saga.attention {
        match attention.reason {
            Reason::OutcomeUnknown => seen(Mark::OutcomeUnknown),
            Reason::PivotUnknown => seen(Mark::PivotUnknown),
            Reason::RetriableSlow => seen(Mark::RetriableSlow),
            Reason::UndoSlow => seen(Mark::UndoSlow),
            Reason::Contradicted => seen(Mark::Contradicted),
            Reason::Contract => seen(Mark::Contract),
            Reason::UnboundService => seen(Mark::Unbound),
            Reason::Overdue => seen(Mark::SagaOverdue),
            _ => {}
        }
    }
}
