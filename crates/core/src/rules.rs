//! The rules that everything else asks: what is settled, what is owed, what may no longer be undone.
//!
//! Each is a question about a saga's state, with the place in `semantics.md` it comes from. They
//! decide nothing and write nothing.

use crate::definition::{Definition, Fence, Kind, Step, Work};
use crate::ids::{Direction, RunRef, StepIx};
use crate::input::Answer;
use crate::mutant::{Mutant, mutated};
use crate::saga::{Attempt, Run, Saga, Settled, Status, StepState, Undo, UndoEnd};
use crate::time::Time;

/// Is the point of no return held? By the pivot, or without one by any retriable step: while it has
/// an intent without a settled refusal and without proof that nothing left, and for good once it
/// completed (section 1).
pub fn point_of_no_return(def: &Definition, saga: &Saga) -> bool {
    def.decisive().flat_map(|step| saga.runs_of(step)).any(|run| match run.settled {
        Settled::Succeeded => true,
        Settled::Refused => false,
        Settled::Open | Settled::GivenUp | Settled::Unreachable => {
            !mutated(Mutant::CancelInFlightPivot) && may_have_left(run)
        }
    })
}

/// Does anything keep the saga alive? An ended one is, while it owes an undo.
pub fn live(def: &Definition, saga: &Saga) -> bool {
    !saga.state.ended() || saga.runs().any(|(at, run)| owes_undo(saga, def.step(at.step), run))
}

/// May a sending of the action have left?
pub(crate) fn may_have_left(run: &Run) -> bool {
    run.action.as_ref().is_some_and(|action| action.left > 0)
}

/// Is it in the undo set with its undo still to come? The set is every compensatable step with an
/// intent, minus settled refusals, minus those whose every sending provably never left; once the
/// undo itself has begun, no answer to the action takes it out any more (section 5, undo set).
pub fn owes_undo(saga: &Saga, step: &Step, run: &Run) -> bool {
    if saga.turned.is_none() || step.compensation().is_none() || undo_ended(run) {
        return false;
    }
    match run.settled {
        _ if undo_begun(run) && !mutated(Mutant::RefusalDropsBegunUndo) => true,
        Settled::Succeeded => true,
        Settled::Refused => mutated(Mutant::UndoOfRefused),
        Settled::Open | Settled::GivenUp | Settled::Unreachable => {
            !mutated(Mutant::UndoOnlyCompleted) && may_have_left(run)
        }
    }
}

/// Is its undo acknowledged, resolved or skipped?
pub(crate) fn undo_ended(run: &Run) -> bool {
    run.undo.as_ref().is_some_and(|undo| undo.end.is_some())
}

/// Has its undo an intent, so that a late answer no longer changes what it is?
pub(crate) fn undo_begun(run: &Run) -> bool {
    run.undo.is_some()
}

/// Is the action still to be asked or answered, so that its timers and answers mean something?
pub(crate) fn action_open(run: &Run) -> bool {
    run.settled == Settled::Open && run.status != Status::Skipped
}

/// Is it still open what the action came to, whether or not it is asked on?
pub(crate) fn outcome_open(run: &Run) -> bool {
    action_open(run) || run.settled == Settled::GivenUp
}

/// Is every sending of the action settled, fenced or past its settling (section 5, order)?
pub fn quiet(step: &Step, run: &Run) -> bool {
    if run.settled != Settled::Open && run.settled != Settled::GivenUp {
        return true;
    }
    let Some(action) = run.action.as_ref().filter(|action| action.left > 0) else {
        return true;
    };
    if step.compensation().is_none() && step.kind == Kind::Compensatable {
        return true; // it only reads
    }
    match action.terms.fence() {
        Fence::Barrier => true,
        Fence::Settle => {
            let past = run.settled == Settled::GivenUp || action.doubtful.is_empty();
            past || mutated(Mutant::NoTombstone)
        }
        // An undo of its own waits for an answer or a person, unless every sending was refused for
        // now and so has nothing in flight.
        Fence::None => action.unresolved.is_empty(),
    }
}

/// Does this dependent hold up the undos of the steps before it? Steps that only read and
/// best-effort steps do not (section 5, order).
fn holds_up(saga: &Saga, step: &Step, run: &Run) -> bool {
    let effectless = step.kind == Kind::BestEffort
        || (step.kind == Kind::Compensatable && step.compensation().is_none());
    // An undo that has ended is past all waiting, also one that a person ended early.
    if effectless || undo_ended(run) {
        return false;
    }
    let owed = owes_undo(saga, step, run) && !mutated(Mutant::UndoBeforeAcknowledgement);
    owed || !quiet(step, run)
}

/// May the undo of this run be sent, as far as the others are concerned (S8, S11)?
pub fn undo_due(def: &Definition, saga: &Saga, at: RunRef, run: &Run) -> bool {
    let step = def.step(at.step);
    owes_undo(saga, step, run)
        && (quiet(step, run) || undo_begun(run))
        && !point_of_no_return(def, saga)
        && def.descendants(at.step).iter().all(|dependent| {
            let step = def.step(dependent);
            saga.runs_of(dependent).iter().all(|run| !holds_up(saga, step, run))
        })
}

/// After the turn: is the action still asked on, to learn its outcome? No command gets its first
/// intent then (S12).
pub(crate) fn asked_after_turn(step: &Step, run: &Run) -> bool {
    if mutated(Mutant::ForwardAfterTurn) && run.status == Status::Pending {
        return true;
    }
    step.compensation().is_some()
        && may_have_left(run)
        && run.settled == Settled::Open
        && !undo_begun(run)
        && !quiet(step, run)
}

/// Does a refusal speak for every sending? If the service says that it does; or if exactly one
/// sending may still have an effect and this is its answer (section 5, refused ◆). Answers are not
/// counted: two refusals for two sendings settle nothing.
pub(crate) fn refusal_settles(run: &Run, answer: &Answer) -> bool {
    let Some(action) = &run.action else { return false };
    if mutated(Mutant::TrustUnsettledRefusal) || action.terms.refusals_settle() {
        return true;
    }
    if mutated(Mutant::CountAnswers) && action.open.is_none_or(|o| Some(o.number) == answer.attempt)
    {
        return true;
    }
    match answer.attempt {
        Some(attempt) => action.unresolved.is_only(attempt),
        // A reply that names no attempt is the one sending's only if there was just one.
        None => action.left == 1 && !action.unresolved.is_empty(),
    }
}

/// Must the undo go out once more, under its own key? When a success was heard that the
/// acknowledged round did not carry, unless it said that it undid something; once (section 5, late
/// success ◆).
pub(crate) fn owes_second_round(run: &Run) -> bool {
    let Some(undo) = &run.undo else { return false };
    let acknowledged = |undo: &Undo| matches!(&undo.end, Some(UndoEnd::Acknowledged { undone }) if *undone != Some(true));
    run.settled == Settled::Succeeded
        && acknowledged(undo)
        && undo.original_result.is_none()
        && !undo.second_round
        && !mutated(Mutant::NoSecondRound)
}

/// Until when an open attempt is waited for. One that was accepted, by a step that says no time-out
/// for that, has until the deadline, wherever that has moved since.
pub(crate) fn waited_until(step: &Step, run: &Run, direction: Direction, open: Attempt) -> Time {
    let follows = direction == Direction::Action && open.accepted;
    match step.accepted_timeout {
        None if follows => open.until.max(run.deadline),
        _ => open.until,
    }
}

/// Does this run's standing mean that the saga cannot complete, before the point of no return?
pub(crate) fn fails_saga(step: &Step, run: &Run) -> bool {
    match (step.kind, run.settled) {
        (Kind::BestEffort, _) | (_, Settled::Succeeded) => false,
        (Kind::Retriable, _) => run.action.is_none() && run.status == Status::Failed,
        (_, Settled::Refused | Settled::Unreachable) => true,
        (Kind::Pivot, _) => {
            let overdue = run.action.as_ref().is_some_and(|action| action.overdue);
            mutated(Mutant::UnknownPivotTurns) && overdue
        }
        (Kind::Compensatable, Settled::Open) => run.status == Status::Unknown,
        (Kind::Compensatable, Settled::GivenUp) => !waits_for_a_person(step, run),
    }
}

/// Is it a step without a fence that may have happened, and that is asked no more?
pub(crate) fn waits_for_a_person(step: &Step, run: &Run) -> bool {
    let unfenced = |run: &Run| {
        run.action.as_ref().is_some_and(|action| {
            let forgotten = mutated(Mutant::UnfencedDoubtForgotten) && action.doubtful.is_empty();
            action.terms.fence() == Fence::None && !action.unresolved.is_empty() && !forgotten
        })
    };
    run.settled == Settled::GivenUp
        && step.compensation().is_some()
        && unfenced(run)
        && !undo_begun(run)
}

/// Is this step over, as far as the steps after it are concerned?
pub(crate) fn done(def: &Definition, saga: &Saga, step: StepIx) -> bool {
    let best_effort = def.step(step).kind == Kind::BestEffort;
    match &saga.steps[step.get()] {
        StepState::Waiting { .. } => false,
        StepState::Skipped { .. } => true,
        StepState::Runs { runs, .. } => runs.iter().all(|run| match run.status {
            Status::Completed | Status::Skipped => true,
            Status::Failed | Status::Unknown => best_effort || mutated(Mutant::UnknownIsDone),
            _ => false,
        }),
    }
}

/// Are all the steps before it over?
pub(crate) fn reached(def: &Definition, saga: &Saga, step: StepIx) -> bool {
    def.step(step).after.iter().all(|before| done(def, saga, before))
}

/// When a sending of that command is owed: from this time on, as soon as there is room; `None` when
/// it is not.
pub fn owed_from(def: &Definition, saga: &Saga, at: RunRef, direction: Direction) -> Option<Time> {
    let silent = saga.paused.is_some() && !mutated(Mutant::SendsWhilePaused);
    if silent { None } else { owed_but_for_a_pause(def, saga, at, direction) }
}

/// The same as if the saga were not paused.
pub(crate) fn owed_but_for_a_pause(
    def: &Definition,
    saga: &Saga,
    at: RunRef,
    direction: Direction,
) -> Option<Time> {
    // Who observes a saga sends nothing.
    if saga.heard.is_some() {
        return None;
    }
    let run = saga.run(at)?;
    let step = def.step(at.step);
    let sendings = run.sendings(direction);
    if sendings.is_some_and(|sendings| sendings.open.is_some()) {
        return None;
    }
    let owed = match direction {
        Direction::Compensation if mutated(Mutant::UndoTriedOnce) && undo_begun(run) => false,
        Direction::Compensation => undo_due(def, saga, at, run),
        Direction::Action if matches!(step.work, Work::Signal { .. }) => false,
        Direction::Action if saga.turned.is_some() => asked_after_turn(step, run),
        Direction::Action => {
            let asking =
                matches!(run.status, Status::Pending | Status::Executing | Status::Unknown);
            !saga.state.ended() && run.settled == Settled::Open && asking
        }
    };
    let from = match (direction, sendings) {
        (_, Some(sendings)) => sendings.next_at,
        (Direction::Action, None) => run.ready_at,
        (Direction::Compensation, None) => saga.updated_at,
    };
    owed.then_some(from)
}
