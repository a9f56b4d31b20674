//! What may be sent, when, and what it carries: judged by the facts of one decision.
//!
//! Written from `semantics.md` and not from the machine's own rules, so that a mistake there is no
//! excuse here.

use amends_core::definition::{Definition, Fence, Kind};
use amends_core::event::Event;
use amends_core::saga::{Run, Saga, Settled, UndoEnd};
use amends_core::{Direction, RunRef, Time};

/// The law that these facts of one decision break, if they break one.
pub fn broken_by(
    def: &Definition,
    before: &Saga,
    at: Time,
    facts: &[Event],
) -> Option<&'static str> {
    let mut saga = before.clone();
    for event in facts {
        if let Event::Sent { command, attempt, .. } = event {
            let broken = match command.direction {
                Direction::Action => broken_by_action(&saga, command.run),
                Direction::Compensation => broken_by_undo(def, &saga, command.run),
            };
            let known = saga.run(command.run).and_then(|run| run.sendings(command.direction));
            let last = known.map_or(0, |sendings| sendings.attempts);
            let numbered = *attempt == last + 1;
            let law = broken.or((!numbered).then_some("S5: attempts are numbered one by one"));
            if law.is_some() {
                return law;
            }
        }
        if saga.apply(at, event).is_err() {
            return Some("S17: a fact that was recorded cannot be taken in again");
        }
    }
    carries_other_bytes(before, &saga)
        .then_some("S4: a round carries what it did not carry when it was first sent")
}

fn broken_by_action(saga: &Saga, at: RunRef) -> Option<&'static str> {
    let action = saga.run(at).and_then(|run| run.action.as_ref());
    let first = action.is_none_or(|action| !action.intent && action.left == 0);
    if saga.paused.is_some() {
        return Some("a paused saga sends");
    }
    (first && saga.turned.is_some()).then_some("S12: a first command after the decision")
}

fn broken_by_undo(def: &Definition, saga: &Saga, at: RunRef) -> Option<&'static str> {
    let run = saga.run(at)?;
    if saga.paused.is_some() {
        return Some("a paused saga sends");
    }
    if saga.turned.is_none() {
        return Some("S7: an undo before the decision");
    }
    if def.step(at.step).compensation().is_none() {
        return Some("S7: an undo of a step that has none");
    }
    if run.undo.is_none() && !in_undo_set(run) {
        return Some("S7: an undo of a step that is not in the undo set");
    }
    if run.undo.is_none() && !settled_or_fenced(run) {
        return Some("S6: an undo before its own step is settled, fenced or past its settling");
    }
    let held = def.decisive().flat_map(|step| saga.runs_of(step)).any(holds_the_point);
    if held {
        return Some("S11: an undo while the point of no return is held");
    }
    let dependents = def.descendants(at.step);
    let undoable = dependents.iter().filter(|&step| {
        def.step(step).kind == Kind::Compensatable && def.step(step).compensation().is_some()
    });
    let standing =
        undoable.flat_map(|step| saga.runs_of(step)).any(|run| in_undo_set(run) && !ended(run));
    standing.then_some("S8: an undo before that of a step that depends on it")
}

/// Every compensatable step with a durable intent, minus settled refusals, minus those whose every
/// sending provably never left (section 5, undo set).
fn in_undo_set(run: &Run) -> bool {
    match run.settled {
        Settled::Succeeded => true,
        Settled::Refused => run.undo.is_some(),
        Settled::Open | Settled::GivenUp | Settled::Unreachable => {
            run.undo.is_some() || run.action.as_ref().is_some_and(|action| action.left > 0)
        }
    }
}

/// May its own undo go, as far as its own sendings are concerned (section 5, fences)?
fn settled_or_fenced(run: &Run) -> bool {
    let Some(action) = &run.action else { return run.settled != Settled::Open };
    match run.settled {
        Settled::Succeeded | Settled::Refused | Settled::Unreachable => true,
        Settled::GivenUp => action.terms.fence() != Fence::None || action.unresolved.is_empty(),
        Settled::Open => match action.terms.fence() {
            Fence::Barrier => true,
            // Every sending ended in a transient: nothing is in flight, and it is not asked again.
            Fence::Settle => action.doubtful.is_empty(),
            Fence::None => action.unresolved.is_empty(),
        },
    }
}

/// An intent without a settled refusal and without proof that nothing left, and for good once it
/// completed (section 1).
fn holds_the_point(run: &Run) -> bool {
    let left = run.action.as_ref().is_some_and(|action| action.left > 0);
    match run.settled {
        Settled::Succeeded => true,
        Settled::Refused => false,
        Settled::Open | Settled::GivenUp | Settled::Unreachable => left,
    }
}

fn ended(run: &Run) -> bool {
    let end = run.undo.as_ref().and_then(|undo| undo.end.as_ref());
    matches!(end, Some(UndoEnd::Acknowledged { .. } | UndoEnd::Resolved(_) | UndoEnd::Skipped(_)))
}

fn carries_other_bytes(was: &Saga, is: &Saga) -> bool {
    let pairs = is.runs().filter_map(|(at, run)| Some((was.run(at)?, run)));
    let both = [Direction::Action, Direction::Compensation];
    pairs.flat_map(|pair| both.map(|direction| (pair, direction))).any(|((was, is), direction)| {
        let (Some(before), Some(after)) = (was.sendings(direction), is.sendings(direction)) else {
            return false;
        };
        let original = |run: &Run| run.undo.as_ref().and_then(|undo| undo.original_result.clone());
        let undo = direction == Direction::Compensation;
        let differs = before.body != after.body
            || before.terms != after.terms
            || (undo && original(was) != original(is))
            || was.input != is.input;
        before.round == after.round && before.intent && differs
    })
}
