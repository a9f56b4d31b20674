//! The state of one saga: what its facts so far add up to.
//!
//! Only `apply` writes it. Every field is the sum of events, so that the state rebuilt from the
//! journal is the state before the crash (`semantics.md` S17).

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::choreography::Part;
use crate::definition::Fence;
use crate::ids::{Direction, Payload, RunRef, SagaId, StepIx};
use crate::time::Time;

/// One run of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Saga {
    /// Its identity, and the correlation id of every message and log line.
    pub id: SagaId,
    /// How many events it has had; the next one is `seq + 1`.
    pub seq: u64,
    /// The seed's five.
    pub state: State,
    /// Which definition it is pinned to.
    pub pinned: Pinned,
    /// What it was started with.
    pub data: Payload,
    /// Unique among running sagas of its type, where the definition has such a key.
    pub business_key: Option<Arc<str>>,
    /// The decision to compensate.
    pub turned: Option<Turn>,
    /// When it must have ended.
    pub deadline: Option<Time>,
    /// The deadline does not fire before the next sending, where one is to come: the engine was away.
    pub floats: bool,
    /// Since when nothing is sent and no timer fires.
    pub paused: Option<Time>,
    /// By step, in the definition's order.
    pub steps: Vec<StepState>,
    /// Signals that came, the first of each name.
    pub signals: Vec<Signal>,
    /// What a person is needed for.
    pub attention: Vec<Attention>,
    /// What makes its end not clean.
    pub exceptions: Vec<Exception>,
    /// What was heard of it, where its services run it among themselves.
    pub heard: Option<Heard>,
    /// When it started.
    pub created_at: Time,
    /// When its last event happened.
    pub updated_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// The state of a saga (`semantics.md` section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No step is completed, refused or unknown yet. Left by the first that is.
    Started,
    /// Waiting for replies. Left when all is done, or by the decision to compensate.
    Pending,
    /// Rolling back. Left when nothing is owed any more.
    Compensating,
    /// Ended: all done.
    Completed,
    /// Ended: all undone.
    Failed,
}

impl State {
    /// Has the saga ended?
    pub const fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// The definition a saga was started with. It never changes (S19).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pinned {
    /// The saga type.
    pub saga_type: Arc<str>,
    /// Its version.
    pub version: u32,
    /// The SHA-256 of its pinned form.
    pub hash: [u8; 32],
}

/// What was heard of a saga that its services run among themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Heard {
    /// What its services said, all together.
    pub part: Part,
    /// What the first failure that was heard was for: the decision is the arbiter's, and comes later.
    pub failure: Option<Cause>,
    /// What they were asked to undo it for.
    pub end_asked: Option<Cause>,
}

/// The decision to compensate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// What it was made for.
    pub cause: Cause,
    /// When.
    pub at: Time,
}

/// What a saga turned for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A step failed, was refused, or its time was up.
    Step(RunRef),
    /// A person, or a message, cancelled it.
    Cancelled(Act),
    /// The saga's own deadline passed.
    Deadline,
}

/// Who did something, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Act {
    /// The person or token.
    pub by: Arc<str>,
    /// The reason given.
    pub reason: Arc<str>,
}

/// A step's part of the state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StepState {
    /// It waits for the steps before it, or for its expressions.
    Waiting {
        /// What an expression of it failed with, after the point of no return.
        expression_error: Option<Fault>,
    },
    /// Its condition was false, or its list empty.
    Skipped {
        /// Whether it is a `for_each` step, whose result is then the empty list.
        for_each: bool,
        /// Who skipped it, if a person did.
        by: Option<Act>,
    },
    /// It runs or has run: one run, or one for each item.
    Runs {
        /// Whether the runs are numbered, as those of a `for_each` step are.
        for_each: bool,
        /// The runs.
        runs: Vec<Run>,
    },
}

/// One run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Where it stands.
    pub status: Status,
    /// What its action carries instead of the saga's data.
    pub input: Option<Payload>,
    /// From when on its first sending is owed: when it became ready, or later where an outage came
    /// in between.
    pub ready_at: Time,
    /// When its time is up. Moves only later (S22).
    pub deadline: Time,
    /// The same without the moves that made up for waiting for room: what counts when it turns out
    /// that the service cannot be reached at all.
    pub deadline_said: Time,
    /// The deadline does not fire before the next sending: the engine was away in the meantime.
    pub floats: bool,
    /// The action's sendings; `None` before the first intent.
    pub action: Option<Sendings>,
    /// How the action is settled.
    pub settled: Settled,
    /// The result, once a success was heard, also late.
    pub result: Option<Payload>,
    /// The last error of its action.
    pub error: Option<Fault>,
    /// The first answer that broke the protocol, until a proper one comes.
    pub contract: Option<Arc<str>>,
    /// No transport is bound to its service.
    pub unbound: bool,
    /// What happened to its undo; `None` before its first intent or an operator's verb.
    pub undo: Option<Undo>,
    /// Who decided its status, if a person did.
    pub by: Option<Act>,
    /// Whether it was the action's outcome that a person decided.
    pub resolved: bool,
}

/// The status of a step (`semantics.md` section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Ready or not yet; nothing has been sent.
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

/// What is known of a run's action, beyond its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// Still open: an answer may come.
    Open,
    /// A success was heard: it speaks for every sending.
    Succeeded,
    /// A settled refusal was heard: no sending has had or will have an effect.
    Refused,
    /// Its time was up before an answer that could be trusted.
    GivenUp,
    /// Its time was up and no sending ever left.
    Unreachable,
}

/// The sendings of one command: one (saga, step, direction), over all its rounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sendings {
    /// The current round, counted from 1; each has its own key and bytes.
    pub round: u32,
    /// The body of this round, where an operator gave one.
    pub body: Option<Payload>,
    /// The round has its intent: a sending of it may have left.
    pub intent: bool,
    /// It was opened because the round before was refused after the point of no return.
    pub refused_before: bool,
    /// The number of the last attempt; never restarts (also not with a new round).
    pub attempts: u32,
    /// How many sendings of this round have left, as far as is known.
    pub left: u32,
    /// The attempt that is waited for.
    pub open: Option<Attempt>,
    /// Sendings of this round whose effect is not excluded by a transient named in the body.
    pub unresolved: AttemptSet,
    /// Sendings of this round that did not end in a transient.
    pub doubtful: AttemptSet,
    /// The earliest time of the next attempt.
    pub next_at: Time,
    /// What the service's binding said when this round got its intent.
    pub terms: Terms,
    /// The time is up, yet it is asked on (pivot, retriable).
    pub overdue: bool,
    /// When this round got its intent, or was opened.
    pub since: Time,
}

impl Sendings {
    /// May this attempt still turn out never to have left? It was counted as one that did.
    pub(crate) fn may_not_have_left(&self, attempt: u32) -> bool {
        let open = self.open.is_some_and(|open| open.number == attempt);
        open || self.unresolved.contains(attempt)
    }
}

/// An attempt that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// When it was sent.
    pub sent_at: Time,
    /// Until when it is waited for.
    pub until: Time,
    /// The participant said that the answer comes later.
    pub accepted: bool,
    /// The engine was away in the meantime, or the saga paused: its time was in part ours.
    pub cut_off: bool,
}

/// The most rounds of a command: a reply address writes the round in two bytes. A retriable step that
/// is refused so often goes on under its last key.
pub const ROUNDS_MAX: u32 = 65_535;

/// The most attempts whose numbers are kept apart. A command with more unanswered sendings than
/// this is one whose refusals no longer settle anything, so the numbers would not be used.
pub const ATTEMPTS_TRACKED_MAX: usize = 32;

/// A set of attempt numbers, bounded: past the bound it only knows that it has lost count, which
/// every rule reads as "not empty".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttemptSet {
    numbers: Vec<u32>,
    lost_count: bool,
}

impl AttemptSet {
    /// Is it certain that nothing is in it?
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && !self.lost_count
    }

    /// Is it certain that this attempt, and no other, is in it?
    pub fn is_only(&self, attempt: u32) -> bool {
        !self.lost_count && self.numbers == [attempt]
    }

    /// Is it certain that this attempt is in it?
    pub fn contains(&self, attempt: u32) -> bool {
        self.numbers.contains(&attempt)
    }

    pub(crate) fn insert(&mut self, attempt: u32) {
        if self.numbers.len() < ATTEMPTS_TRACKED_MAX {
            self.numbers.push(attempt);
        } else {
            self.lost_count = true;
        }
    }

    pub(crate) fn remove(&mut self, attempt: u32) {
        self.numbers.retain(|&n| n != attempt);
    }
}

/// What a service's binding says, pinned into a command's intent, because bindings may change
/// while the rules for this command, and its bytes, must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    /// The fence, where the step or its service says one.
    pub fence: Option<Fence>,
    /// Whether the fields of `data` also stand at the top level of the body.
    pub flat: bool,
}

impl Terms {
    /// The fence that counts: unsaid is treated as `settle`.
    pub fn fence(&self) -> Fence {
        self.fence.unwrap_or(Fence::Settle)
    }

    /// Does the service promise that its refusals speak for every sending?
    pub fn refusals_settle(&self) -> bool {
        matches!(self.fence, Some(Fence::Barrier | Fence::Settle))
    }
}

/// The undo of one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Undo {
    /// Its sendings; `None` when an operator settled it before the first.
    pub sendings: Option<Sendings>,
    /// The result that the current round carries as `original_result`; with none its outcome is
    /// `unknown`.
    pub original_result: Option<Payload>,
    /// How the current round ended.
    pub end: Option<UndoEnd>,
    /// A second round was opened by itself; there is at most one such.
    pub second_round: bool,
    /// How far the redriver has come.
    pub letter: Letter,
    /// The next sending of a dead letter, or the one that is out, is a person's and none of the
    /// redriver's.
    pub by_hand: bool,
    /// The last error of its sendings.
    pub error: Option<Fault>,
}

/// How an undo ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UndoEnd {
    /// The participant acknowledged it.
    Acknowledged {
        /// Whether it said that there was something to undo.
        undone: Option<bool>,
    },
    /// An operator said that it is done.
    Resolved(Act),
    /// An operator said that it is not needed.
    Skipped(Act),
}

/// A command whose retries are used up, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letter {
    /// The retry policy is still at work.
    None,
    /// A dead letter: this many redrives are behind it.
    Dead {
        /// Redrives sent so far.
        redrives: u32,
    },
    /// The redriver gave up; once an hour from then on.
    Poison,
}

/// A signal that came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signal {
    /// Its name.
    pub name: Arc<str>,
    /// Its body.
    pub body: Payload,
}

/// An error as a participant or the engine words it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// A code for programs, where there is one.
    pub code: Option<Arc<str>>,
    /// The words for people.
    pub message: Arc<str>,
}

impl Fault {
    /// A fault with a code.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: Some(code.into()), message: message.into() }
    }
}

/// What a person is needed for. At most one for each (run, direction, reason) (S21).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attention {
    /// Which run, if it is about one.
    pub run: Option<RunRef>,
    /// Which of its commands.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Time,
}

/// Why a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
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
}

/// Something that makes an end not clean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exception {
    /// Which run.
    pub run: RunRef,
    /// Why.
    pub reason: ExceptionReason,
    /// In words.
    pub note: Arc<str>,
}

/// Why an end is not clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExceptionReason {
    /// Undone without ever hearing what the action came to.
    Unproven,
    /// An operator skipped it.
    Skipped,
    /// An operator decided it.
    ByHand,
}

impl Saga {
    /// What it is undone for, or is asked to be by a service or whoever observes it.
    pub fn cause(&self) -> Option<&Cause> {
        let turned = self.turned.as_ref().map(|turned| &turned.cause);
        let heard = self.heard.as_ref();
        let asked = heard.and_then(|heard| heard.end_asked.as_ref().or(heard.failure.as_ref()));
        turned.or(asked)
    }

    /// The run, where that step has it.
    pub fn run(&self, at: RunRef) -> Option<&Run> {
        match self.steps.get(at.step.get())? {
            StepState::Runs { runs, .. } => runs.get(usize::from(at.run)),
            StepState::Waiting { .. } | StepState::Skipped { .. } => None,
        }
    }

    pub(crate) fn run_mut(&mut self, at: RunRef) -> Option<&mut Run> {
        match self.steps.get_mut(at.step.get())? {
            StepState::Runs { runs, .. } => runs.get_mut(usize::from(at.run)),
            StepState::Waiting { .. } | StepState::Skipped { .. } => None,
        }
    }

    /// The runs of one step; none before it is ready.
    pub fn runs_of(&self, step: StepIx) -> &[Run] {
        match self.steps.get(step.get()) {
            Some(StepState::Runs { runs, .. }) => runs,
            _ => &[],
        }
    }

    /// Every run there is, in the definition's order.
    pub fn runs(&self) -> impl Iterator<Item = (RunRef, &Run)> {
        (0u8..).zip(&self.steps).flat_map(|(i, _)| {
            let step = StepIx(i);
            (0u8..).zip(self.runs_of(step)).map(move |(run, state)| (RunRef { step, run }, state))
        })
    }

    /// Did it end as it should, with nothing left to take somebody's word for?
    pub fn clean(&self) -> bool {
        self.exceptions.is_empty()
    }
}

impl Run {
    /// The sendings of that direction, once there is an intent.
    pub fn sendings(&self, direction: Direction) -> Option<&Sendings> {
        match direction {
            Direction::Action => self.action.as_ref(),
            Direction::Compensation => self.undo.as_ref()?.sendings.as_ref(),
        }
    }

    pub(crate) fn sendings_mut(&mut self, direction: Direction) -> Option<&mut Sendings> {
        match direction {
            Direction::Action => self.action.as_mut(),
            Direction::Compensation => self.undo.as_mut()?.sendings.as_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_known_one_by_one_up_to_a_number_and_then_never_all() {
        let mut set = AttemptSet::default();
        assert!(set.is_empty());
        let most = ATTEMPTS_TRACKED_MAX as u32;
        (1..=most).for_each(|attempt| set.insert(attempt));
        (2..=most).for_each(|attempt| set.remove(attempt));
        assert!(set.is_only(1) && set.contains(1) && !set.contains(2));
        (2..=most + 1).for_each(|attempt| set.insert(attempt));
        assert!(set.contains(most) && !set.contains(most + 1));
        (1..=most).for_each(|attempt| set.remove(attempt));
        assert!(!set.is_empty(), "one more may be in it");
        set.insert(1);
        assert!(set.contains(1) && !set.is_only(1));
    }
}
