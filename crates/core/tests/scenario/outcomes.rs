//! Section 5: every outcome for every kind.

use amends_core::definition::Fence;
use amends_core::saga::State;

use crate::shapes::{Spec, best_effort, pivot, reads, retriable, step};
use crate::world::*;

/// `a` is done and the given step is asked.
fn asked(spec: Spec) -> World {
    let mut saga = World::of([step("a"), spec]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().sent_clear();
    saga
}

/// `a` and the pivot are done and a retriable step is asked.
fn retriable_asked(spec: Spec) -> World {
    let mut saga = World::of([step("a"), pivot("p"), spec]);
    for name in ["a", "p"] {
        saga.room_for_all().reply(name, completed("1"));
    }
    saga.room_for_all().sent_clear();
    saga
}

// Refused, settled.

#[test]
fn refused_settled_compensatable_turns_the_saga_and_is_not_undone() {
    let mut saga = asked(step("b"));
    saga.reply("b", refused("NO")).room_for_all().expect_sent(["undo a"]);
    saga.expect("compensating: a compensating, b failed");
}

#[test]
fn refused_settled_pivot_turns_the_saga() {
    let mut saga = asked(pivot("p"));
    saga.reply("p", refused("NO")).room_for_all().expect_sent(["undo a"]);
    saga.reply("undo a", undone()).expect("failed: a compensated, p failed");
}

#[test]
fn refused_settled_retriable_gets_a_new_round_and_attention_until_it_is_done() {
    let mut saga = retriable_asked(retriable("r"));
    saga.reply("r", refused("NO")).expect_attention(["r RefusedAfterPivot"]);
    saga.expect("pending: a completed, p completed, r executing");
    saga.run_to(1).expect_sent(["r /2 #2"]);
    saga.reply("r", refused("NO")).run_to(3).expect_sent(["r /3 #3"]);
    saga.expect_attention(["r RefusedAfterPivot"]).reply("r", completed("3")).expect_attention([]);
    saga.expect("completed: a completed, p completed, r completed").expect_exceptions([]);
}

#[test]
fn refused_settled_best_effort_is_failed_and_the_saga_goes_on() {
    let mut saga = asked(best_effort("b"));
    saga.reply("b", refused("NO")).expect("completed: a completed, b failed").expect_exceptions([]);
}

// Refused, unsettled: an earlier sending may still have its effect.

#[test]
fn refused_unsettled_compensatable_turns_the_saga_and_is_in_the_undo_set() {
    let mut saga = asked(step("b"));
    saga.run_to(11).expect_sent(["b #2"]).reply("b", refused("ALREADY_EXISTS"));
    saga.expect("compensating: a completed, b unknown");
    assert_eq!(saga.step("b").error, Some(fault("ALREADY_EXISTS")), "the error is kept");
    // Unsaid is treated as settle: asked on with the same key until its time is up, then undone.
    saga.run_to(59).expect_sent(["b #3", "b #4", "b #5"]);
    saga.run_to(60).expect_sent(["undo b"]).expect_original_result("b", None);
    saga.reply("undo b", undone()).room_for_all().expect_sent(["undo a"]);
    saga.reply("undo a", undone()).expect("failed: a compensated, b compensated");
    saga.expect_exceptions([]);
}

#[test]
fn refused_unsettled_pivot_leaves_the_outcome_open() {
    let mut saga = asked(pivot("p"));
    saga.run_to(11).reply("p", refused("IN_PROGRESS"));
    saga.expect("pending: a completed, p executing").expect_sent(["p #2"]);
    saga.run_to(13).expect_sent(["p #3"]).reply("p", completed("done"));
    saga.expect_state(State::Completed);
}

#[test]
fn refused_unsettled_retriable_is_as_transient() {
    let mut saga = retriable_asked(retriable("r"));
    saga.run_to(11).expect_sent(["r #2"]).reply("r", refused("IN_PROGRESS")).expect_attention([]);
    saga.run_to(13).expect_sent(["r #3"]).reply("r", completed("1"));
    saga.expect_state(State::Completed);
}

#[test]
fn refused_unsettled_best_effort_is_failed_and_the_saga_goes_on() {
    let mut saga = asked(best_effort("b"));
    saga.run_to(11).reply("b", refused("NO")).expect("completed: a completed, b failed");
}

// Transient.

#[test]
fn transient_compensatable_is_retried_under_the_same_key_with_capped_backoff_until_its_time_is_up()
{
    let mut saga = asked(step("b"));
    let mut at = 0;
    for (attempt, pause) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 8)] {
        at += pause;
        saga.reply("b", transient()).run_to(at - 1).expect_sent([]);
        saga.run_to(at).expect_sent([&format!("b #{attempt}")]);
    }
    saga.reply("b", completed("2")).expect_state(State::Completed);
}

#[test]
fn transient_pivot_is_retried() {
    let mut saga = asked(pivot("p"));
    saga.reply("p", busy()).run_to(1).expect_sent(["p #2"]).reply("p", completed("2"));
    saga.expect_state(State::Completed);
}

#[test]
fn transient_retriable_is_retried_without_end() {
    let mut saga = retriable_asked(retriable("r").max_attempts(2));
    for attempt in 2..100 {
        let next = saga.seconds() + 8;
        saga.reply("r", busy()).run_to(next).expect_sent([&format!("r #{attempt}")]);
    }
    saga.expect_attention(["r RetriableSlow"]).reply("r", completed("1"));
    saga.expect_state(State::Completed).expect_attention([]);
}

#[test]
fn transient_best_effort_is_retried_until_its_time_is_up() {
    let mut saga = asked(best_effort("b"));
    saga.reply("b", busy()).run_to(1).expect_sent(["b #2"]).reply("b", busy());
    saga.run_to(60).expect_state(State::Completed);
}

#[test]
fn a_transient_that_says_when_to_come_back_is_honoured_up_to_an_hour() {
    for (asked_for, comes_at) in [(30, 30), (86_400, 3_600)] {
        let mut saga = asked(step("b").within(10_000));
        let retry_after = Some(amends_core::Millis::secs(asked_for));
        let later = amends_core::input::Outcome::Transient {
            fault: fault("429"),
            named: true,
            retry_after,
        };
        saga.reply("b", later).run_to(comes_at - 1).expect_sent([]);
        saga.run_to(comes_at).expect_sent(["b #2"]);
    }
}

// Open when its time is up.

#[test]
fn open_compensatable_is_undone_by_its_fence_when_its_time_is_up() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.run_to(59).sent_clear().expect_state(State::Pending);
    saga.run_to(60).expect_sent(["undo b"]).expect("compensating: a completed, b compensating");
}

#[test]
fn open_compensatable_that_only_reads_turns_the_saga_and_needs_no_undo() {
    let mut saga = asked(reads("b"));
    saga.run_to(60).expect("compensating: a compensating, b unknown");
    saga.reply("undo a", undone()).expect("failed: a compensated, b unknown").expect_exceptions([]);
}

#[test]
fn open_pivot_never_turns_the_saga_and_is_asked_on_with_the_undo_policy() {
    let mut saga = asked(pivot("p"));
    saga.run_to(60).sent_clear().expect_attention(["p PivotUnknown"]);
    saga.run_to(86_400).expect("pending: a completed, p executing");
    saga.expect_attention(["p PivotUnknown"]).reply("p", completed("1")).expect_attention([]);
    saga.expect_state(State::Completed).expect_exceptions([]);
}

#[test]
fn open_retriable_is_asked_on_with_attention_once_and_other_branches_go_on() {
    let mut saga =
        World::of([pivot("p"), retriable("r"), retriable("s").after(["p"]), retriable("t")]);
    saga.room_for_all().reply("p", completed("1")).room_for_all().run_to(5);
    saga.reply("s", completed("2")).run_to(60).expect_attention(["r RetriableSlow"]);
    saga.reply("t", completed("3")).run_to(600).expect_attention(["r RetriableSlow"]);
    saga.expect("pending: p completed, r executing, s completed, t completed");
    saga.reply("r", completed("4")).expect_state(State::Completed).expect_attention([]);
}

#[test]
fn open_best_effort_is_unknown_and_the_saga_goes_on() {
    let mut saga = asked(best_effort("b"));
    saga.run_to(60).expect("completed: a completed, b unknown").expect_exceptions([]);
}

#[test]
fn the_time_is_up_too_when_max_attempts_are_sent_and_timed_out() {
    let mut saga = asked(step("b").max_attempts(2).fence(Fence::Barrier));
    saga.run_to(20).expect_sent(["b #2"]).expect_state(State::Pending);
    saga.run_to(21).expect_sent(["undo b"]);
}

// Completed, accepted, not sent, unknown.

#[test]
fn completed_speaks_for_every_sending() {
    let mut saga = asked(step("b"));
    saga.run_to(11).reply_to("b", 1, completed("first")).expect_state(State::Completed);
    saga.run_to(600).expect_sent(["b #2"]).expect_due(None);
}

#[test]
fn accepted_keeps_the_attempt_open_until_the_deadline() {
    let mut saga = asked(step("b"));
    saga.reply("b", accepted()).run_to(59).expect_sent([]).expect_due(Some(60_000));
    saga.event("b", completed("2")).expect_state(State::Completed);
}

#[test]
fn accepted_and_never_answered_is_unknown_at_the_deadline() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.reply("b", accepted()).run_to(60).expect_sent(["undo b"]);
}

#[test]
fn accepted_ends_with_its_own_time_out_and_the_step_is_asked_again() {
    let mut saga = asked(step("b").accepted_timeout(30));
    saga.tick_to(5).reply("b", accepted()).run_to(34).expect_sent([]);
    saga.run_to(36).expect_sent(["b #2"]);
}

#[test]
fn accepted_by_a_retriable_past_its_deadline_still_gets_the_time_of_an_attempt() {
    let mut saga = retriable_asked(retriable("r"));
    saga.run_to(61).sent_clear().reply("r", accepted()).expect_attention(["r RetriableSlow"]);
    let sent_until = saga.step("r").action.as_ref().and_then(|a| a.open).expect("open").until;
    assert!(sent_until.0 > 1_000_000 + 61_000);
}

#[test]
fn not_sent_is_no_attempt_and_is_retried_until_the_deadline_then_unreachable() {
    let mut saga = asked(step("b").max_attempts(1));
    for _ in 0..20 {
        if saga.saga.turned.is_some() {
            break;
        }
        saga.reply("b", not_sent());
        let next = saga.seconds() + 8;
        saga.run_to(next);
    }
    saga.expect("compensating: a compensating, b failed");
    saga.reply("undo a", undone()).expect("failed: a compensated, b failed").expect_exceptions([]);
}

#[test]
fn not_sent_does_not_undo_what_an_earlier_sending_may_have_done() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.run_to(11);
    while saga.saga.turned.is_none() {
        saga.reply("b", not_sent());
        let next = saga.seconds() + 8;
        saga.run_to(next);
    }
    saga.expect("compensating: a completed, b compensating");
}

#[test]
fn an_unreachable_pivot_turns_the_saga() {
    let mut saga = asked(pivot("p"));
    while saga.saga.turned.is_none() {
        saga.reply("p", not_sent());
        let next = saga.seconds() + 8;
        saga.run_to(next);
    }
    assert!(saga.seconds() >= 60, "not before its deadline");
    saga.reply("undo a", undone()).expect("failed: a compensated, p failed");
}

#[test]
fn unknown_is_asked_again_at_once_after_the_backoff() {
    let mut saga = asked(step("b"));
    saga.reply("b", unknown()).expect("pending: a completed, b executing");
    saga.run_to(1).expect_sent(["b #2"]);
}

#[test]
fn an_action_answered_as_if_it_were_an_undo_is_unknown() {
    let mut saga = asked(step("b"));
    saga.reply("b", gone()).expect("pending: a completed, b executing").run_to(1);
    saga.expect_sent(["b #2"]);
}

#[test]
fn not_sent_is_no_attempt_also_after_more_sendings_than_are_kept_apart() {
    let mut saga = retriable_asked(retriable("r"));
    // One every 18 s; the last is still open.
    saga.run_to(725);
    let left = |saga: &World| saga.step("r").action.as_ref().expect("sent").left;
    let before = left(&saga);
    assert!(before as usize > amends_core::saga::ATTEMPTS_TRACKED_MAX);
    saga.reply("r", not_sent());
    assert_eq!(left(&saga), before - 1);
    assert!(saga.step("r").action.as_ref().is_some_and(|action| action.open.is_none()));
}

#[test]
fn accepted_for_an_earlier_sending_does_not_lengthen_the_current_one() {
    let mut saga = asked(step("b"));
    saga.run_to(11).reply_to("b", 1, accepted()).run_to(23).expect_sent(["b #2", "b #3"]);
}

#[test]
fn accepted_never_shortens_the_time_of_an_attempt() {
    let mut saga = asked(step("b").accepted_timeout(3));
    saga.tick_to(1).reply("b", accepted()).run_to(10).expect_sent([]).run_to(11);
    saga.expect_sent(["b #2"]);
}
