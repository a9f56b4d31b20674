//! Which steps are undone, and in which order: the dependents first, nothing else holds up.

use amends_core::definition::Fence;
use amends_core::input::Evaluation;
use amends_core::saga::State;

use crate::shapes::{best_effort, pivot, reads, step};
use crate::world::*;

/// Answers every action that is in flight.
fn complete(saga: &mut World, names: &[&str]) {
    for name in names {
        saga.room_for_all().reply(name, completed(name));
    }
}

#[test]
fn a_sequence_is_undone_backwards_one_at_a_time() {
    let mut saga = World::of([step("a"), step("b"), step("c"), step("d")]);
    complete(&mut saga, &["a", "b", "c"]);
    saga.room_for_all().reply("d", refused("NO")).sent_clear();
    for undo in ["undo c", "undo b", "undo a"] {
        saga.room_for_all().expect_sent([undo]).reply(undo, undone());
    }
    saga.expect_state(State::Failed);
}

/// `top`, then `left` and `right` side by side, then `bottom`.
fn diamond() -> World {
    World::of([
        step("top"),
        step("left").after(["top"]),
        step("right").after(["top"]),
        step("bottom").after(["left", "right"]),
    ])
}

#[test]
fn a_diamond_is_undone_side_by_side_and_its_top_last() {
    let mut saga = diamond();
    complete(&mut saga, &["top", "left", "right"]);
    saga.room_for_all().reply("bottom", refused("NO")).sent_clear();
    saga.room_for_all().expect_sent(["undo left", "undo right"]);
    saga.reply("undo right", undone()).room_for_all().expect_sent([]);
    saga.reply("undo left", undone()).room_for_all().expect_sent(["undo top"]);
}

#[test]
fn a_branch_that_is_still_in_flight_holds_up_its_ancestors_only() {
    let mut saga = diamond();
    complete(&mut saga, &["top", "left"]);
    saga.room_for_all().ask(Ask::Cancel).sent_clear();
    saga.room_for_all().expect_sent(["undo left"]).reply("undo left", undone());
    saga.run_to(9).expect_sent([]).reply("right", completed("late"));
    saga.room_for_all().expect_sent(["undo right"]).expect_original_result("right", Some("late"));
    saga.reply("undo right", undone()).room_for_all().expect_sent(["undo top"]);
}

#[test]
fn parallel_branches_of_uneven_length_do_not_wait_for_each_other() {
    let mut saga = World::of([
        step("short").after([]),
        step("long1").after([]),
        step("long2").after(["long1"]),
        step("long3").after(["long2"]),
        step("end").after(["short", "long3"]),
    ]);
    complete(&mut saga, &["short", "long1", "long2", "long3"]);
    saga.room_for_all().reply("end", refused("NO")).sent_clear();
    saga.room_for_all().expect_sent(["undo short", "undo long3"]);
    saga.reply("undo long3", undone()).room_for_all().expect_sent(["undo long2"]);
    saga.reply("undo long2", undone()).room_for_all().expect_sent(["undo long1"]);
    saga.reply("undo long1", undone()).expect_state(State::Compensating);
    saga.reply("undo short", undone()).expect_state(State::Failed);
}

#[test]
fn a_slow_undo_in_one_branch_does_not_hold_up_another() {
    let mut saga = World::of([
        step("x1").after([]),
        step("x2").after(["x1"]),
        step("y1").after([]),
        step("y2").after(["y1"]),
    ]);
    complete(&mut saga, &["x1", "y1", "x2"]);
    saga.room_for_all().reply("y2", refused("NO")).room_for_all().sent_clear();
    saga.reply("undo y1", undone()).run_to(1_000);
    saga.expect_attention(["undo x2 Poison"]);
    saga.expect("compensating: x1 completed, x2 compensating, y1 compensated, y2 failed");
    saga.reply("undo x2", undone()).sent_clear().room_for_all().expect_sent(["undo x1"]);
}

#[test]
fn the_next_undo_waits_for_the_acknowledgement_of_the_last_also_while_that_is_redriven() {
    let mut saga = World::of([step("a"), step("b").undo_attempts(1), step("c")]);
    complete(&mut saga, &["a", "b"]);
    saga.room_for_all().reply("c", refused("NO")).room_for_all().sent_clear();
    saga.reply("undo b", unknown()).run_to(9).expect_sent([]).run_to(10);
    saga.expect_sent(["undo b #2"]).reply("undo b", undone()).room_for_all();
    saga.expect_sent(["undo a"]);
}

#[test]
fn steps_that_only_read_or_are_best_effort_hold_up_nothing() {
    let mut saga = World::of([
        step("a"),
        reads("quote").after(["a"]),
        best_effort("mail").after(["a"]),
        step("b").after(["a"]),
    ]);
    complete(&mut saga, &["a"]);
    saga.room_for_all().expect_sent(["a", "quote", "mail", "b"]).reply("b", refused("NO"));
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, quote unknown, mail unknown, b failed");
    saga.expect_due(None).run_to(600).expect_sent([]).expect_exceptions([]);
}

#[test]
fn an_undo_waits_for_a_dependent_also_where_only_steps_that_hold_up_nothing_join_the_two() {
    let mut saga =
        World::of([step("a"), best_effort("mail"), reads("quote"), step("b"), step("c")]);
    complete(&mut saga, &["a", "mail", "quote", "b"]);
    saga.room_for_all().reply("c", refused("NO")).sent_clear();
    saga.room_for_all().expect_sent(["undo b"]).reply("undo b", undone());
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect_state(State::Failed).expect_exceptions([]);
}

#[test]
fn a_step_without_a_fence_holds_up_its_ancestors_and_nothing_else() {
    let mut saga = World::of([
        step("a").after([]),
        step("b").after(["a"]).fence(Fence::None),
        step("c").after([]),
        step("d").after(["c"]),
    ]);
    complete(&mut saga, &["a", "c"]);
    saga.room_for_all().reply("d", refused("NO")).run_to(60).sent_clear();
    saga.expect_attention(["b OutcomeUnknown", "undo c UndoSlow"]);
    saga.reply("undo c", undone());
    saga.expect("compensating: a completed, b unknown, c compensated, d failed");
    saga.run_to(3_600).expect_sent([]).event("b", completed("2")).room_for_all();
    saga.expect_sent(["undo b"]).reply("undo b", undone()).room_for_all().expect_sent(["undo a"]);
}

#[test]
fn no_forward_command_gets_its_first_intent_after_the_decision() {
    let mut saga = World::of([step("a").after([]), step("b").after([]), step("c").after(["a"])]);
    saga.room_for("b").reply("b", refused("NO")).room_for_all().expect_sent(["b"]);
    saga.expect("failed: a pending, b failed, c pending");
}

#[test]
fn an_empty_undo_set_ends_the_saga_at_once() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.ask(Ask::Cancel).expect("failed: a pending, b pending").expect_sent([]);
}

#[test]
fn every_run_of_a_for_each_step_is_undone_and_what_came_before_waits_for_all_of_them() {
    let mut saga = World::of([step("a"), step("ship").for_each(), step("b")]);
    complete(&mut saga, &["a"]);
    saga.evaluated("ship", Evaluation::Inputs(vec![Some("1".into()), Some("2".into()), None]));
    saga.room_for_all().sent_clear();
    saga.reply("ship.0", completed("x")).reply("ship.2", completed("z"));
    saga.reply("ship.1", refused("NO")).room_for_all().expect_sent(["undo ship.0", "undo ship.2"]);
    saga.expect("compensating: a completed, ship.0 compensating, ship.1 failed, ship.2 compensating, b pending");
    saga.reply("undo ship.2", undone()).room_for_all().expect_sent([]);
    saga.reply("undo ship.0", undone()).room_for_all().expect_sent(["undo a"]);
}

#[test]
fn a_for_each_run_that_is_in_flight_holds_up_what_came_before_but_not_its_siblings() {
    let mut saga = World::of([step("a"), step("ship").for_each()]);
    complete(&mut saga, &["a"]);
    saga.evaluated("ship", Evaluation::Inputs(vec![None, None]));
    saga.room_for_all().sent_clear().reply("ship.0", completed("x")).ask(Ask::Cancel);
    saga.room_for_all().expect_sent(["undo ship.0"]).reply("undo ship.0", undone());
    saga.run_to(9).expect_sent([]).reply("ship.1", refused("NO")).room_for_all();
    saga.expect_sent(["undo a"]);
}

#[test]
fn a_refused_pivot_undoes_every_branch_before_it() {
    let mut saga =
        World::of([step("a").after([]), step("b").after([]), pivot("p").after(["a", "b"])]);
    complete(&mut saga, &["a", "b"]);
    saga.room_for_all().reply("p", refused("NO")).sent_clear();
    saga.room_for_all().expect_sent(["undo a", "undo b"]);
}

#[test]
fn two_steps_that_fail_side_by_side_turn_the_saga_once() {
    let mut saga = World::of([step("a"), step("b").after(["a"]), step("c").after(["a"])]);
    complete(&mut saga, &["a"]);
    saga.room_for_all().reply("b", refused("NO")).reply("c", refused("NO"));
    saga.expect("compensating: a completed, b failed, c failed").room_for_all();
    saga.reply("undo a", undone()).expect("failed: a compensated, b failed, c failed");
}

#[test]
fn a_success_heard_after_the_turn_enters_the_undo_set_with_its_result() {
    let mut saga = World::of([step("a").after([]), step("b").after([])]);
    saga.room_for_all().reply("b", refused("NO")).sent_clear().reply("a", completed("1"));
    saga.expect("compensating: a completed, b failed").room_for_all().expect_sent(["undo a"]);
    saga.expect_original_result("a", Some("1"));
}
