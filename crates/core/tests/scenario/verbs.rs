//! What a person may decide, and what follows from it.

use amends_core::definition::Fence;
use amends_core::saga::{Cause, State};

use crate::shapes::{Spec, pivot, retriable, step};
use crate::world::*;

/// `a` is done, `b` was refused, the undo of `a` is asked.
fn undoing(a: Spec) -> World {
    let mut saga = World::of([a, step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().sent_clear();
    saga
}

/// The undo of `a` is a dead letter since 0 s, its next redrive is due at 10 s.
fn dead_letter() -> World {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.reply("undo a", unknown());
    saga
}

/// The pivot is done, the retriable `r` is asked.
fn forward() -> World {
    let mut saga = World::of([pivot("p"), retriable("r"), retriable("s").after(["p"])]);
    saga.room_for_all().reply("p", completed("1")).room_for_all().sent_clear();
    saga
}

// Cancel.

#[test]
fn cancel_turns_the_saga_and_says_who_and_why() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).ask(Ask::Cancel);
    let cause = saga.saga.turned.as_ref().map(|turn| turn.cause.clone());
    assert_eq!(cause, Some(Cause::Cancelled(act())));
    saga.room_for_all().expect_sent(["a", "undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, b pending").expect_exceptions([]);
}

// Retry.

#[test]
fn retry_of_a_command_that_waits_for_its_backoff_is_one_sending_now() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().reply("a", transient()).room_for_all().expect_sent(["a"]);
    saga.ask(Ask::Retry("a")).room_for_all().expect_sent(["a #2"]);
    saga.reply("a", transient()).room_for_all().expect_sent([]);
}

#[test]
fn retry_of_a_dead_letter_is_one_sending_now() {
    let mut saga = dead_letter();
    saga.ask(Ask::Retry("undo a")).room_for_all().expect_sent(["undo a #2"]);
    saga.reply("undo a", undone()).expect_state(State::Failed).expect_attention([]);
}

#[test]
fn retry_of_poison_is_one_sending_now_and_then_the_hourly_pace_again() {
    let mut saga = dead_letter();
    saga.run_to(400).expect_attention(["undo a CompensationFailed"]).run_to(1_000);
    saga.expect_attention(["undo a Poison"]).sent_clear().ask(Ask::Retry("undo a"));
    saga.room_for_all().expect_sent(["undo a #7"]).reply("undo a", unknown());
    saga.run_to(4_599).expect_sent([]).run_to(4_600).expect_sent(["undo a #8"]);
}

#[test]
fn retry_while_paused_waits_for_the_resume() {
    let mut saga = dead_letter();
    saga.ask(Ask::Pause).ask(Ask::Retry("undo a")).room_for_all().expect_sent([]);
    saga.ask(Ask::Resume).room_for_all().expect_sent(["undo a #2"]);
}

// Resolve and skip an undo.

#[test]
fn resolve_of_an_undo_takes_it_as_done_by_hand() {
    let mut saga = dead_letter();
    saga.ask(Ask::Completed("undo a")).expect("failed: a compensated, b failed");
    saga.expect_exceptions(["a ByHand"]).expect_attention([]).expect_live(false);
    assert_eq!(saga.step("a").by, Some(act()));
}

#[test]
fn skip_of_an_undo_goes_on_without_it() {
    let mut saga = World::of([step("a"), step("b"), step("c")]);
    for name in ["a", "b"] {
        saga.room_for_all().reply(name, completed("1"));
    }
    saga.room_for_all().reply("c", refused("NO")).sent_clear().ask(Ask::Skip("undo b"));
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, b compensated, c failed").expect_exceptions(["b Skipped"]);
}

#[test]
fn resolve_of_an_undo_in_flight_may_be_forced() {
    let mut saga = undoing(step("a"));
    saga.ask(forced(Ask::Completed("undo a"))).expect_state(State::Failed).expect_due(None);
}

#[test]
fn resolve_of_an_undo_whose_attempt_is_older_than_its_time_out_needs_no_force() {
    let mut saga = undoing(step("a"));
    saga.reply("undo a", accepted()).asleep_to(30).ask(Ask::Completed("undo a"));
    saga.expect_state(State::Failed);
}

#[test]
fn resolve_of_an_undo_of_a_step_whose_action_is_in_flight_may_be_forced_and_frees_the_others() {
    let mut saga = World::of([step("a"), step("b").fence(Fence::Settle)]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().ask(Ask::Cancel).sent_clear();
    saga.ask(forced(Ask::Completed("undo b"))).room_for_all().expect_sent(["undo a"]);
    saga.reply("undo a", undone()).expect("failed: a compensated, b compensated");
    saga.expect_exceptions(["b ByHand"]);
}

// Resolve and skip a retriable step.

#[test]
fn resolve_of_a_retriable_step_is_its_result() {
    let mut saga = forward();
    saga.reply("s", completed("2")).run_to(10).ask(Ask::Completed("r"));
    saga.expect("completed: p completed, r completed, s completed");
    saga.expect_result("r", "by hand").expect_exceptions(["r ByHand"]);
}

#[test]
fn skip_of_a_retriable_step_goes_on_without_it() {
    let mut saga = forward();
    saga.reply("s", completed("2")).run_to(10).ask(Ask::Skip("r"));
    saga.expect("completed: p completed, r skipped, s completed").expect_exceptions(["r Skipped"]);
    assert_eq!(saga.step("r").by, Some(act()));
}

#[test]
fn skip_of_a_refused_retriable_step_takes_its_attention_away() {
    let mut saga = forward();
    saga.reply("r", refused("NO")).expect_attention(["r RefusedAfterPivot"]).ask(Ask::Skip("r"));
    saga.expect("pending: p completed, r skipped, s executing").expect_attention([]);
}

#[test]
fn skip_of_a_slow_retriable_step_takes_its_attention_away() {
    let mut saga = forward();
    saga.run_to(60).expect_attention(["r RetriableSlow", "s RetriableSlow"]);
    saga.ask(forced(Ask::Skip("r"))).expect_attention(["s RetriableSlow"]);
}

#[test]
fn a_skipped_retriable_step_has_no_timer_left() {
    let mut saga = forward();
    saga.ask(forced(Ask::Skip("r"))).run_to(600).expect_attention(["s RetriableSlow"]);
    saga.expect("pending: p completed, r skipped, s executing");
}

#[test]
fn no_answer_sets_a_skipped_retriable_step_in_motion_again() {
    for says in [refused("NO"), transient(), unknown(), off_contract(), not_sent(), accepted()] {
        let mut saga = forward();
        saga.ask(forced(Ask::Skip("r"))).sent_clear().reply("r", says).tick_to(9);
        saga.expect("pending: p completed, r skipped, s executing").expect_attention([]);
        saga.room_for_all().expect_sent([]).reply("s", completed("2"));
        saga.expect("completed: p completed, r skipped, s completed");
    }
}

// Edit.

#[test]
fn edit_of_an_undo_is_a_new_round_with_its_own_key_and_body() {
    let mut saga = dead_letter();
    saga.ask(Ask::Edit("undo a", "{\"fixed\":1}")).expect_attention([]);
    saga.room_for_all().expect_sent(["undo a /2 #2"]).expect_original_result("a", Some("1"));
    let body = saga.step("a").undo.as_ref().and_then(|undo| undo.sendings.as_ref()?.body.clone());
    assert_eq!(body, Some("{\"fixed\":1}".into()));
    saga.event_of_round("undo a", 1, undone()).expect_live(true);
    saga.reply("undo a", undone()).expect_state(State::Failed);
}

#[test]
fn edit_of_an_undo_gives_it_a_whole_retry_policy_again() {
    let mut saga = undoing(step("a").undo_attempts(2));
    saga.reply("undo a", unknown()).run_to(1).reply("undo a", unknown());
    saga.expect_attention(["undo a CompensationFailed"]).ask(Ask::Edit("undo a", "{}"));
    saga.room_for_all().reply("undo a", unknown()).expect_attention([]);
}

#[test]
fn edit_of_a_refused_retriable_step_gives_its_next_round_another_body() {
    let mut saga = forward();
    saga.reply("r", refused("BAD_ADDRESS")).expect_attention(["r RefusedAfterPivot"]);
    saga.ask(Ask::Edit("r", "{\"address\":1}")).room_for_all().expect_sent(["r /3 #2"]);
    saga.reply("r", completed("2")).expect_attention([]);
}

#[test]
fn edit_of_a_step_that_was_never_sent_gives_it_a_body() {
    let mut saga = World::of([step("a")]);
    saga.ask(Ask::Edit("a", "{\"other\":1}")).room_for_all().expect_sent(["a"]);
    let body = saga.step("a").action.as_ref().and_then(|action| action.body.clone());
    assert_eq!(body, Some("{\"other\":1}".into()));
    saga.reply("a", completed("1")).expect_state(State::Completed);
}

// Extend.

#[test]
fn extend_moves_a_step_s_deadline_later() {
    let mut saga = World::of([step("a").fence(Fence::Barrier)]);
    saga.room_for_all().ask(Ask::Extend("a", 100)).expect_deadline("a", 100);
    saga.run_to(99).expect_state(State::Started).run_to(100).expect_state(State::Compensating);
}

#[test]
fn extend_of_an_overdue_pivot_takes_its_attention_away_until_the_new_deadline() {
    let mut saga = World::of([pivot("p")]);
    saga.run_to(60).expect_attention(["p PivotUnknown"]).ask(Ask::Extend("p", 300));
    saga.expect_attention([]).run_to(299).expect_attention([]);
    saga.run_to(300).expect_attention(["p PivotUnknown"]);
}

#[test]
fn extend_moves_the_saga_s_deadline_later() {
    let mut saga = World::within(100, [step("a").within(1_000)]);
    saga.room_for_all().ask(Ask::ExtendSaga(200)).tick_to(199).expect_state(State::Started);
    saga.tick_to(200).expect_state(State::Compensating);
}

// What is heard of a step that a person went on without.

#[test]
fn a_late_success_of_a_skipped_step_is_on_record_and_changes_nothing_else() {
    let mut saga = forward();
    saga.tick_to(20).ask(Ask::Skip("r")).event("r", completed("late"));
    saga.expect("pending: p completed, r skipped, s executing").expect_attention([]);
    saga.expect_result("r", "late");
}

#[test]
fn an_undo_s_error_is_kept_apart_from_its_action_s() {
    let mut saga = undoing(step("a"));
    saga.reply("undo a", unknown());
    assert_eq!(saga.step("a").error, None);
    assert!(saga.step("a").undo.as_ref().is_some_and(|undo| undo.error.is_some()));
}

#[test]
fn a_retriable_step_whose_expression_failed_is_done_by_hand() {
    let mut saga = World::of([pivot("p"), retriable("r").when()]);
    saga.room_for_all().reply("p", completed("1"));
    saga.evaluated("r", amends_core::input::Evaluation::Failed(fault("NO")));
    saga.expect_attention(["r Expression"]).ask(Ask::Completed("r"));
    saga.expect("completed: p completed, r completed").expect_attention([]);
}

#[test]
fn a_retry_by_hand_is_none_of_the_redriver_s_five() {
    let mut saga = dead_letter();
    for n in 2..12 {
        saga.ask(Ask::Retry("undo a")).room_for_all().expect_sent([&format!("undo a #{n}")]);
        saga.reply("undo a", unknown()).expect_attention(["undo a CompensationFailed"]);
    }
    let mut at = 0;
    for (n, pause) in (12..).zip([10, 20, 40, 80, 160]) {
        saga.expect_attention(["undo a CompensationFailed"]).run_to(at + pause - 1).expect_sent([]);
        at += pause;
        saga.run_to(at).expect_sent([&format!("undo a #{n}")]).reply("undo a", unknown());
    }
    saga.expect_attention(["undo a Poison"]);
}

#[test]
fn a_retry_by_hand_that_did_not_leave_leaves_the_next_sending_to_the_redriver() {
    let mut saga = dead_letter();
    saga.ask(Ask::Retry("undo a")).room_for_all().reply("undo a", not_sent()).run_to(400);
    // 10 + 20 + 40 + 80 + 160 s: all five are the redriver's.
    saga.expect_attention(["undo a CompensationFailed"]).run_to(10 + 310 + 5 * 30);
    saga.expect_attention(["undo a Poison"]);
}

#[test]
fn a_refusal_that_contradicts_a_resolution_calls_a_person_also_once_the_undo_has_begun() {
    let none = step("b").fence(Fence::None).within(10);
    let mut saga = World::of([step("a"), none, step("c")]);
    saga.room_for_all().reply("a", completed("1")).run_to(10).ask(Ask::Completed("b"));
    saga.room_for_all().reply("c", refused("NO")).room_for_all();
    saga.expect("compensating: a completed, b compensating, c failed");
    saga.event("b", refused("NO")).expect_attention(["b Contradicted"]);
    saga.expect("compensating: a completed, b compensating, c failed");
}

#[test]
fn edit_of_the_undo_of_a_step_without_a_fence_decides_it() {
    let mut saga = World::of([step("b").fence(Fence::None)]);
    saga.room_for_all().ask(Ask::Cancel).run_to(60).expect_attention(["b OutcomeUnknown"]);
    saga.ask(Ask::Edit("undo b", "{}")).expect_attention([]).sent_clear().room_for_all();
    saga.expect_sent(["undo b"]).reply("undo b", undone()).expect_state(State::Failed);
}
