//! What the machine is told, and how it says no.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{Direction, Payload, RunRef, StepIx};
use crate::saga::{Act, Fault, Terms};
use crate::time::{Millis, Time};

/// When a decision is made, and the chance it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// The time now.
    pub at: Time,
    /// A random number, for the jitter of backoffs.
    pub jitter: u32,
}

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time has passed: every timer that is due at this moment fires.
    Tick,
    /// A ready step's expressions were evaluated.
    Evaluated {
        /// Which step.
        step: StepIx,
        /// What they came to.
        value: Evaluation,
    },
    /// A service has room for a command that is owed.
    Room {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
        /// What the service's binding says.
        terms: Terms,
    },
    /// No transport is bound to the service of a command that is owed.
    Unbound {
        /// Which run.
        run: RunRef,
    },
    /// An answer, or what became of waiting for one.
    Answer(Answer),
    /// The engine came back without the exchange of an attempt that was out: nobody hears its answer
    /// any more.
    Lost {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
    },
    /// A signal.
    Signal {
        /// Its name.
        name: Arc<str>,
        /// Its body.
        body: Payload,
    },
    /// The engine was down or stopped for so long that deadlines must make up for it.
    Outage {
        /// How long.
        lasted: Millis,
    },
    /// What a person or a program asks for.
    Verb {
        /// What.
        verb: Verb,
        /// Who, and why.
        act: Act,
    },
}

/// What a step's expressions came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Evaluation {
    /// `when` is false, or the list is empty.
    Skip,
    /// One run that carries the saga's data.
    Data,
    /// One run with its input; for a `for_each` step one an item (`None`: the saga's data).
    Inputs(Vec<Option<Payload>>),
    /// `refuse_when` was evaluated over a signal.
    Judged {
        /// The saga is refused.
        refused: bool,
    },
    /// An expression failed.
    Failed(Fault),
}

/// An answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// Which round; a reply that names none speaks for round 1.
    pub round: Option<u32>,
    /// Which attempt, where it names one.
    pub attempt: Option<u32>,
    /// Whether it came in the attempt's own exchange, as an HTTP response does.
    pub own_exchange: bool,
    /// What it says.
    pub outcome: Outcome,
}

/// What an attempt came to (`semantics.md` section 5). A time-out is a timer's, not an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Completed {
        /// The result, JSON text.
        result: Payload,
        /// Of an undo: whether there was something to undo, where it says so.
        undone: Option<bool>,
    },
    /// No, and it has had no effect.
    Refused(Fault),
    /// Not now.
    Transient {
        /// Why.
        fault: Fault,
        /// Whether the body names it so; a status alone may come from somebody in between.
        named: bool,
        /// How long to wait, where it says so.
        retry_after: Option<Millis>,
    },
    /// The answer comes later.
    Accepted,
    /// Of an undo: what it should undo does not exist.
    Gone {
        /// Whether that can be taken for certain.
        proven: bool,
    },
    /// It may have happened.
    Unknown {
        /// What went wrong.
        fault: Fault,
        /// How it broke the protocol, where it did.
        contract: Option<Arc<str>>,
    },
    /// Nothing left: not an attempt.
    NotSent(Fault),
}

/// What a person or a program may ask for (`semantics.md`, operator verbs).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Turn the saga.
    Cancel,
    /// Send nothing, fire no timer.
    Pause,
    /// Go on.
    Resume,
    /// Send a waiting command now.
    Retry {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
    },
    /// Take this for the outcome.
    Resolve {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
        /// The outcome.
        resolution: Resolution,
        /// Also while an attempt is younger than its time-out.
        force: bool,
    },
    /// Go on without it.
    Skip {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
        /// Also while an attempt is younger than its time-out.
        force: bool,
    },
    /// A new round with this body.
    Edit {
        /// Which run.
        run: RunRef,
        /// Which of its commands.
        direction: Direction,
        /// What it carries from then on.
        body: Payload,
        /// Also while an attempt is younger than its time-out; never for an undo.
        force: bool,
    },
    /// Move a deadline, later only.
    Extend {
        /// Which run's; the saga's own when none is named.
        run: Option<RunRef>,
        /// To when.
        deadline: Time,
    },
    /// The contradiction was seen.
    Acknowledge {
        /// Which run.
        run: RunRef,
    },
}

/// What an operator says an outcome is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// It is done, with this result.
    Completed(Payload),
    /// It is not done and will not be.
    Refused,
}

/// Why an input changes nothing. Nothing was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no such step, or it has no such run.
    NoSuchStep,
    /// Nothing was ever sent that this could answer.
    NeverSent,
    /// It answers a round or an attempt that there never was.
    NoSuchAttempt,
    /// Nothing of this kind is owed now.
    NotOwed,
    /// The point of no return is behind it, or may be.
    TooLate,
    /// The saga has ended.
    Ended,
    /// It is compensating already.
    AlreadyCompensating,
    /// It is paused already.
    AlreadyPaused,
    /// It is not paused.
    NotPaused,
    /// No step waits for a signal of this name.
    UnknownSignal,
    /// A signal of this name came before, or its step is over; the first wins.
    SignalTaken,
    /// The verb does not fit where the step stands.
    VerbDoesNotFit,
    /// An attempt is younger than its time-out, and `force` was not said, or not allowed.
    AttemptInFlight,
    /// A deadline moves only later.
    NotLater,
}
