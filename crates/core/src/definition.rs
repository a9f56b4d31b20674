//! A saga type as the machine runs it: checked, its order worked out, nothing left to look up.
//!
//! What a person writes is the business of `amends-definition`; a Rust builder makes the same.
//! [`Definition::new`] is the only way in, so that the machine never meets an ill-formed one.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::ids::{StepIx, StepSet};
use crate::mutant::{Mutant, mutated};
use crate::time::Millis;

/// The most steps of a definition: a set of steps is one machine word.
pub const STEPS_MAX: usize = 64;

/// The most runs of a `for_each` step: they are all live at once, in one saga's state.
pub const RUNS_MAX: usize = 64;

/// A saga type, well-formed (`semantics.md` section 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Definition {
    saga_type: Arc<str>,
    version: u32,
    deadline: Option<Millis>,
    steps: Vec<Step>,
    ancestors: Vec<StepSet>,
    descendants: Vec<StepSet>,
    pivot: Option<StepIx>,
}

/// One step of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Unique in the definition; no `.` in it.
    pub name: Arc<str>,
    /// Atomic or eventual: what its failure means for the saga.
    pub kind: Kind,
    /// What it does.
    pub work: Work,
    /// The steps it waits for directly; each stands earlier in the definition.
    pub after: StepSet,
    /// Which of its expressions must be evaluated before it starts.
    pub computed: Computed,
    /// How long one attempt is waited for.
    pub timeout: Millis,
    /// How long an attempt answered "accepted" is waited for; the deadline when not said.
    pub accepted_timeout: Option<Millis>,
    /// How long the step may take over all its attempts, from when it is ready.
    pub deadline: Millis,
    /// How its attempts are repeated. Without `max_attempts` the deadline alone ends them.
    pub retry: Retry,
    /// The step's own fence; when not said, its service's counts.
    pub fence: Option<Fence>,
    /// How its compensation is repeated. `max_attempts` is how many it takes to a dead letter.
    pub undo: UndoPolicy,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Sends commands to a service.
    Command {
        /// What is asked for.
        action: Command,
        /// What undoes it; `None` for a kind that is never undone and for a step that only reads.
        compensation: Option<Command>,
    },
    /// Waits for a signal and sends nothing.
    Signal {
        /// The name under which it arrives.
        signal: Arc<str>,
        /// What follows when its deadline passes.
        on_deadline: OnDeadline,
        /// Whether `refuse_when` is to be evaluated over the signal's body.
        judged: bool,
    },
}

/// A command's name in two parts: `InventoryService.ReserveItems`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// The service that owns it.
    pub service: Arc<str>,
    /// Its name within the service.
    pub name: Arc<str>,
}

/// What follows when a signal has not come in time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OnDeadline {
    /// The step fails, as if it had been refused.
    Refuse,
    /// The saga goes on with this result (JSON text).
    Continue(crate::ids::Payload),
}

/// Which expressions a step has. They are evaluated outside, once, and come in as facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Computed {
    /// It has `when`: it may be skipped.
    pub when: bool,
    /// It has `for_each`: it has a run for each item.
    pub for_each: bool,
    /// It has `input`: its commands carry that instead of the saga's data.
    pub input: bool,
}

impl Computed {
    /// Is there anything to evaluate?
    pub const fn any(self) -> bool {
        self.when || self.for_each || self.input
    }
}

/// Atomic or eventual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Undone when the saga fails.
    Compensatable,
    /// The point of no return; never undone.
    Pivot,
    /// Follows the point of no return: retried until it succeeds, never undone.
    Retriable,
    /// Its failure is recorded and the saga goes on; never undone.
    BestEffort,
}

/// How an unknown outcome is made harmless before the undo. Under each of them a command may come
/// more than once, also after a crash of ours, and is done once for each idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fence {
    /// The service keeps tombstones and stored answers: undo at once.
    Barrier,
    /// The service repeats its first answer, also after its undo: asking on settles it.
    Settle,
    /// Neither: an unknown outcome waits for an answer or a person.
    None,
}

/// How attempts are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// The most attempts, where there is such a limit.
    pub max_attempts: Option<u32>,
    /// The pause between two of them.
    pub backoff: Backoff,
}

/// A capped exponential pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// The first pause.
    pub initial: Millis,
    /// By how much each pause is longer than the one before, in percent: 200 doubles it.
    pub factor_percent: u32,
    /// The longest pause.
    pub max: Millis,
    /// Whether each pause is a random share of itself, so that many sagas do not return at once.
    pub jitter: Jitter,
}

/// How much of a pause is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// All of it: anything from nothing to the whole pause.
    Full,
    /// None.
    None,
}

/// How a compensation is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UndoPolicy {
    /// How long one attempt is waited for.
    pub timeout: Millis,
    /// How many attempts make a dead letter.
    pub max_attempts: u32,
    /// The pause between two of them.
    pub backoff: Backoff,
}

/// Why a definition is not well-formed. Steps are named by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IllFormed {
    /// There is no step at all.
    NoSteps,
    /// There are more than [`STEPS_MAX`].
    TooManySteps,
    /// A name stands twice, is empty, or holds a `.`.
    BadName(StepIx),
    /// A step waits for itself or for a later one.
    BadOrder(StepIx),
    /// A second pivot.
    SecondPivot(StepIx),
    /// The pivot has `when` or `for_each`, so that it might not run exactly once.
    PivotNotPlain(StepIx),
    /// A pivot, retriable or best-effort step has a compensation, which would never be sent.
    NeverUndone(StepIx),
    /// A signal has a kind other than compensatable, or has `for_each`, `when` or `input`.
    SignalNotPlain(StepIx),
    /// `step` can turn the saga, yet is no ancestor of `point`, from which nothing is undone.
    TurnsTooLate {
        /// The compensatable step, or the signal that may refuse.
        step: StepIx,
        /// The pivot or retriable step.
        point: StepIx,
    },
    /// A retriable step that does not follow the pivot.
    RetriableBeforePivot(StepIx),
    /// A limit is zero that must not be: a timeout, a deadline, a number of attempts.
    ZeroLimit(StepIx),
}

impl Definition {
    /// Works out the order of the steps and checks that they are well-formed. All that is wrong is
    /// reported, not only the first.
    pub fn new(
        saga_type: Arc<str>,
        version: u32,
        deadline: Option<Millis>,
        steps: Vec<Step>,
    ) -> Result<Self, Vec<IllFormed>> {
        if steps.is_empty() {
            return Err(vec![IllFormed::NoSteps]);
        }
        if steps.len() > STEPS_MAX {
            return Err(vec![IllFormed::TooManySteps]);
        }
        let mut wrong = Vec::new();
        let pivot = single_pivot(&steps, &mut wrong);
        check_each_alone(&steps, &mut wrong);
        if wrong.iter().any(|w| matches!(w, IllFormed::BadOrder(_))) {
            return Err(wrong);
        }
        let (ancestors, descendants) = closure(&steps);
        let definition =
            Self { saga_type, version, deadline, steps, ancestors, descendants, pivot };
        definition.check_order(&mut wrong);
        if wrong.is_empty() { Ok(definition) } else { Err(wrong) }
    }

    /// The name of the saga type.
    pub fn saga_type(&self) -> &Arc<str> {
        &self.saga_type
    }

    /// The version under which it is pinned.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How long a saga may take, where that is limited.
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// The steps in the order of the file.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// One step.
    pub fn step(&self, step: StepIx) -> &Step {
        &self.steps[step.get()]
    }

    /// The places of the steps, in order.
    pub fn indices(&self) -> impl Iterator<Item = StepIx> + use<> {
        (0..self.steps.len() as u8).map(StepIx)
    }

    /// The step of that name.
    pub fn find(&self, name: &str) -> Option<StepIx> {
        self.indices().find(|&step| &*self.step(step).name == name)
    }

    /// Every step that must be done before this one, directly or not.
    pub fn ancestors(&self, step: StepIx) -> StepSet {
        self.ancestors[step.get()]
    }

    /// Every step that depends on this one, directly or not.
    pub fn descendants(&self, step: StepIx) -> StepSet {
        self.descendants[step.get()]
    }

    /// The pivot, if there is one.
    pub fn pivot(&self) -> Option<StepIx> {
        self.pivot
    }

    /// The steps that hold the point of no return: the pivot, or without one every retriable step.
    pub fn decisive(&self) -> impl Iterator<Item = StepIx> + '_ {
        let kind = if self.pivot.is_some() { Kind::Pivot } else { Kind::Retriable };
        self.indices().filter(move |&step| self.step(step).kind == kind)
    }

    fn check_order(&self, wrong: &mut Vec<IllFormed>) {
        for point in self.indices() {
            let kind = self.step(point).kind;
            if !matches!(kind, Kind::Pivot | Kind::Retriable) {
                continue;
            }
            for step in self.indices().filter(|&s| self.step(s).can_turn()) {
                let before = self.ancestors(point).contains(step);
                if !before && !mutated(Mutant::UndoAfterPivot) {
                    wrong.push(IllFormed::TurnsTooLate { step, point });
                }
            }
            let after_pivot = self.pivot.is_none_or(|pivot| self.ancestors(point).contains(pivot));
            if kind == Kind::Retriable && !after_pivot {
                wrong.push(IllFormed::RetriableBeforePivot(point));
            }
        }
    }
}

impl Step {
    /// The command that undoes it, where there is one.
    pub fn compensation(&self) -> Option<&Command> {
        match &self.work {
            Work::Command { compensation, .. } => compensation.as_ref(),
            Work::Signal { .. } => None,
        }
    }

    /// The command that does it; a signal has none.
    pub fn action(&self) -> Option<&Command> {
        match &self.work {
            Work::Command { action, .. } => Some(action),
            Work::Signal { .. } => None,
        }
    }

    /// The command of that direction.
    pub fn command(&self, direction: crate::ids::Direction) -> Option<&Command> {
        match direction {
            crate::ids::Direction::Action => self.action(),
            crate::ids::Direction::Compensation => self.compensation(),
        }
    }

    /// Can a failure of this step turn the saga? (A pivot's can too, but it is the point itself.)
    fn can_turn(&self) -> bool {
        match &self.work {
            Work::Command { .. } => self.kind == Kind::Compensatable,
            Work::Signal { on_deadline, judged, .. } => {
                *judged || *on_deadline == OnDeadline::Refuse
            }
        }
    }
}

fn single_pivot(steps: &[Step], wrong: &mut Vec<IllFormed>) -> Option<StepIx> {
    let mut pivots =
        (0u8..).zip(steps).filter(|(_, s)| s.kind == Kind::Pivot).map(|(i, _)| StepIx(i));
    let first = pivots.next();
    wrong.extend(pivots.map(IllFormed::SecondPivot));
    first
}

fn check_each_alone(steps: &[Step], wrong: &mut Vec<IllFormed>) {
    for (i, step) in (0u8..).zip(steps) {
        let ix = StepIx(i);
        let twice = steps[..ix.get()].iter().any(|earlier| earlier.name == step.name);
        if twice || step.name.is_empty() || step.name.contains('.') {
            wrong.push(IllFormed::BadName(ix));
        }
        if step.after.iter().any(|before| before >= ix) {
            wrong.push(IllFormed::BadOrder(ix));
        }
        if step.kind == Kind::Pivot && (step.computed.when || step.computed.for_each) {
            wrong.push(IllFormed::PivotNotPlain(ix));
        }
        if step.kind != Kind::Compensatable && step.compensation().is_some() {
            wrong.push(IllFormed::NeverUndone(ix));
        }
        let signal = matches!(step.work, Work::Signal { .. });
        if signal && (step.kind != Kind::Compensatable || step.computed.any()) {
            wrong.push(IllFormed::SignalNotPlain(ix));
        }
        let zero = [step.timeout, step.deadline, step.undo.timeout].contains(&Millis::ZERO)
            || step.accepted_timeout == Some(Millis::ZERO)
            || step.retry.max_attempts == Some(0)
            || step.undo.max_attempts == 0;
        if zero {
            wrong.push(IllFormed::ZeroLimit(ix));
        }
    }
}

/// Ancestors and descendants of each step; `after` points backwards only, so one pass each way.
fn closure(steps: &[Step]) -> (Vec<StepSet>, Vec<StepSet>) {
    let mut ancestors = vec![StepSet::EMPTY; steps.len()];
    let mut descendants = vec![StepSet::EMPTY; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        ancestors[i] =
            step.after.iter().fold(step.after, |all, before| all.union(ancestors[before.get()]));
        for before in ancestors[i].iter() {
            descendants[before.get()].insert(StepIx(i as u8));
        }
    }
    (ancestors, descendants)
}
