//! Marks: what many runs must have seen somewhere, so that a law is not kept for want of a chance to
//! break it.

use amends_core::event::{Ending, Event, NewRound};
use amends_core::saga::{Cause, ExceptionReason, Reason, Saga, State, StepState};

macro_rules! marks {
    ($($name:ident: $words:literal,)*) => {
        /// Something that many runs must see at least once.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $(#[doc = $words] $name,)* }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

marks! {
    Completed: "completed",
    FailedClean: "failed, rolled back",
    FailedUnproven: "failed with an unproven step",
    ByHand: "an end that an operator decided a part of",
    SkippedByHand: "an end of which an operator skipped a part",
    SecondRound: "a second round of an undo",
    RefusedRound: "a new round of a refused retriable step",
    EditedRound: "a new round with a body given by an operator",
    LateSuccess: "a success heard after the turn",
    LateSuccessAfterEnd: "a success heard after the end",
    Proven: "a step proven that was not",
    UnsettledRefusal: "a refusal that is not settled",
    NotSent: "a sending that never left",
    Unreachable: "a step that was never reached",
    Accepted: "a command that was accepted, to be answered later",
    TimedOut: "an attempt that timed out",
    DeadLetter: "a dead letter",
    Poison: "poison",
    PivotUnknown: "a pivot whose time is up",
    OutcomeUnknown: "a step without a fence whose time is up",
    RefusedAfterPivot: "a retriable step that was refused",
    RetriableSlow: "a retriable step whose time is up",
    Overdue: "the saga's own deadline after the point of no return",
    UndoSlow: "an undo without an acknowledgement for a minute",
    Contract: "an answer that broke the protocol",
    Contradicted: "an answer that contradicts what was decided",
    Cancelled: "a cancel that turned the saga",
    SagaDeadline: "the saga's own deadline turned it",
    SignalTaken: "a signal that was waited for",
    SignalRefused: "a signal, or its deadline, that refused",
    StepSkipped: "a step whose condition was false",
    ManyRuns: "a step with many runs",
    PausedAndResumed: "a pause, and the resume",
    OutageMoved: "a deadline that moved because of an outage",
    WaitedForRoom: "a deadline that moved because the step waited for room",
    Extended: "a deadline that an operator moved",
    RetriedByHand: "a command that an operator sent again",
    EndedByAnother: "a saga that one engine started and another ended",
    StartRepeated: "a start that was repeated, and gave the same saga",
    KeyInUse: "a start whose business key was in use",
    Conflict: "other bytes under one idempotency key, refused",
    StartRefused: "a start refused while the journal could not be written",
    Moved: "a verb refused because the saga had moved",
    InFlight: "a verb refused because an attempt was in flight",
    Forged: "a forged reply",
    Foreign: "a reply of a service whose step it is not",
    Lied: "a participant that broke its promises",
    Tombstoned: "an action refused by a tombstone",
    Refused: "a connection that was refused",
    CommandLost: "a command lost on its way",
    AnswerLost: "an answer lost on its way",
    Doubled: "a command that came twice",
    Proxied: "a \"not now\" by somebody in between",
    Away: "a service that was away",
    LostAll: "a death that lost what was not synced",
    LostNothing: "a death that lost nothing that was written",
    Torn: "a death that left a torn record",
    DiedInRecovery: "a death in the recovery",
    StoppedInOrder: "a stop in order",
    Frozen: "an engine that was frozen",
    Replaced: "an engine that was replaced and went on",
    SyncFailed: "an engine that broke off after a failed sync",
    CatalogBroken: "an engine that broke off because its catalog could not be written any more",
    ClockBack: "a clock that was set back",
    ClockForward: "a clock that was set forward",
    BitFlipped: "a start that halted on a flipped bit",
    JournalFull: "a full journal",
    CatalogFull: "a full catalog",
    DiskSlow: "a slow disk",
}

/// The marks that a fact reaches, which led from one state to another.
pub(crate) fn of_fact(before: &Saga, event: &Event, after: &Saga) -> Vec<Mark> {
    let turned = before.turned.is_some();
    let mark = match event {
        Event::Completed { .. } if before.state.ended() => Mark::LateSuccessAfterEnd,
        Event::Completed { .. } if turned => Mark::LateSuccess,
        Event::Refused { settled: false, .. } => Mark::UnsettledRefusal,
        Event::NotSent { .. } => Mark::NotSent,
        Event::GivenUp { unreachable: true, .. } => Mark::Unreachable,
        Event::Accepted { .. } => Mark::Accepted,
        Event::AttemptEnded { ending: Ending::TimedOut, .. } => Mark::TimedOut,
        Event::RoundOpened { why, .. } => match why {
            NewRound::Refused => Mark::RefusedRound,
            NewRound::LateSuccess => Mark::SecondRound,
            NewRound::Edited { .. } => Mark::EditedRound,
        },
        Event::DeadLettered { .. } => Mark::DeadLetter,
        Event::Poisoned { .. } => Mark::Poison,
        Event::AttentionRaised { reason, .. } => match reason {
            Reason::PivotUnknown => Mark::PivotUnknown,
            Reason::OutcomeUnknown => Mark::OutcomeUnknown,
            Reason::RefusedAfterPivot => Mark::RefusedAfterPivot,
            Reason::RetriableSlow => Mark::RetriableSlow,
            Reason::Overdue => Mark::Overdue,
            Reason::UndoSlow => Mark::UndoSlow,
            Reason::Contract => Mark::Contract,
            Reason::Contradicted => Mark::Contradicted,
            Reason::CompensationFailed
            | Reason::Poison
            | Reason::UnboundService
            | Reason::Expression
            | Reason::Unheard => return Vec::new(),
        },
        Event::Turned { cause: Cause::Cancelled(_) } => Mark::Cancelled,
        Event::Turned { cause: Cause::Deadline } => Mark::SagaDeadline,
        Event::SignalReceived { .. } => Mark::SignalTaken,
        Event::SignalRefused { .. } => Mark::SignalRefused,
        Event::Skipped { .. } => Mark::StepSkipped,
        Event::Readied { .. } if many_runs(after) && !many_runs(before) => Mark::ManyRuns,
        Event::Resumed(_) => Mark::PausedAndResumed,
        Event::OutageEnded { .. } if moved(before, after) => Mark::OutageMoved,
        Event::DeadlineMoved { .. } => Mark::WaitedForRoom,
        Event::Extended { .. } => Mark::Extended,
        Event::RetriedByHand { .. } => Mark::RetriedByHand,
        Event::Proven { .. } => Mark::Proven,
        Event::Ended { state } => return of_end(*state, after),
        _ => return Vec::new(),
    };
    vec![mark]
}

fn of_end(state: State, after: &Saga) -> Vec<Mark> {
    let excepted = |of| after.exceptions.iter().any(|exception| exception.reason == of);
    let mut marks = Vec::new();
    match state {
        State::Completed => marks.push(Mark::Completed),
        State::Failed if after.exceptions.is_empty() => marks.push(Mark::FailedClean),
        State::Failed if excepted(ExceptionReason::Unproven) => marks.push(Mark::FailedUnproven),
        _ => {}
    }
    marks.extend(excepted(ExceptionReason::ByHand).then_some(Mark::ByHand));
    marks.extend(excepted(ExceptionReason::Skipped).then_some(Mark::SkippedByHand));
    marks
}

fn many_runs(saga: &Saga) -> bool {
    saga.steps.iter().any(|step| matches!(step, StepState::Runs { runs, .. } if runs.len() > 1))
}

fn moved(before: &Saga, after: &Saga) -> bool {
    let later = |(at, was): (_, &amends_core::saga::Run)| {
        after.run(at).is_some_and(|is| is.deadline > was.deadline)
    };
    before.runs().any(later)
}
