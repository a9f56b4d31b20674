//! Attention as it should be: the causes that a person must be told of, stated anew (S21).
//!
//! Independent of how the machine works attention out: an item without its cause, and a cause
//! without its item, are both amiss.

use amends_core::definition::{Fence, Kind};
use amends_core::saga::{Letter, Reason, Run, Settled, Status};
use amends_core::{Direction, RunRef, Saga};

use crate::model::Scene;

/// The reasons whose cause can be seen in the state alone, whatever the time.
const JUDGED: [Reason; 5] = [
    Reason::PivotUnknown,
    Reason::RetriableSlow,
    Reason::OutcomeUnknown,
    Reason::CompensationFailed,
    Reason::Poison,
];

/// Is a person told too much, or too little?
pub fn amiss(scene: &Scene, saga: &Saga) -> bool {
    saga.runs().any(|(at, run)| {
        JUDGED.into_iter().any(|reason| {
            let told = |item: &&amends_core::saga::Attention| {
                (item.run, item.direction, item.reason) == (Some(at), direction(reason), reason)
            };
            saga.attention.iter().any(|item| told(&item)) != caused(scene, saga, at, run, reason)
        })
    })
}

const fn direction(reason: Reason) -> Direction {
    match reason {
        Reason::CompensationFailed | Reason::Poison => Direction::Compensation,
        _ => Direction::Action,
    }
}

fn caused(scene: &Scene, saga: &Saga, at: RunRef, run: &Run, reason: Reason) -> bool {
    let step = scene.def.step(at.step);
    let asked = run.action.as_ref();
    let overdue = || {
        let asked_on = run.settled == Settled::Open && run.status != Status::Skipped;
        asked_on && !saga.state.ended() && asked.is_some_and(|action| action.overdue)
    };
    let letter = run.undo.as_ref().filter(|undo| undo.end.is_none()).map(|undo| undo.letter);
    match reason {
        Reason::PivotUnknown => step.kind == Kind::Pivot && overdue(),
        Reason::RetriableSlow => step.kind == Kind::Retriable && overdue(),
        // Asked no more, perhaps done, and by nobody to be undone.
        Reason::OutcomeUnknown => {
            step.fence == Some(Fence::None)
                && step.compensation().is_some()
                && run.settled == Settled::GivenUp
                && run.undo.is_none()
                && asked.is_some_and(|action| !action.unresolved.is_empty())
        }
        Reason::CompensationFailed => matches!(letter, Some(Letter::Dead { .. })),
        Reason::Poison => letter == Some(Letter::Poison),
        _ => false,
    }
}
