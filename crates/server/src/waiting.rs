//! What a step waits for, derived from the saga's state: the first question of whoever looks at a
//! saga that does not move.

use amends_core::definition::{Definition, Work};
use amends_core::saga::{Letter, Reason, Run, Saga, Sendings, Settled, Status};
use amends_core::{Direction, RunRef, Time, rules};

use crate::words::WaitingFor;

/// What a run waits for, and when it is sent next, where a pause has to pass first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// For what; `None` when it waits for nothing.
    pub on: Option<WaitingFor>,
    /// The end of the pause.
    pub next_attempt_at: Option<Time>,
}

/// What a step waits for that has no run yet.
pub fn of_step_not_begun(saga: &Saga, expression_failed: bool) -> Waiting {
    let on = if expression_failed {
        Some(WaitingFor::Person)
    } else if saga.turned.is_some() || saga.state.ended() {
        None // it will never begin
    } else {
        Some(WaitingFor::Steps)
    };
    Waiting { on, next_attempt_at: None }
}

/// What a run waits for: its undo once that is owed or begun, its action before.
pub fn of_run(definition: &Definition, saga: &Saga, at: RunRef, run: &Run, now: Time) -> Waiting {
    if saga.heard.is_some() {
        return of_a_service(definition, saga, at, run);
    }
    let undo_open = run.undo.as_ref().is_some_and(|undo| undo.end.is_none());
    if undo_open {
        return of_undo(definition, saga, at, run, now);
    }
    let step = definition.step(at.step);
    if let Work::Signal { signal, .. } = &step.work
        && run.status == Status::Pending
        && saga.turned.is_none()
    {
        let came = saga.signals.iter().any(|came| came.name == *signal);
        // One that came while the saga is paused is taken, and counts from when it goes on.
        let resumed = came && saga.paused.is_some();
        return on(if resumed { WaitingFor::Resume } else { WaitingFor::Signal });
    }
    if let Some(waiting) = of_command(definition, saga, at, run, Direction::Action, now) {
        return waiting;
    }
    if rules::owes_undo(saga, step, run) {
        if run.settled == Settled::GivenUp && !rules::quiet(step, run) {
            return on(WaitingFor::Person);
        }
        let undo = of_command(definition, saga, at, run, Direction::Compensation, now);
        return undo.unwrap_or(on(WaitingFor::Dependents));
    }
    let decided = matches!(
        run.status,
        Status::Completed | Status::Failed | Status::Skipped | Status::Compensated
    );
    if saga.state.ended() || decided {
        return Waiting::default();
    }
    let needs_a_person = |attention: &amends_core::saga::Attention| {
        attention.run == Some(at)
            && matches!(attention.reason, Reason::OutcomeUnknown | Reason::Expression)
    };
    if saga.attention.iter().any(needs_a_person) {
        return on(WaitingFor::Person);
    }
    if saga.paused.is_some() { on(WaitingFor::Resume) } else { Waiting::default() }
}

/// What is expected of a step by who only listens: that its service says that it is done, or undone.
fn of_a_service(definition: &Definition, saga: &Saga, at: RunRef, run: &Run) -> Waiting {
    let is_next = run.status == Status::Pending && saga.turned.is_none() && !saga.state.ended();
    let is_to_undo = rules::owes_undo(saga, definition.step(at.step), run);
    if is_next || is_to_undo { on(WaitingFor::Event) } else { Waiting::default() }
}

fn of_undo(definition: &Definition, saga: &Saga, at: RunRef, run: &Run, now: Time) -> Waiting {
    let sent = of_command(definition, saga, at, run, Direction::Compensation, now);
    let poisoned = run.undo.as_ref().is_some_and(|undo| undo.letter == Letter::Poison);
    match sent {
        // It is still tried, once an hour; but what helps is a person.
        Some(waiting) if poisoned && waiting.on == Some(WaitingFor::Retry) => {
            Waiting { on: Some(WaitingFor::Person), ..waiting }
        }
        Some(waiting) => waiting,
        None => on(WaitingFor::Dependents),
    }
}

/// What a command waits for, if it is out or owed.
fn of_command(
    definition: &Definition,
    saga: &Saga,
    at: RunRef,
    run: &Run,
    direction: Direction,
    now: Time,
) -> Option<Waiting> {
    if let Some(open) = run.sendings(direction).and_then(|sendings| sendings.open) {
        return Some(on(if open.accepted { WaitingFor::Accepted } else { WaitingFor::Reply }));
    }
    let Some(from) = rules::owed_from(definition, saga, at, direction) else {
        // While it is paused nothing is owed; what was sent before would be sent again then.
        let unfinished = |sendings: &Sendings| sendings.intent && run.settled == Settled::Open;
        let resumed = saga.paused.is_some()
            && match direction {
                Direction::Action => {
                    run.status == Status::Pending || run.sendings(direction).is_some_and(unfinished)
                }
                Direction::Compensation => run.undo.is_some(),
            };
        return resumed.then(|| on(WaitingFor::Resume));
    };
    let pauses = from > now && run.sendings(direction).is_some();
    Some(if pauses {
        Waiting { on: Some(WaitingFor::Retry), next_attempt_at: Some(from) }
    } else {
        on(WaitingFor::Room)
    })
}

const fn on(what: WaitingFor) -> Waiting {
    Waiting { on: Some(what), next_attempt_at: None }
}
