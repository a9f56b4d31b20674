//! Definitions in a line or two: a step follows the one written before it unless it says otherwise.

use std::sync::Arc;

use amends_core::definition::{
    Backoff, Command, Computed, Fence, IllFormed, Jitter, Kind, OnDeadline, Retry, Step,
    UndoPolicy, Work,
};
use amends_core::{Definition, Millis, Payload, StepIx, StepSet};

/// How long an attempt of a step is waited for, unless it says otherwise.
pub const TIMEOUT_S: u64 = 10;

/// A step's deadline, unless it says otherwise.
pub const DEADLINE_S: u64 = 60;

/// How long an attempt of an undo is waited for.
pub const UNDO_TIMEOUT_S: u64 = 30;

/// How many attempts of an undo make a dead letter, unless it says otherwise.
pub const UNDO_ATTEMPTS: u32 = 3;

/// A step in the making.
#[derive(Clone)]
pub struct Spec {
    after: Option<Vec<&'static str>>,
    pub step: Step,
}

/// A compensatable step that has a compensation.
pub fn step(name: &str) -> Spec {
    let command =
        |verb: &str| Command { service: "Svc".into(), name: format!("{verb}-{name}").into() };
    let pause = |max| Backoff {
        initial: Millis::secs(1),
        factor_percent: 200,
        max: Millis::secs(max),
        jitter: Jitter::None,
    };
    let step = Step {
        name: name.into(),
        kind: Kind::Compensatable,
        work: Work::Command { action: command("do"), compensation: Some(command("undo")) },
        after: StepSet::EMPTY,
        computed: Computed::default(),
        timeout: Millis::secs(TIMEOUT_S),
        accepted_timeout: None,
        deadline: Millis::secs(DEADLINE_S),
        retry: Retry { max_attempts: None, backoff: pause(8) },
        fence: None,
        undo: UndoPolicy {
            timeout: Millis::secs(UNDO_TIMEOUT_S),
            max_attempts: UNDO_ATTEMPTS,
            backoff: pause(8),
        },
    };
    Spec { after: None, step }
}

/// A compensatable step that only reads.
pub fn reads(name: &str) -> Spec {
    step(name).uncompensated(Kind::Compensatable)
}

pub fn pivot(name: &str) -> Spec {
    step(name).uncompensated(Kind::Pivot)
}

pub fn retriable(name: &str) -> Spec {
    step(name).uncompensated(Kind::Retriable)
}

pub fn best_effort(name: &str) -> Spec {
    step(name).uncompensated(Kind::BestEffort)
}

/// A step that waits for the signal of its own name, and is refused when that has not come in time.
pub fn signal(name: &str) -> Spec {
    let mut spec = step(name);
    let on_deadline = OnDeadline::Refuse;
    spec.step.work = Work::Signal { signal: name.into(), on_deadline, judged: false };
    spec
}

impl Spec {
    fn uncompensated(mut self, kind: Kind) -> Self {
        self.step.kind = kind;
        if let Work::Command { compensation, .. } = &mut self.step.work {
            *compensation = None;
        }
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(&mut self.step);
        self
    }

    /// It follows these steps.
    pub fn after<const N: usize>(mut self, names: [&'static str; N]) -> Self {
        self.after = Some(names.to_vec());
        self
    }

    pub fn fence(self, fence: Fence) -> Self {
        self.with(|s| s.fence = Some(fence))
    }

    pub fn timeout(self, secs: u64) -> Self {
        self.with(|s| s.timeout = Millis::secs(secs))
    }

    pub fn deadline(self, secs: u64) -> Self {
        self.with(|s| s.deadline = Millis::secs(secs))
    }

    /// The seed's time-out: one figure for the attempt and for the step.
    pub fn within(self, secs: u64) -> Self {
        self.timeout(secs).deadline(secs)
    }

    pub fn accepted_timeout(self, secs: u64) -> Self {
        self.with(|s| s.accepted_timeout = Some(Millis::secs(secs)))
    }

    pub fn max_attempts(self, n: u32) -> Self {
        self.with(|s| s.retry.max_attempts = Some(n))
    }

    pub fn undo_attempts(self, n: u32) -> Self {
        self.with(|s| s.undo.max_attempts = n)
    }

    pub fn when(self) -> Self {
        self.with(|s| s.computed.when = true)
    }

    pub fn for_each(self) -> Self {
        self.with(|s| s.computed.for_each = true)
    }

    pub fn input(self) -> Self {
        self.with(|s| s.computed.input = true)
    }

    /// Its signal is judged by `refuse_when`.
    pub fn judged(mut self) -> Self {
        if let Work::Signal { judged, .. } = &mut self.step.work {
            *judged = true;
        }
        self
    }

    /// Without its signal in time the saga goes on with this value.
    pub fn or_else(mut self, value: &str) -> Self {
        if let Work::Signal { on_deadline, .. } = &mut self.step.work {
            *on_deadline = OnDeadline::Continue(Payload::from(value));
        }
        self
    }
}

/// The definition of these steps.
pub fn define<const N: usize>(
    specs: [Spec; N],
    deadline: Option<u64>,
) -> Result<Definition, Vec<IllFormed>> {
    let names: Vec<Arc<str>> = specs.iter().map(|spec| spec.step.name.clone()).collect();
    let place = |name: &&str| {
        let at = names.iter().position(|n| **n == **name);
        StepIx(at.unwrap_or_else(|| panic!("no step {name}")) as u8)
    };
    let placed = |(i, spec): (usize, Spec)| {
        let before = spec.after.as_ref().map(|names| names.iter().map(place).collect());
        let previous = || i.checked_sub(1).map(|i| StepIx(i as u8)).into_iter().collect();
        Step { after: before.unwrap_or_else(previous), ..spec.step }
    };
    let steps = specs.into_iter().enumerate().map(placed).collect();
    Definition::new("Order".into(), 1, deadline.map(Millis::secs), steps)
}
