//! How an unknown outcome is made harmless, by fence; and what makes a refusal settled.

use amends_core::definition::Fence;
use amends_core::saga::State;

use crate::shapes::{Spec, step};
use crate::world::*;

/// `a` is done, `b` is asked once.
fn asked(spec: Spec) -> World {
    let mut saga = World::of([step("a"), spec]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().sent_clear();
    saga
}

// What settles a refusal.

#[test]
fn the_refusal_of_a_single_sending_in_its_own_exchange_is_settled() {
    let mut saga = asked(step("b"));
    saga.reply("b", refused("NO")).expect("compensating: a completed, b failed");
}

#[test]
fn the_refusal_of_a_single_sending_over_a_broker_is_settled() {
    let mut saga = asked(step("b"));
    saga.event("b", refused("NO")).expect("compensating: a completed, b failed");
}

#[test]
fn transients_named_in_the_body_before_it_do_not_unsettle_a_refusal() {
    let mut saga = asked(step("b"));
    saga.reply("b", transient()).run_to(1).reply("b", transient()).run_to(3);
    saga.expect_sent(["b #2", "b #3"]).reply("b", refused("NO"));
    saga.expect("compensating: a completed, b failed");
}

#[test]
fn a_transient_named_in_the_body_that_comes_after_the_time_out_does_not_unsettle_a_refusal_either()
{
    let mut saga = asked(step("b"));
    saga.run_to(11).reply_to("b", 1, transient()).reply_to("b", 2, refused("NO"));
    saga.expect("compensating: a completed, b failed");
}

#[test]
fn a_transient_that_only_a_status_tells_unsettles_a_refusal() {
    let mut saga = asked(step("b"));
    saga.reply("b", busy()).run_to(1).reply("b", refused("NO"));
    saga.expect("compensating: a completed, b unknown");
}

#[test]
fn a_transient_over_a_broker_unsettles_a_refusal() {
    let mut saga = asked(step("b"));
    saga.event("b", transient()).run_to(1).reply("b", refused("NO"));
    saga.expect("compensating: a completed, b unknown");
}

#[test]
fn the_refusal_of_one_sending_among_several_settles_nothing() {
    let mut saga = asked(step("b"));
    saga.run_to(11).reply_to("b", 1, refused("NO"));
    saga.expect("compensating: a completed, b unknown");
}

#[test]
fn two_refusals_for_two_sendings_settle_nothing_since_answers_are_not_counted() {
    let mut saga = asked(step("b"));
    saga.run_to(11).reply_to("b", 1, refused("NO")).reply_to("b", 2, refused("NO"));
    saga.expect("compensating: a completed, b unknown");
    saga.run_to(60).expect("compensating: a completed, b compensating");
}

#[test]
fn sendings_that_never_left_do_not_unsettle_a_refusal() {
    let mut saga = asked(step("b"));
    saga.reply("b", not_sent()).run_to(1).reply("b", refused("NO"));
    saga.expect("compensating: a completed, b failed");
}

#[test]
fn sendings_that_never_left_do_not_unsettle_a_refusal_over_a_broker() {
    let mut saga = asked(step("b"));
    saga.reply("b", not_sent()).run_to(1).event("b", refused("NO"));
    saga.expect("compensating: a completed, b failed");
}

#[test]
fn a_service_that_says_barrier_or_settle_settles_every_refusal() {
    for fence in [Fence::Barrier, Fence::Settle] {
        let mut saga = asked(step("b").fence(fence));
        saga.run_to(11).event("b", refused("NO"));
        saga.expect("compensating: a completed, b failed");
    }
}

#[test]
fn a_service_without_a_fence_or_that_says_none_does_not() {
    for spec in [step("b"), step("b").fence(Fence::None)] {
        let mut saga = asked(spec);
        saga.run_to(11).event("b", refused("NO"));
        saga.expect("compensating: a completed, b unknown");
    }
}

#[test]
fn the_step_s_own_fence_overrides_the_service_s_and_is_pinned_by_the_intent() {
    let mut saga = World::of([step("a"), step("b").fence(Fence::None)]);
    saga = saga.services_fence(Fence::Barrier);
    saga.room_for_all().reply("a", completed("1")).run_to(10);
    assert_eq!(saga.step("a").action.as_ref().map(|a| a.terms.fence()), Some(Fence::Barrier));
    assert_eq!(saga.step("b").action.as_ref().map(|a| a.terms.fence()), Some(Fence::None));
    // Another binding while the command is under way changes nothing for it.
    let mut saga = asked(step("b")).services_fence(Fence::Barrier);
    saga.run_to(11);
    assert_eq!(saga.step("b").action.as_ref().map(|a| a.terms.fence), Some(None));
}

// Barrier.

#[test]
fn barrier_is_undone_at_once_when_its_time_is_up() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.run_to(60).expect("compensating: a completed, b compensating");
    saga.reply("undo b", nothing_undone()).room_for_all().reply("undo a", undone());
    saga.expect("failed: a compensated, b compensated").expect_exceptions([]);
}

#[test]
fn barrier_is_undone_at_once_after_a_cancel_while_it_is_in_flight() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.ask(Ask::Cancel).room_for_all().expect_sent(["undo b"]);
}

#[test]
fn barrier_the_forward_command_refused_by_its_tombstone_does_not_call_the_undo_off() {
    let mut saga = asked(step("b").fence(Fence::Barrier));
    saga.run_to(60).sent_clear().reply("b", refused("TOMBSTONE"));
    saga.expect("compensating: a completed, b compensating");
    // The undo has its intent: its acknowledgement is waited for, and so are those before it.
    saga.room_for_all().expect_sent([]).reply("undo b", nothing_undone());
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, b compensated").expect_exceptions([]);
}

#[test]
fn barrier_a_transient_that_arrives_after_the_undo_left_changes_nothing() {
    let mut saga = asked(step("b").fence(Fence::Barrier).max_attempts(1));
    saga.ask(Ask::Cancel).room_for_all().reply("b", transient());
    saga.expect("compensating: a completed, b compensating");
    saga.reply("undo b", nothing_undone()).reply("b", unknown()).room_for_all();
    saga.reply("undo a", undone()).expect("failed: a compensated, b compensated");
}

// Settle.

#[test]
fn settle_asks_on_after_the_turn_with_the_same_key_until_it_knows() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.ask(Ask::Cancel).room_for_all().expect_sent([]).run_to(11).expect_sent(["b #2"]);
    saga.reply("b", completed("2")).room_for_all().expect_sent(["undo b"]);
    saga.expect_original_result("b", Some("2"));
}

#[test]
fn settle_a_refusal_after_the_turn_takes_the_step_out_of_the_undo_set() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.ask(Ask::Cancel).run_to(11).reply("b", refused("NO")).room_for_all();
    saga.expect("compensating: a compensating, b failed");
}

#[test]
fn settle_is_undone_all_the_same_when_its_time_is_up_and_marked_unproven() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).reply("undo b", acknowledged()).room_for_all().reply("undo a", undone());
    saga.expect("failed: a compensated, b compensated").expect_exceptions(["b Unproven"]);
}

#[test]
fn settle_unproven_goes_when_a_settled_refusal_is_heard() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).reply("undo b", acknowledged()).room_for_all().reply("undo a", undone());
    saga.expect_exceptions(["b Unproven"]).event("b", refused("NO")).expect_exceptions([]);
    saga.expect_state(State::Failed).expect_live(false);
}

#[test]
fn settle_unproven_goes_when_a_success_is_heard_and_that_is_undone() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).reply("undo b", acknowledged()).room_for_all().reply("undo a", undone());
    saga.event("b", completed("2")).expect_exceptions([]).expect_live(true);
}

#[test]
fn settle_undone_true_proves_it() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).reply("undo b", undone()).expect_exceptions([]);
}

#[test]
fn settle_undone_true_heard_late_proves_it_too() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).reply("undo b", acknowledged()).expect_exceptions(["b Unproven"]);
    saga.reply("undo b", undone()).expect_exceptions([]);
}

#[test]
fn settle_a_step_whose_every_sending_was_transient_is_undone_at_once_after_the_turn() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.reply("b", busy()).ask(Ask::Cancel).room_for_all().expect_sent(["undo b"]);
    saga.run_to(9).expect_sent([]);
}

#[test]
fn a_refusal_that_settles_nothing_heard_again_and_again_after_the_undo_adds_nothing() {
    let mut saga = asked(step("b"));
    saga.reply("b", busy()).run_to(1).reply("b", busy()).ask(Ask::Cancel).room_for_all();
    saga.event("b", refused("NO")).reply("undo b", undone()).event("b", refused("NO"));
}

#[test]
fn max_attempts_bound_the_asking_on_after_an_unsettled_refusal_too() {
    let mut saga = asked(step("b").max_attempts(2));
    saga.run_to(11).expect_sent(["b #2"]).reply("b", refused("ALREADY_EXISTS"));
    saga.run_to(12).expect_sent(["undo b"]);
}

// None.

#[test]
fn none_never_turns_the_saga_and_is_sent_no_more_after_its_time() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.run_to(60).sent_clear().expect_attention(["b OutcomeUnknown"]);
    saga.run_to(86_400).expect_sent([]).expect("pending: a completed, b unknown");
}

#[test]
fn none_an_answer_lets_the_saga_go_on() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.run_to(60).event("b", completed("2")).expect_state(State::Completed).expect_attention([]);
}

#[test]
fn none_resolved_as_completed_goes_on_and_the_end_is_not_clean() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.run_to(60).ask(Ask::Completed("b")).expect_state(State::Completed).expect_attention([]);
    saga.expect_result("b", "by hand").expect_exceptions(["b ByHand"]);
}

#[test]
fn none_resolved_as_refused_turns_the_saga_and_is_not_undone() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.run_to(60).sent_clear().ask(Ask::Refused("b")).room_for_all().expect_sent(["undo a"]);
    saga.expect("compensating: a compensating, b failed").expect_exceptions(["b ByHand"]);
}

#[test]
fn none_after_a_cancel_is_asked_until_its_time_is_up_and_its_ancestors_wait() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.ask(Ask::Cancel).run_to(11).expect_sent(["b #2"]).run_to(60).sent_clear();
    saga.expect("compensating: a completed, b unknown").expect_attention(["b OutcomeUnknown"]);
    saga.run_to(3_600).expect_sent([]);
    saga.ask(Ask::Completed("b")).room_for_all().expect_sent(["undo b"]).expect_attention([]);
    saga.reply("undo b", undone()).room_for_all().expect_sent(["undo a"]);
}

#[test]
fn none_whose_sendings_all_ended_in_a_named_transient_has_had_no_effect_and_turns() {
    let mut saga = asked(step("b").fence(Fence::None).max_attempts(1));
    saga.reply("b", transient()).expect_state(State::Compensating).expect_attention([]);
}

#[test]
fn none_whose_transients_only_a_status_told_is_not_left_without_anybody_to_move_it() {
    let mut saga = asked(step("b").fence(Fence::None).max_attempts(1));
    saga.reply("b", busy()).expect_attention(["b OutcomeUnknown"]).expect_state(State::Pending);
    saga.ask(Ask::Refused("b")).room_for_all().expect("compensating: a compensating, b failed");
}

#[test]
fn none_refused_while_another_sending_is_open_turns_and_then_waits_for_a_person() {
    let mut saga = asked(step("b").fence(Fence::None));
    saga.run_to(11).reply("b", refused("ALREADY_EXISTS")).expect_state(State::Compensating);
    saga.run_to(60).expect("compensating: a completed, b unknown");
    saga.expect_attention(["b OutcomeUnknown"]).ask(Ask::Skip("undo b")).room_for_all();
    saga.reply("undo a", undone()).expect_state(State::Failed).expect_exceptions(["b Skipped"]);
}

#[test]
fn settle_is_not_unproven_when_the_settled_refusal_came_before_the_acknowledgement() {
    let mut saga = asked(step("b").fence(Fence::Settle));
    saga.run_to(60).event("b", refused("NO")).reply("undo b", acknowledged());
    saga.expect_exceptions([]);
}
