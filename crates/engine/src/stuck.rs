//! Stuck: one definition, for the metric, the list and the alert (`semantics.md` section 5).

use amends_core::definition::Work;
use amends_core::saga::{Saga, Status};
use amends_core::{Direction, Millis, Time};

use crate::deployed::Deployed;

/// So many deadlines of the current step without progress are too many.
const DEADLINES: u64 = 3;

/// Below this nothing is called stuck, unless the definition says so: a short deadline is no reason
/// to wake somebody for seconds.
const STUCK_AFTER_MIN: Millis = Millis::mins(10);

/// From when on the saga is stuck, unless something happens to it before; none where it may wait.
///
/// A wait in its time excuses that nothing moves, and no attention: what a person is needed for in
/// one branch is not hidden by an approval that another waits for.
///
/// It depends on the saga alone, so the catalog keeps it with the saga's row: that is what lists,
/// the metric and alerts look at, for sagas in memory and for those that are not.
pub fn stuck_at(deployed: &Deployed, saga: &Saga) -> Option<Time> {
    if saga.state.ended() || saga.paused.is_some() {
        return None;
    }
    if let Some(since) = saga.attention.iter().map(|attention| attention.since).min() {
        return Some(since);
    }
    if waits_in_its_time(deployed, saga) {
        return None;
    }
    Some(saga.updated_at + patience(deployed, saga))
}

/// How long the saga may go without progress.
fn patience(deployed: &Deployed, saga: &Saga) -> Millis {
    if let Some(said) = deployed.compiled.alerts.stuck_after {
        return said;
    }
    let deadlines = saga.runs().filter_map(|(at, run)| {
        let step = deployed.definition.step(at.step);
        match run.status {
            Status::Pending | Status::Executing | Status::Unknown => Some(step.deadline),
            Status::Compensating => Some(step.undo.timeout),
            _ => None,
        }
    });
    let longest = deadlines.max().unwrap_or_default();
    longest.times(DEADLINES).max(STUCK_AFTER_MIN)
}

/// Does it wait for a signal, or for an answer that was promised, whose time has not come?
fn waits_in_its_time(deployed: &Deployed, saga: &Saga) -> bool {
    saga.runs().any(|(at, run)| {
        let step = deployed.definition.step(at.step);
        let signal = matches!(step.work, Work::Signal { .. }) && run.status == Status::Pending;
        let promised = [Direction::Action, Direction::Compensation].into_iter().any(|direction| {
            let open = run.sendings(direction).and_then(|sendings| sendings.open);
            open.is_some_and(|open| open.accepted)
        });
        (signal && saga.turned.is_none()) || promised
    })
}
