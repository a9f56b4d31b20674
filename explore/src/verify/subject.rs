//! A definition as it is explored: its steps, kinds, order and conditions are the file's; its
//! times are a shape's.
//!
//! How long a timeout is makes no difference to the order of what may happen, only whether there
//! is one attempt in a step's time or several. So that few distinct times exist, all are made
//! alike; what a real time could bring forward or hold back is tried by delays, by silence, and by
//! deadlines that pass whenever they like.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_core::definition::{Backoff, Fence, IllFormed, Jitter, Retry, Step, UndoPolicy, Work};
use amends_core::{Definition, Millis};

use crate::cast::{Breach, Breaches, Part, Role};
use crate::model::{Menu, Scene, Wire};
use crate::shape::ATTEMPT_TIMEOUT;
use crate::world::Left;

/// The pause between two attempts: half of an attempt.
const PAUSE: Millis = Millis(ATTEMPT_TIMEOUT.0 / 2);

/// Two attempts and a pause do not fit whole: the deadline falls into the second.
const DEADLINE_OF_TWO: Millis = Millis(ATTEMPT_TIMEOUT.0 * 2);

/// The deadlines of the saga and of signals, which pass whenever they like. Longer than all that
/// is followed, and short of where a state's times begin.
const WHENEVER: Millis = Millis::mins(5 * 24 * 60);

/// An undo is a dead letter after two attempts, or after one where the file says one. With the
/// default of ten it would take as many faults to get there.
const UNDO_ATTEMPTS_MAX: u32 = 2;

/// What a service says of itself.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Its fence.
    pub fence: Option<Fence>,
    /// Whether its messages go over a broker.
    pub brokered: bool,
    /// Which of its promises are supposed not to be kept.
    pub breaches: Vec<Breach>,
}

/// The scene in which a definition is tried. Services that are not listed say nothing of
/// themselves.
pub fn scene(
    def: &Definition,
    services: &BTreeMap<String, Service>,
) -> Result<Scene, Vec<IllFormed>> {
    let steps: Vec<Step> = def.steps().iter().map(|step| timeless(step, services)).collect();
    let parts = steps.iter().map(|step| part(step, services)).collect();
    let deadline = def.deadline().map(|_| WHENEVER);
    let def = Definition::new(Arc::clone(def.saga_type()), def.version(), deadline, steps)?;
    let left = Left { faults: 0, crashes: 0, cancels: 1, verbs: 0 };
    Ok(Scene::of(def, parts, left, Menu::Untimed))
}

fn service<'a>(step: &Step, services: &'a BTreeMap<String, Service>) -> Option<&'a Service> {
    services.get(&*step.action()?.service)
}

fn part(step: &Step, services: &BTreeMap<String, Service>) -> Part {
    let mut breaches = Breaches::default();
    let undoer = step.compensation().and_then(|undo| services.get(&*undo.service));
    let of_undo = |breach: &Breach| matches!(breach, Breach::RefusesUndo | Breach::IgnoresUndo);
    let said = |by: Option<&Service>, undo: bool| -> Vec<Breach> {
        by.iter().flat_map(|s| &s.breaches).filter(|b| of_undo(b) == undo).copied().collect()
    };
    let doer = service(step, services);
    said(doer, false).into_iter().chain(said(undoer, true)).for_each(|b| breaches.insert(b));
    let wire = if doer.is_some_and(|s| s.brokered) { Wire::Named } else { Wire::Exchange };
    Part { role: Role::of(step), fence: step.fence, wire, breaches }
}

fn timeless(step: &Step, services: &BTreeMap<String, Service>) -> Step {
    let backoff = Backoff { initial: PAUSE, factor_percent: 100, max: PAUSE, jitter: Jitter::None };
    let again = Millis(step.timeout.0.saturating_add(step.retry.backoff.initial.0));
    let deadline = match step.work {
        Work::Signal { .. } => WHENEVER,
        Work::Command { .. } if again < step.deadline => DEADLINE_OF_TWO,
        Work::Command { .. } => ATTEMPT_TIMEOUT,
    };
    Step {
        timeout: ATTEMPT_TIMEOUT,
        accepted_timeout: step.accepted_timeout.map(|_| ATTEMPT_TIMEOUT),
        deadline,
        retry: Retry { max_attempts: step.retry.max_attempts.filter(|&n| n == 1), backoff },
        fence: step.fence.or_else(|| service(step, services)?.fence),
        undo: UndoPolicy {
            timeout: ATTEMPT_TIMEOUT,
            max_attempts: step.undo.max_attempts.min(UNDO_ATTEMPTS_MAX),
            backoff,
        },
        ..step.clone()
    }
}
