//! What a saga owes to the world, derived from its state alone.
//!
//! There is no outbox: after a restart the same state owes the same (`architecture.md`, decision 1).

use alloc::vec::Vec;

use crate::definition::{Definition, Kind, Work};
use crate::ids::{Direction, RunRef, StepIx};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{Letter, Run, Saga, Status, StepState};
use crate::time::{Millis, Time};

/// An undo that is not acknowledged for this long needs a person to know (section 5, compensation).
pub const UNDO_SLOW_AFTER: Millis = Millis::mins(1);

/// A command that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owed {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// From when on.
    pub from: Time,
}

/// Every command that is owed, now or later, in the definition's order.
pub fn owed<'a>(def: &'a Definition, saga: &'a Saga) -> impl Iterator<Item = Owed> + 'a {
    saga.runs().flat_map(move |(run, _)| {
        [Direction::Action, Direction::Compensation].into_iter().filter_map(move |direction| {
            let from = rules::owed_from(def, saga, run, direction)?;
            Some(Owed { run, direction, from })
        })
    })
}

/// Every step whose expressions are to be evaluated now; for a signal, over its body.
pub fn evaluations(def: &Definition, saga: &Saga) -> Vec<StepIx> {
    let rests = saga.turned.is_some() || saga.state.ended() || saga.paused.is_some();
    if rests || saga.heard.is_some() {
        return Vec::new();
    }
    let to_evaluate = |&step: &StepIx| match (&def.step(step).work, &saga.steps[step.get()]) {
        (Work::Command { .. }, StepState::Waiting { expression_error: None }) => {
            def.step(step).computed.any() && rules::reached(def, saga, step)
        }
        (Work::Signal { signal, judged: true, .. }, StepState::Runs { runs, .. }) => {
            let waits = runs.iter().any(|run| run.status == Status::Pending);
            waits && saga.signals.iter().any(|came| came.name == *signal)
        }
        _ => false,
    };
    def.indices().filter(to_evaluate).collect()
}

/// When the next of the saga's timers is due: an attempt's time-out, a deadline, the end of a
/// backoff. A command that waits for room has no timer.
pub fn next_due(def: &Definition, saga: &Saga, now: Time) -> Option<Time> {
    if saga.paused.is_some() {
        return None;
    }
    let deadline = saga.deadline.filter(|&deadline| {
        let open = saga.turned.is_none() && !saga.state.ended();
        let open = open && !mutated(Mutant::TimerOverlooked);
        open && (deadline > now || saga_deadline_armed(def, saga))
    });
    let timers =
        saga.runs().flat_map(|(at, run)| [action_timer(def, saga, at, run), undo_timer(run, now)]);
    let backoffs = owed(def, saga).map(|command| command.from).filter(|&from| from > now);
    timers.flatten().chain(deadline).chain(backoffs).min()
}

fn action_timer(def: &Definition, saga: &Saga, at: RunRef, run: &Run) -> Option<Time> {
    if !step_timers_run(def, saga, at, run) {
        return None;
    }
    let open = run.action.as_ref().and_then(|action| action.open);
    let until = |open| rules::waited_until(def.step(at.step), run, Direction::Action, open);
    let attempt = open.map(until);
    let deadline = deadline_armed(def, saga, at, run).then_some(run.deadline);
    match (attempt, deadline) {
        (Some(attempt), Some(deadline)) => Some(attempt.min(deadline)),
        (attempt, deadline) => attempt.or(deadline),
    }
}

fn undo_timer(run: &Run, now: Time) -> Option<Time> {
    let undo = run.undo.as_ref().filter(|undo| undo.end.is_none())?;
    let sendings = undo.sendings.as_ref()?;
    let open = sendings.open.map(|open| open.until);
    let slow = Some(sendings.since + UNDO_SLOW_AFTER)
        .filter(|&slow| slow > now && sendings.intent && undo.letter == Letter::None);
    match (open, slow) {
        (Some(open), Some(slow)) => Some(open.min(slow)),
        (open, slow) => open.or(slow),
    }
}

/// Does anybody still wait for the open attempt of this command? For that of an action nobody does once
/// the saga has turned and does not ask on: no timer ends it then.
pub fn waited_for(def: &Definition, saga: &Saga, at: RunRef, direction: Direction) -> bool {
    let Some(run) = saga.run(at) else { return false };
    match direction {
        Direction::Action => step_timers_run(def, saga, at, run),
        Direction::Compensation => run.undo.as_ref().is_some_and(|undo| undo.end.is_none()),
    }
}

/// Do the action's timers still mean something?
pub(crate) fn step_timers_run(def: &Definition, saga: &Saga, at: RunRef, run: &Run) -> bool {
    let step = def.step(at.step);
    if !rules::action_open(run) || rules::undo_begun(run) || saga.state.ended() {
        return false;
    }
    // After the turn only what is asked on has a time left to run out: it is what settles it.
    saga.turned.is_none()
        || (step.compensation().is_some() && rules::may_have_left(run) && !rules::quiet(step, run))
}

/// Is the saga's own deadline to turn it when its time comes? Not past the point of no return, where
/// it is attention and no more, not while a step waits for our room, and after an outage not before
/// the next sending, where one is to come.
pub(crate) fn saga_deadline_armed(def: &Definition, saga: &Saga) -> bool {
    let waits_for_room = || {
        let before = |owed: Owed| saga.deadline.is_some_and(|deadline| owed.from < deadline);
        owed(def, saga).any(before)
    };
    let floats_to_a_sending = || {
        let out = |run: &Run| run.action.as_ref().and_then(|action| action.open);
        let asked = || saga.runs().any(|(_, run)| out(run).is_some_and(|open| !open.accepted));
        saga.floats && (asked() || owed(def, saga).next().is_some())
    };
    saga.turned.is_none()
        && !saga.state.ended()
        && !rules::point_of_no_return(def, saga)
        && !waits_for_room()
        && !floats_to_a_sending()
}

/// Is the step's deadline to fire when its time comes? Not while the step waits for our room, not
/// before the next sending after an outage, and only once for a step that is asked on.
pub(crate) fn deadline_armed(def: &Definition, saga: &Saga, at: RunRef, run: &Run) -> bool {
    let step = def.step(at.step);
    if let Work::Signal { signal, .. } = &step.work {
        // One that has come in time may still be judged.
        let came = saga.signals.iter().any(|came| came.name == *signal);
        return run.status == Status::Pending && !came;
    }
    let asked_on = matches!(step.kind, Kind::Pivot | Kind::Retriable)
        && run.action.as_ref().is_some_and(|action| action.overdue);
    if asked_on || run.floats {
        return false;
    }
    let waits_for_room =
        rules::owed_from(def, saga, at, Direction::Action).is_some_and(|from| from < run.deadline);
    !waits_for_room
}
