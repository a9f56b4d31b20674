//! The laws that every durable fact must keep.

use amends_core::definition::Fence;
use amends_core::event::{Ending, Event};
use amends_core::saga::{Run, Settled};
use amends_core::{Definition, Direction, RunRef, Saga, Time};

use super::Law;

/// Which laws this fact touches, each with what it breaks.
pub(super) fn laws_of(
    _definition: &Definition,
    before: &Saga,
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
    match event {
        Event::Sent { command, .. } => {
            let first = before
                .run(command.run)
                .and_then(|run| run.sendings(command.direction))
                .is_none_or(|sendings| !sendings.intent);
            if command.direction == Direction::Action {
                let late = first && before.turned.is_some();
                let late = late.then(|| "its first intent comes after the decision".to_owned());
                found.push((Law::S12, late));
            } else if first {
                let early = (!past_settling(before, command.run))
                    .then(|| "its outcome might still be settled by asking".to_owned());
                found.push((Law::S7, early));
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
        // Never asked, and given up with the decision to turn: no deadline fired.
        Event::GivenUp { unreachable: true, .. } if before.turned.is_some() => {}
        Event::Overdue { run } | Event::GivenUp { run, .. } => {
            let early = before.run(*run).is_some_and(|run| {
                let used_up = run.action.as_ref().is_some_and(|action| action.attempts > 0);
                at < run.deadline && at < run.deadline_said && !used_up
            });
            found.push((Law::S22, early.then(|| "a deadline fired before its time".to_owned())));
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
