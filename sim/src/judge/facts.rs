//! The laws that every durable fact must keep.

use amends_core::definition::{Fence, Kind};
use amends_core::event::{CommandRef, Ending, Event};
use amends_core::saga::{Run, Settled, State};
use amends_core::{Definition, Direction, RunRef, Saga, StepIx, Time};

use super::Law;

/// Which laws this fact touches, each with what it breaks.
pub(super) fn laws_of(
    definition: &Definition,
    before: &Saga,
    last: Option<&Event>,
    at: Time,
    event: &Event,
    after: &Saga,
) -> Vec<(Law, Option<String>)> {
    let mut found = Vec::new();
    let ended_twice = before.state.ended() && matches!(event, Event::Ended { .. });
    let changed = before.state.ended() && after.state != before.state;
    found.push((Law::S3, (ended_twice || changed).then(|| "it has ended before".to_owned())));
    if let Some(earlier) = moved_earlier(before, after) {
        found.push((Law::S22, Some(earlier)));
    }
    if before.turned.is_some() {
        let late = matches!(event, Event::Sent { command, .. }
            if command.direction == Direction::Action && is_first(before, *command));
        let late = late.then(|| "its first intent comes after the decision".to_owned());
        found.push((Law::S12, late));
    }
    match event {
        Event::Sent { command, .. } => {
            if command.direction == Direction::Compensation && is_first(before, *command) {
                let early = (!past_settling(before, command.run))
                    .then(|| "its outcome might still be settled by asking".to_owned());
                found.push((Law::S7, early));
                let held = held(definition, before);
                let held = held.map(|step| format!("step {} holds the point of no return", step.0));
                found.push((Law::S11, held));
            }
            let bytes = before.run(command.run).zip(after.run(command.run));
            let other = bytes.is_some_and(|(was, is)| other_bytes(was, is));
            found.push((Law::S4, other.then(|| "a round carries other bytes".to_owned())));
        }
        Event::AttemptEnded { command, ending: Ending::TimedOut, .. } => {
            let open = before
                .run(command.run)
                .and_then(|run| run.sendings(command.direction))
                .and_then(|sendings| sendings.open);
            let early = match open {
                // One that was accepted has until the deadline, which is looked at below.
                Some(open) => at < open.until,
                None => true,
            };
            found
                .push((Law::S22, early.then(|| "an attempt timed out before its time".to_owned())));
        }
        Event::Overdue { run } => {
            let early = (!time_is_up(definition, before, last, at, *run))
                .then(|| "a deadline fired before its time".to_owned());
            found.push((Law::S22, early));
        }
        Event::GivenUp { run, unreachable } => {
            let early = (!of_no_use(definition, before, *run, *unreachable)
                && !time_is_up(definition, before, last, at, *run))
            .then(|| "a deadline fired before its time".to_owned());
            found.push((Law::S22, early));
        }
        Event::Ended { state: State::Failed } => {
            let owed = after.runs().find(|(at, run)| owes(definition, *at, run));
            let owed =
                owed.map(|(at, _)| format!("step {} is in the undo set at the end", at.step.0));
            found.push((Law::S7, owed));
        }
        Event::AttentionRaised { run, direction, reason } => {
            let same = before.attention.iter().any(|attention| {
                (attention.run, attention.direction, attention.reason)
                    == (*run, *direction, *reason)
            });
            found.push((Law::S21, same.then(|| format!("{reason:?} is raised twice"))));
        }
        Event::Completed { result, .. } => {
            let forged = std::str::from_utf8(result.bytes()).is_ok_and(|r| r.contains("forged"));
            found.push((Law::S15, forged.then(|| "a forged reply was believed".to_owned())));
        }
        _ => {}
    }
    found
}

/// Has nothing of this round of a command been sent before?
fn is_first(before: &Saga, command: CommandRef) -> bool {
    let sendings = before.run(command.run).and_then(|run| run.sendings(command.direction));
    sendings.is_none_or(|sendings| !sendings.intent)
}

/// Is it in the undo set, and neither compensated nor resolved nor skipped? The set is every compensatable
/// step with an intent, minus settled refusals, minus those whose every sending provably never left; one
/// whose own undo has its intent stays in it, whatever is heard of its action.
fn owes(definition: &Definition, at: RunRef, run: &Run) -> bool {
    let Some(action) = &run.action else { return false };
    let kept = match &run.undo {
        Some(undo) => undo.end.is_none(),
        None => action.left > 0 && run.settled != Settled::Refused,
    };
    definition.step(at.step).compensation().is_some() && kept
}

/// Does a deadline move to an earlier time?
fn moved_earlier(before: &Saga, after: &Saga) -> Option<String> {
    let step =
        before.runs().find(|(at, was)| after.run(*at).is_some_and(|is| is.deadline < was.deadline));
    let saga = match (before.deadline, after.deadline) {
        (Some(was), Some(is)) => is < was,
        (was, is) => was != is,
    };
    (step.is_some() || saga).then(|| "a deadline moved to an earlier time".to_owned())
}

/// Does a round, once it has its intent, carry anything else than it did?
fn other_bytes(was: &Run, is: &Run) -> bool {
    [Direction::Action, Direction::Compensation].into_iter().any(|direction| {
        let (Some(before), Some(after)) = (was.sendings(direction), is.sendings(direction)) else {
            return false;
        };
        let original = |run: &Run| run.undo.as_ref().and_then(|undo| undo.original_result.clone());
        let carries = direction == Direction::Compensation && original(was) != original(is);
        let differs = before.body != after.body || before.terms != after.terms || carries;
        before.round == after.round && before.intent && differs
    })
}

/// Is a step's time up: has its deadline passed, or are its `max_attempts`, where it says some, sent and
/// over? When it turns out that its service cannot be reached the deadline counts that did not make up
/// for our room: no room would have helped, and a dead service's circuit would put it off for ever.
fn time_is_up(def: &Definition, saga: &Saga, last: Option<&Event>, at: Time, of: RunRef) -> bool {
    let Some(run) = saga.run(of) else { return true };
    let limit = def.step(of.step).retry.max_attempts;
    let used_up = run.action.as_ref().is_some_and(|action| {
        action.open.is_none() && limit.is_some_and(|limit| action.left >= limit)
    });
    let unreachable = matches!(last, Some(Event::NotSent { command, .. }) if command.run == of);
    at >= run.deadline || (unreachable && at >= run.deadline_said) || used_up
}

/// Has the saga turned, so that nothing follows any more from what this step is asked? Either nothing of
/// it ever left, or it has nothing to undo.
fn of_no_use(def: &Definition, saga: &Saga, of: RunRef, unreachable: bool) -> bool {
    saga.turned.is_some() && (unreachable || def.step(of.step).compensation().is_none())
}

/// Is the point of no return held: by the pivot, or without one by any retriable step, while it has an
/// intent without a settled refusal, and may have left?
fn held(def: &Definition, saga: &Saga) -> Option<StepIx> {
    let pivot = def.steps().iter().any(|step| step.kind == Kind::Pivot);
    let decisive = if pivot { Kind::Pivot } else { Kind::Retriable };
    let holds = |run: &Run| match run.settled {
        Settled::Succeeded => true,
        Settled::Refused => false,
        _ => run.action.as_ref().is_some_and(|action| action.left > 0),
    };
    let mut runs = saga.runs().filter(|(at, _)| def.step(at.step).kind == decisive);
    runs.find(|(_, run)| holds(run)).map(|(at, _)| at.step)
}

/// Has asking on told what the action came to, or stopped? A barrier needs no asking, transients leave
/// nothing to ask, and without a fence only an answer will do.
fn past_settling(saga: &Saga, at: RunRef) -> bool {
    let Some(run) = saga.run(at).filter(|run| run.undo.is_none()) else { return true };
    let Some(action) = &run.action else { return true };
    let told = matches!(run.settled, Settled::Succeeded) || action.doubtful.is_empty();
    match action.terms.fence {
        Some(Fence::Barrier) => true,
        Some(Fence::None) => told,
        Some(Fence::Settle) | None => told || run.settled == Settled::GivenUp,
    }
}
