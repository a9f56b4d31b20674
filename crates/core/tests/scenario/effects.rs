//! What the engine reads off between two inputs: what is to be evaluated, for whom it waits, and until
//! when it may sleep.

use amends_core::definition::Fence;
use amends_core::input::Outcome;
use amends_core::saga::State;
use amends_core::{Direction, Millis, RunRef, StepIx, effects};

use crate::shapes::{pivot, reads, retriable, signal, step};
use crate::world::*;

fn to_evaluate(saga: &World) -> Vec<&str> {
    let steps = effects::evaluations(&saga.def, &saga.saga);
    steps.into_iter().map(|at| &*saga.def.step(at).name).collect()
}

fn waited_for(saga: &World, target: &str) -> bool {
    let (run, direction) = saga.target(target);
    effects::waited_for(&saga.def, &saga.saga, run, direction)
}

/// `b` waits for its condition, and `c` may fail beside it.
fn at_a_condition() -> World {
    let mut saga = World::of([step("a"), step("b").when().after(["a"]), step("c").after([])]);
    saga.room_for_all().reply("a", completed("1"));
    assert_eq!(to_evaluate(&saga), ["b"]);
    saga
}

#[test]
fn a_paused_saga_has_nothing_evaluated() {
    let mut saga = at_a_condition();
    saga.ask(Ask::Pause);
    assert_eq!(to_evaluate(&saga), [""; 0]);
    saga.ask(Ask::Resume);
    assert_eq!(to_evaluate(&saga), ["b"]);
}

#[test]
fn a_saga_that_has_turned_or_ended_has_nothing_evaluated() {
    let mut saga = at_a_condition();
    saga.reply("c", refused("NO")).expect_state(State::Compensating);
    assert_eq!(to_evaluate(&saga), [""; 0]);
    saga.room_for_all().reply("undo a", undone()).expect_state(State::Failed);
    assert_eq!(to_evaluate(&saga), [""; 0]);
}

#[test]
fn a_signal_that_came_is_judged_until_the_saga_turns() {
    let mut saga = World::of([signal("s").judged(), step("a").after([])]);
    assert_eq!(to_evaluate(&saga), [""; 0]);
    saga.room_for_all().signal("s", "{}");
    assert_eq!(to_evaluate(&saga), ["s"]);
    saga.reply("a", refused("NO"));
    assert_eq!(to_evaluate(&saga), [""; 0]);
}

#[test]
fn an_action_is_waited_for_until_its_answer() {
    let mut saga = World::of([step("a"), step("b")]);
    assert!(waited_for(&saga, "a"), "it is about to be sent");
    saga.room_for_all();
    assert!(waited_for(&saga, "a") && !waited_for(&saga, "undo a"));
    saga.reply("a", completed("1"));
    assert!(!waited_for(&saga, "a"));
    let beyond = RunRef::only(StepIx(9));
    assert!(!effects::waited_for(&saga.def, &saga.saga, beyond, Direction::Action));
}

#[test]
fn after_the_turn_only_an_action_that_is_asked_on_is_waited_for() {
    let beside = |spec: crate::shapes::Spec| {
        // The third keeps the saga from its end.
        let third = step("d").fence(Fence::Settle).after([]);
        let mut saga = World::of([spec, step("c").after([]), third]);
        saga.room_for_all().reply("c", refused("NO")).expect_state(State::Compensating);
        saga
    };
    // Its answer is what settles it.
    assert!(waited_for(&beside(step("a").fence(Fence::Settle)), "a"));
    // Nothing comes of it that would be undone.
    assert!(!waited_for(&beside(reads("a")), "a"));
    // The undo goes at once, and speaks for the action.
    let mut fenced = beside(step("a").fence(Fence::Barrier));
    assert!(!waited_for(&fenced, "a"));
    fenced.room_for_all().expect_sent(["a", "c", "d", "undo a"]);
    assert!(!waited_for(&fenced, "a") && waited_for(&fenced, "undo a"));
    fenced.reply("undo a", undone());
    assert!(!waited_for(&fenced, "undo a"));
    // A person has settled its undo, and with it what the action came to.
    let mut settled = beside(step("a").fence(Fence::Settle));
    settled.ask(forced(Ask::Skip("undo a")));
    assert!(!waited_for(&settled, "a"));
}

#[test]
fn the_saga_s_deadline_wakes_nobody_once_it_has_turned_or_ended() {
    let mut saga = World::within(20, [step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().expect_due(Some(10_000));
    saga.reply("b", refused("NO")).room_for_all().expect_due(Some(30_000));
    saga.reply("undo a", undone()).expect_state(State::Failed).expect_due(None);
}

#[test]
fn past_the_point_of_no_return_the_saga_s_deadline_still_wakes_for_its_attention() {
    let mut saga = World::within(20, [pivot("p"), retriable("r").timeout(300).within(600)]);
    saga.room_for_all().reply("p", completed("1")).room_for_all().expect_due(Some(20_000));
    saga.tick_to(20).expect_attention(["saga Overdue"]);
}

#[test]
fn a_slow_undo_wakes_a_minute_after_its_intent() {
    let mut saga = World::of([step("a").undo_attempts(20), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().expect_due(Some(30_000));
    saga.run_to(59).reply("undo a", accepted()).expect_due(Some(60_000));
}

#[test]
fn a_command_owed_from_its_deadline_on_does_not_hold_the_deadline_up() {
    let again_in = |secs| Outcome::Transient {
        fault: fault("LOCKED"),
        named: true,
        retry_after: Some(Millis::secs(secs)),
    };
    let mut saga = World::of([step("a").within(10)]);
    saga.room_for_all().reply("a", again_in(10)).expect_due(Some(10_000));
    saga.tick_to(10).expect_state(State::Compensating);
    let mut saga = World::within(10, [step("a")]);
    saga.room_for_all().reply("a", again_in(10)).expect_due(Some(10_000));
    saga.tick_to(10).expect_state(State::Compensating);
    // A moment earlier it waits for our room, which is no fault of the step's.
    let mut saga = World::within(10, [step("a")]);
    saga.room_for_all().reply("a", again_in(9)).tick_to(10).expect_state(State::Started);
}
