//! The point of no return: when it is held, what releases it, and what follows after it.

use amends_core::Refusal;
use amends_core::definition::Fence;
use amends_core::rules::point_of_no_return;
use amends_core::saga::State;

use crate::shapes::{Spec, pivot, retriable, step};
use crate::world::*;

fn order() -> [Spec; 3] {
    [step("a"), pivot("p").within(60), retriable("r")]
}

fn pivot_asked() -> World {
    let mut saga = World::of(order());
    saga.room_for_all().reply("a", completed("1")).room_for_all().sent_clear();
    saga
}

fn held(saga: &World) -> bool {
    point_of_no_return(&saga.def, &saga.saga)
}

#[test]
fn it_is_not_held_before_the_pivot_has_an_intent() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("a", completed("1"));
    assert!(!held(&saga));
    saga.ask(Ask::Cancel).room_for_all().expect_sent(["a", "undo a"]);
}

#[test]
fn it_is_held_while_the_pivot_is_open_and_a_cancel_comes_too_late() {
    let mut saga = pivot_asked();
    assert!(held(&saga));
    saga.refuses(Ask::Cancel, Refusal::TooLate).run_to(600);
    assert!(held(&saga));
    saga.refuses(Ask::Cancel, Refusal::TooLate).expect_state(State::Pending);
}

#[test]
fn it_is_held_for_good_once_the_pivot_completed() {
    let mut saga = pivot_asked();
    saga.reply("p", completed("2"));
    assert!(held(&saga));
    saga.refuses(Ask::Cancel, Refusal::TooLate).run_to(86_400).expect_state(State::Pending);
    saga.refuses(Ask::Cancel, Refusal::TooLate);
}

#[test]
fn it_is_held_while_transients_are_all_that_was_heard() {
    let mut saga = pivot_asked();
    saga.reply("p", transient());
    assert!(held(&saga));
    saga.refuses(Ask::Cancel, Refusal::TooLate);
}

#[test]
fn a_settled_refusal_of_the_pivot_releases_it_and_the_saga_turns() {
    let mut saga = pivot_asked();
    saga.reply("p", refused("NO"));
    assert!(!held(&saga));
    saga.expect("compensating: a completed, p failed, r pending");
}

#[test]
fn the_proof_that_nothing_left_releases_it() {
    let mut saga = pivot_asked();
    saga.reply("p", not_sent());
    assert!(!held(&saga));
    saga.ask(Ask::Cancel).room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect_state(State::Failed);
}

#[test]
fn an_open_pivot_holds_it_also_past_the_saga_s_deadline_which_is_attention_and_no_more() {
    let mut saga = World::within(100, order());
    saga.room_for_all().reply("a", completed("1")).run_to(100);
    saga.expect_attention(["p PivotUnknown", "saga Overdue"]).run_to(3_600);
    saga.expect("pending: a completed, p executing, r pending");
    saga.reply("p", completed("2")).expect_attention(["saga Overdue"]).room_for_all();
    saga.reply("r", completed("3")).expect_state(State::Completed).expect_attention([]);
}

#[test]
fn the_saga_s_deadline_after_it_is_attention_until_it_is_extended() {
    let mut saga = World::within(100, order());
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("p", completed("2"));
    saga.run_to(100).expect_attention(["r RetriableSlow", "saga Overdue"]);
    saga.ask(Ask::ExtendSaga(500)).expect_attention(["r RetriableSlow"]).run_to(500);
    saga.expect_attention(["r RetriableSlow", "saga Overdue"]).expect_state(State::Pending);
}

#[test]
fn the_saga_s_deadline_before_it_turns_the_saga() {
    let mut saga = World::within(5, order());
    saga.room_for_all().tick_to(4).expect_state(State::Started);
    saga.expect_due(Some(5_000)).tick_to(5).expect_state(State::Compensating);
}

#[test]
fn the_saga_s_deadline_does_not_fire_while_a_step_waits_for_our_room() {
    let mut saga = World::within(30, order());
    saga.room_for_all().reply("a", completed("1")).tick_to(40).expect_state(State::Pending);
    // The pivot waited since 0: the deadline moves by as long, and it has its time.
    saga.room_for_all().reply("p", refused("NO")).expect_state(State::Compensating);
}

#[test]
fn the_saga_s_deadline_that_passed_with_the_pivot_open_turns_it_when_the_pivot_is_refused() {
    let mut saga = World::within(30, order());
    saga.room_for_all().reply("a", completed("1")).room_for_all().tick_to(9);
    saga.reply("p", accepted()).tick_to(40).event("p", refused("NO"));
    saga.expect("compensating: a completed, p failed, r pending").expect_attention([]);
}

#[test]
fn an_open_pivot_resolved_as_refused_turns_the_saga_and_the_end_is_not_clean() {
    let mut saga = pivot_asked();
    saga.run_to(60).ask(Ask::Refused("p")).sent_clear().room_for_all().expect_sent(["undo a"]);
    saga.expect_attention([]).reply("undo a", undone());
    saga.expect("failed: a compensated, p failed, r pending").expect_exceptions(["p ByHand"]);
}

#[test]
fn an_open_pivot_resolved_as_completed_goes_on_with_the_given_result() {
    let mut saga = pivot_asked();
    saga.run_to(60).ask(Ask::Completed("p")).expect_attention([]).expect_result("p", "by hand");
    saga.sent_clear().room_for_all().expect_sent(["r"]).reply("r", completed("3"));
    saga.expect_state(State::Completed).expect_exceptions(["p ByHand"]);
}

#[test]
fn a_success_that_contradicts_the_resolution_changes_nothing_and_calls_a_person() {
    let mut saga = pivot_asked();
    saga.run_to(60).ask(Ask::Refused("p")).reply_to("p", 1, completed("2"));
    saga.expect_attention(["p Contradicted"]);
    saga.expect("compensating: a completed, p failed, r pending").room_for_all();
    saga.reply("undo a", undone()).expect_state(State::Failed);
    saga.expect_attention(["p Contradicted"]).ask(Ask::Acknowledge("p")).expect_attention([]);
}

#[test]
fn a_refusal_that_contradicts_the_resolution_changes_nothing_and_calls_a_person() {
    let mut saga =
        World::of([step("a"), pivot("p").within(60).fence(Fence::Barrier), retriable("r")]);
    saga.room_for_all().reply("a", completed("1")).run_to(60).ask(Ask::Completed("p"));
    saga.event("p", refused("NO")).expect_attention(["p Contradicted"]);
    saga.expect("pending: a completed, p completed, r pending");
}

#[test]
fn an_answer_that_confirms_the_resolution_needs_nobody() {
    let mut saga = pivot_asked();
    saga.run_to(60).ask(Ask::Completed("p")).event("p", completed("2")).expect_attention([]);
    saga.expect_result("p", "by hand");
}

#[test]
fn an_open_pivot_whose_max_attempts_are_used_up_is_asked_on_all_the_same() {
    let mut saga = World::of([step("a"), pivot("p").max_attempts(1)]);
    saga.room_for_all().reply("a", completed("1")).run_to(10).sent_clear();
    saga.expect_attention(["p PivotUnknown"]).run_to(11).expect_sent(["p #2"]);
    saga.reply("p", completed("2")).expect_state(State::Completed);
}

#[test]
fn an_overdue_pivot_is_waited_for_as_long_as_an_undo_is() {
    let mut saga = pivot_asked();
    saga.run_to(69).sent_clear();
    let open = saga.step("p").action.as_ref().and_then(|action| action.open).expect("asked on");
    assert_eq!(open.until.since(open.sent_at).0, 30_000);
}

#[test]
fn a_pivot_whose_expression_fails_turns_the_saga() {
    let mut saga = World::of([step("a"), pivot("p").input()]);
    saga.room_for_all().reply("a", completed("1"));
    saga.evaluated("p", amends_core::input::Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("compensating: a completed, p failed");
}

// Without a pivot any retriable step holds it.

#[test]
fn without_a_pivot_a_retriable_step_in_flight_holds_it() {
    let mut saga = World::of([step("a"), retriable("r")]);
    saga.room_for_all().reply("a", completed("1"));
    assert!(!held(&saga));
    saga.room_for_all().refuses(Ask::Cancel, Refusal::TooLate).run_to(600);
    saga.refuses(Ask::Cancel, Refusal::TooLate).reply("r", completed("2"));
    saga.expect_state(State::Completed);
}

#[test]
fn without_a_pivot_a_retriable_step_that_is_known_refused_holds_it_no_more() {
    let mut saga = World::of([step("a"), retriable("r")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("r", refused("NO"));
    saga.expect_attention(["r RefusedAfterPivot"]).ask(Ask::Cancel).room_for_all();
    saga.reply("undo a", undone()).expect("failed: a compensated, r failed").expect_attention([]);
}

#[test]
fn a_retriable_step_that_cannot_be_reached_is_tried_on_for_ever() {
    let mut saga = pivot_asked();
    saga.reply("p", completed("2")).room_for_all();
    for _ in 0..30 {
        saga.reply("r", not_sent());
        let next = saga.seconds() + 8;
        saga.run_to(next);
    }
    saga.expect_attention(["r RetriableSlow"]).reply("r", completed("3"));
    saga.expect_state(State::Completed).expect_attention([]);
}

#[test]
fn an_overdue_pivot_is_asked_on_at_the_pace_of_an_undo() {
    let mut spec = pivot("p").within(60);
    spec.step.undo.backoff.initial = amends_core::Millis::secs(8);
    let mut saga = World::of([spec]);
    // Asked at 61 s for the 30 s of an undo; by its own policy it would be asked again at 93 s.
    saga.run_to(98).expect_sent(["p", "p #2"]).run_to(99).expect_sent(["p #3"]);
}
