//! Past-tense facts: the journal holds these and nothing else.
//!
//! Each says enough that `apply` needs no definition to take it in.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::choreography::Said;
use crate::ids::{Direction, Payload, RunRef, SagaId, StepIx};
use crate::saga::{
    Act, Cause, Exception, ExceptionReason, Fault, Pinned, Reason, State, Status, Terms,
};
use crate::time::{Millis, Time};

/// One fact about one saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The saga was started: always the first fact, and only the first.
    Started(Started),
    /// A step is ready to be sent, or to take its signal.
    Readied {
        /// Which step.
        step: StepIx,
        /// When its time is up.
        deadline: Time,
        /// Whether its runs are numbered.
        for_each: bool,
        /// What each run carries; `None` for the saga's data.
        inputs: Vec<Option<Payload>>,
    },
    /// A step's condition was false or its list empty.
    Skipped {
        /// Which step.
        step: StepIx,
        /// Whether its result is therefore the empty list.
        for_each: bool,
    },
    /// A step's expression could not be evaluated.
    ExpressionFailed {
        /// Which step.
        step: StepIx,
        /// Whether the step failed by it, as it does before the point of no return.
        failed: bool,
        /// What went wrong.
        fault: Fault,
    },
    /// A command is about to be sent. Attempt numbers rise over all rounds; the first sending of a
    /// round is its intent.
    Sent {
        /// Which command.
        command: CommandRef,
        /// The attempt's number.
        attempt: u32,
        /// Until when it is waited for.
        until: Time,
        /// The action's deadline, where this sending moves it.
        deadline: Option<Time>,
        /// What the binding said; counts for the whole round.
        terms: Terms,
    },
    /// Nothing left after all: the attempt never was one.
    NotSent {
        /// Which command.
        command: CommandRef,
        /// The attempt's number.
        attempt: u32,
        /// The earliest time of the next.
        next_at: Time,
        /// Why.
        fault: Fault,
    },
    /// The participant will answer later.
    Accepted {
        /// Which command.
        command: CommandRef,
        /// The attempt's number.
        attempt: u32,
        /// Until when that is waited for.
        until: Time,
    },
    /// An attempt ended without a definite answer.
    AttemptEnded {
        /// Which command.
        command: CommandRef,
        /// The attempt's number.
        attempt: u32,
        /// In what.
        ending: Ending,
        /// The earliest time of the next.
        next_at: Time,
        /// What went wrong.
        fault: Option<Fault>,
    },
    /// A participant broke the protocol: the first answer of that kind.
    ContractBroken {
        /// Which run.
        run: RunRef,
        /// How.
        note: Arc<str>,
    },
    /// No transport is bound to the service of a run.
    UnboundFound {
        /// Which run.
        run: RunRef,
    },
    /// The action is done. Also recorded when it is heard late.
    Completed {
        /// Which run.
        run: RunRef,
        /// The result.
        result: Payload,
    },
    /// The action was refused.
    Refused {
        /// Which run.
        run: RunRef,
        /// The attempt it answers, where that is known.
        attempt: Option<u32>,
        /// Whether that speaks for every sending.
        settled: bool,
        /// What it leaves the step as: failed, or unknown where a sending may still have an effect.
        leaves: Status,
        /// The earliest time of the next attempt, where it is asked on.
        next_at: Time,
        /// Why.
        fault: Fault,
    },
    /// The step's time is up and it is asked no more.
    GivenUp {
        /// Which run.
        run: RunRef,
        /// Whether no sending ever left, so that nothing can have happened.
        unreachable: bool,
    },
    /// The step's time is up, yet it is asked on.
    Overdue {
        /// Which run.
        run: RunRef,
    },
    /// The next sending of a command gets its own key and bytes.
    RoundOpened {
        /// Which command, with the new round.
        command: CommandRef,
        /// The earliest time of the next attempt.
        next_at: Time,
        /// Why there is one.
        why: NewRound,
    },
    /// The participant acknowledged the undo.
    UndoAcknowledged {
        /// Which run.
        run: RunRef,
        /// Whether it said that there was something to undo.
        undone: Option<bool>,
    },
    /// An undo has used up its retries, or one more redrive.
    DeadLettered {
        /// Which run.
        run: RunRef,
        /// Redrives behind it.
        redrives: u32,
        /// When the next comes.
        next_at: Time,
    },
    /// The redriver gave up on an undo.
    Poisoned {
        /// Which run.
        run: RunRef,
        /// When it is tried again all the same.
        next_at: Time,
    },
    /// A signal came.
    SignalReceived {
        /// Its name.
        name: Arc<str>,
        /// Its body.
        body: Payload,
    },
    /// A signal, or its deadline, refused the saga.
    SignalRefused {
        /// Which step.
        step: StepIx,
        /// In words.
        fault: Fault,
    },
    /// The decision to compensate.
    Turned {
        /// For what.
        cause: Cause,
    },
    /// The saga ended.
    Ended {
        /// How: completed or failed.
        state: State,
    },
    /// Nothing is sent and no timer fires from here.
    Paused(Act),
    /// It goes on; deadlines make up for the pause.
    Resumed(Act),
    /// The engine was away; deadlines make up for it.
    OutageEnded {
        /// For how long.
        lasted: Millis,
    },
    /// The saga's own deadline moved, because a step of it waited for us.
    DeadlineMoved {
        /// To when.
        deadline: Time,
    },
    /// A deadline was moved by a person.
    Extended {
        /// Which run's, or the saga's own.
        run: Option<RunRef>,
        /// To when.
        deadline: Time,
        /// Who and why.
        act: Act,
    },
    /// A waiting command is to be sent now.
    RetriedByHand {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
        /// Who and why.
        act: Act,
    },
    /// An operator said what the action's outcome is.
    ActionResolved {
        /// Which run.
        run: RunRef,
        /// The result; `None` when it is refused.
        result: Option<Payload>,
        /// Who and why.
        act: Act,
    },
    /// An operator went on without a retriable step.
    ActionSkipped {
        /// Which run, or the whole step when it has none yet.
        run: RunRef,
        /// Who and why.
        act: Act,
    },
    /// An operator said that an undo is done, or is not needed.
    UndoSettledByHand {
        /// Which run.
        run: RunRef,
        /// Whether it was skipped rather than resolved.
        skipped: bool,
        /// Who and why.
        act: Act,
    },
    /// A person is needed.
    AttentionRaised {
        /// About which run.
        run: Option<RunRef>,
        /// About which of its commands.
        direction: Direction,
        /// Why.
        reason: Reason,
    },
    /// The person is no longer needed.
    AttentionCleared {
        /// About which run.
        run: Option<RunRef>,
        /// About which of its commands.
        direction: Direction,
        /// Why it was.
        reason: Reason,
        /// Who dismissed it, where its cause did not go by itself.
        act: Option<Act>,
    },
    /// The end will not be clean.
    Excepted(Exception),
    /// What made it not clean has been heard after all.
    Proven {
        /// Which run.
        run: RunRef,
        /// Which exception goes.
        reason: ExceptionReason,
    },
    /// One of its services said something, of a saga that they run among themselves.
    Heard {
        /// What.
        said: Said,
        /// Who.
        by: Arc<str>,
        /// When, by that one's clock.
        said_at: Time,
        /// The result of a step that is done.
        result: Option<Payload>,
        /// Why a step never ran, or the saga is to be undone.
        fault: Option<Fault>,
        /// What the saga is to be undone for.
        cause: Option<Cause>,
    },
    /// Its services are asked to undo it.
    EndAsked {
        /// For what.
        cause: Cause,
    },
}

/// What a saga starts with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Started {
    /// Its identity.
    pub saga_id: SagaId,
    /// Its definition.
    pub pinned: Pinned,
    /// How many steps that has.
    pub steps: u8,
    /// Its data, JSON text.
    pub data: Payload,
    /// Its business key, where the definition has one.
    pub business_key: Option<Arc<str>>,
    /// When it must have ended.
    pub deadline: Option<Time>,
    /// Its services run it among themselves, and it is only observed.
    pub choreographed: bool,
}

/// One command of a saga in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandRef {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// Which round, counted from 1.
    pub round: u32,
}

/// How an attempt ended without a definite answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Not now, and the body names it in the attempt's own exchange: that sending had no effect.
    NamedTransient,
    /// Not now, as far as a status tells.
    Transient,
    /// An answer that cannot be trusted, or a lost connection.
    Unknown,
    /// Silence.
    TimedOut,
}

/// Why a command gets a new round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NewRound {
    /// A retriable step was refused; its next try must not be swallowed by the stored refusal.
    Refused,
    /// A success was heard after its undo was acknowledged; the first key would be swallowed.
    LateSuccess,
    /// An operator gave it another body.
    Edited {
        /// The body.
        body: Payload,
        /// Who and why.
        act: Act,
    },
}
