//! Histories that cannot be: a journal that holds one is damaged or another program's, and a saga that
//! took it in would be in a state that no decision leads to.

use std::sync::Arc;

use amends_core::event::{CommandRef, NewRound};
use amends_core::saga::{
    Attention, Cause, Exception, ExceptionReason, Reason, Saga, Signal, State, Status, Terms,
};
use amends_core::{Direction, Event, RunRef, StepIx, Time};

use crate::shapes::{pivot, retriable, signal, step};
use crate::world::*;

const FIRST: RunRef = RunRef::only(StepIx(0));

/// The saga that this event makes of it, or why it does not fit.
fn after(saga: &World, event: &Event) -> Result<Saga, &'static str> {
    let mut saga = saga.saga.clone();
    saga.apply(Time(0), event).map(|()| saga).map_err(|illegal| illegal.why)
}

fn begun() -> World {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all();
    saga
}

fn compensating() -> World {
    let mut saga = begun();
    saga.reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga
}

fn failed() -> World {
    let mut saga = compensating();
    saga.room_for_all().reply("undo a", undone()).expect_state(State::Failed);
    saga
}

#[test]
fn an_event_that_does_not_fit_is_named_by_its_place_with_the_reason() {
    let mut saga = begun();
    let place = saga.facts() + 1;
    let illegal = saga.saga.apply(Time(0), &Event::Resumed(act())).unwrap_err();
    let words = format!("event {place} does not fit the saga's state: it is not paused");
    assert_eq!(illegal.to_string(), words);
}

#[test]
fn a_history_begins_with_the_start_and_has_no_second_one() {
    let saga = begun();
    let (at, start) = saga.history[0].clone();
    let nothing = Saga::replay([(at, &Event::Ended { state: State::Completed })]).unwrap_err();
    assert_eq!((nothing.seq, nothing.why), (1, "a history begins with the start"));
    assert_eq!(after(&saga, &start), Err("it started before"));
}

#[test]
fn a_saga_turns_once_and_not_after_its_end() {
    let turn = Event::Turned { cause: Cause::Deadline };
    assert_eq!(after(&begun(), &turn).map(|saga| saga.state), Ok(State::Compensating));
    assert_eq!(after(&compensating(), &turn), Err("the decision was made before"));
    let mut done = World::of([step("a")]);
    done.room_for_all().reply("a", completed("1")).expect_state(State::Completed);
    assert_eq!(after(&done, &turn), Err("the decision was made before"));
}

#[test]
fn a_saga_ends_once_and_in_an_end() {
    let end = |state| Event::Ended { state };
    assert_eq!(after(&begun(), &end(State::Failed)).map(|saga| saga.state), Ok(State::Failed));
    for state in [State::Completed, State::Failed] {
        assert_eq!(after(&failed(), &end(state)), Err("a saga ends once"));
    }
    for state in [State::Started, State::Pending, State::Compensating] {
        assert_eq!(after(&begun(), &end(state)), Err("a saga ends once"));
    }
}

#[test]
fn an_attention_is_raised_once_and_cleared_once() {
    let (run, direction, reason) = (Some(FIRST), Direction::Action, Reason::OutcomeUnknown);
    let raised = Event::AttentionRaised { run, direction, reason };
    let cleared = Event::AttentionCleared { run, direction, reason, act: None };
    let mut saga = begun();
    assert_eq!(after(&saga, &cleared), Err("it has no such attention"));
    saga.saga.apply(Time(5), &raised).unwrap();
    let since = Time(5);
    assert_eq!(saga.saga.attention, [Attention { run, direction, reason, since }]);
    assert_eq!(after(&saga, &raised), Err("it has that attention already"));
    let other = Event::AttentionRaised { run: None, direction, reason: Reason::Overdue };
    saga.saga.apply(Time(6), &other).unwrap();
    let left = after(&saga, &cleared).unwrap().attention;
    assert_eq!(left.iter().map(|item| item.reason).collect::<Vec<_>>(), [Reason::Overdue]);
}

#[test]
fn a_proof_takes_away_the_one_exception_that_it_is_about() {
    let mut saga = compensating();
    assert!(saga.saga.clean());
    let [a, b] = [FIRST, RunRef::only(StepIx(1))];
    use ExceptionReason::{Skipped, Unproven};
    let all = [(a, Unproven), (a, Skipped), (b, Unproven), (a, Unproven)];
    for (run, reason) in all {
        let exception = Exception { run, reason, note: Arc::from("in words") };
        saga.saga.apply(Time(0), &Event::Excepted(exception)).unwrap();
    }
    let kept = |saga: &Saga| saga.exceptions.iter().map(|e| (e.run, e.reason)).collect::<Vec<_>>();
    assert_eq!(kept(&saga.saga), all[..3], "each once");
    assert!(!saga.saga.clean());
    let proven = after(&saga, &Event::Proven { run: a, reason: Unproven }).unwrap();
    assert_eq!(kept(&proven), [(a, Skipped), (b, Unproven)]);
}

#[test]
fn an_undo_settled_by_hand_says_whether_it_was_skipped() {
    use amends_core::saga::UndoEnd;
    let saga = compensating();
    for skipped in [false, true] {
        let event = Event::UndoSettledByHand { run: FIRST, skipped, act: act() };
        let settled = after(&saga, &event).unwrap();
        let end = settled.run(FIRST).and_then(|run| run.undo.clone()).and_then(|undo| undo.end);
        let expected = if skipped { UndoEnd::Skipped(act()) } else { UndoEnd::Resolved(act()) };
        assert_eq!(end, Some(expected));
        let after_all = settled.run(FIRST).map(|run| (run.status, run.by.clone()));
        assert_eq!(after_all, Some((Status::Compensated, Some(act()))));
    }
}

#[test]
fn a_pause_and_its_end_take_turns() {
    let mut saga = begun();
    assert_eq!(after(&saga, &Event::Resumed(act())), Err("it is not paused"));
    saga.ask(Ask::Pause);
    assert_eq!(after(&saga, &Event::Paused(act())), Err("it is paused already"));
}

#[test]
fn a_signal_comes_once_and_is_refused_once() {
    let mut saga = World::of([signal("s").judged(), step("a")]);
    saga.signal("s", "{}");
    let Signal { name, body } = saga.saga.signals[0].clone();
    let again = Event::SignalReceived { name, body };
    assert_eq!(after(&saga, &again), Err("a signal of this name came before"));
    let no = Event::SignalRefused { step: StepIx(0), fault: fault("NO") };
    saga.saga.apply(Time(0), &no).unwrap();
    assert_eq!(after(&saga, &no), Err("the step does not wait for a signal"));
}

#[test]
fn what_was_never_sent_is_neither_answered_nor_overdue() {
    let saga = World::of([step("a"), step("b")]);
    let (run, next_at, fault) = (FIRST, Time(9), fault("NO"));
    let refused = |run| Event::Refused {
        run,
        attempt: None,
        settled: true,
        leaves: Status::Failed,
        next_at,
        fault: fault.clone(),
    };
    assert_eq!(after(&saga, &refused(run)), Err("nothing was sent"));
    assert_eq!(after(&saga, &Event::Overdue { run }), Err("nothing was sent"));
    assert_eq!(after(&saga, &refused(RunRef::only(StepIx(1)))), Err("the step has no such run"));
    let dead = Event::DeadLettered { run, redrives: 0, next_at };
    assert_eq!(after(&saga, &dead), Err("it has no undo"));
}

#[test]
fn attempts_follow_one_another_one_at_a_time() {
    let terms = Terms { fence: None, flat: true };
    let sent = |round, attempt| {
        let command = CommandRef { run: FIRST, direction: Direction::Action, round };
        Event::Sent { command, attempt, until: Time(9), deadline: None, terms }
    };
    let fresh = World::of([step("a")]);
    assert_eq!(after(&fresh, &sent(2, 1)), Err("the first round is round 1"));
    assert_eq!(after(&fresh, &sent(1, 2)), Err("attempts follow one another"));
    let mut saga = begun();
    assert_eq!(after(&saga, &sent(1, 2)), Err("attempts follow one another"), "the first is out");
    saga.reply("a", transient());
    assert_eq!(after(&saga, &sent(2, 2)), Err("it is not the current round"));
    for attempt in [0, 1, 3] {
        assert_eq!(after(&saga, &sent(1, attempt)), Err("attempts follow one another"));
    }
    let action = after(&saga, &sent(1, 2)).unwrap().run(FIRST).unwrap().action.clone().unwrap();
    assert_eq!((action.attempts, action.left), (2, 2));
}

#[test]
fn what_was_not_sent_or_accepted_was_an_attempt() {
    let mut saga = begun();
    saga.reply("a", transient());
    let command = CommandRef { run: FIRST, direction: Direction::Action, round: 1 };
    let (next_at, fault, until) = (Time(9), fault("GONE"), Time(9));
    for attempt in [1, 2] {
        let event = Event::NotSent { command, attempt, next_at, fault: fault.clone() };
        assert_eq!(after(&saga, &event), Err("no such attempt is open"));
        let event = Event::Accepted { command, attempt, until };
        assert_eq!(after(&saga, &event), Err("the attempt is not waited for"));
    }
}

#[test]
fn an_outcome_is_settled_once() {
    let saga = compensating();
    let completed = Event::Completed { run: FIRST, result: "2".into() };
    assert_eq!(after(&saga, &completed), Err("it was completed before"));
    let given_up = Event::GivenUp { run: FIRST, unreachable: false };
    assert_eq!(after(&saga, &given_up), Err("its outcome is settled"));
    for run in [FIRST, RunRef::only(StepIx(1))] {
        let (attempt, settled, leaves) = (None, false, Status::Failed);
        let (next_at, fault) = (Time(9), fault("NO"));
        let refused = Event::Refused { run, attempt, settled, leaves, next_at, fault };
        assert_eq!(after(&saga, &refused), Err("its outcome is settled"));
    }
}

#[test]
fn an_undo_ends_once() {
    let saga = failed();
    let again = Event::UndoAcknowledged { run: FIRST, undone: None };
    assert_eq!(after(&saga, &again), Err("its undo has ended"));
}

#[test]
fn rounds_follow_one_another() {
    let mut saga = World::of([pivot("p"), retriable("r")]);
    saga.room_for_all().reply("p", completed("1")).room_for_all();
    let run = RunRef::only(StepIx(1));
    let opened = |round| Event::RoundOpened {
        command: CommandRef { run, direction: Direction::Action, round },
        next_at: Time(9),
        why: NewRound::Refused,
    };
    for round in [0, 1, 3] {
        assert_eq!(after(&saga, &opened(round)), Err("rounds follow one another"), "{round}");
    }
    let second = after(&saga, &opened(2)).unwrap();
    assert_eq!(second.run(run).and_then(|run| run.action.as_ref()).map(|a| a.round), Some(2));
}
