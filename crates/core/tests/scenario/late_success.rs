//! A success heard late: before, while and after its undo, and the one automatic second round.

use amends_core::Refusal;
use amends_core::definition::Fence;
use amends_core::input::{Answer, Input};
use amends_core::saga::State;

use crate::shapes::{best_effort, pivot, reads, step};
use crate::world::*;

/// A barrier step given up at its deadline, its undo not yet sent.
fn given_up() -> World {
    let mut saga = World::of([step("a").fence(Fence::Barrier)]);
    saga.room_for_all().tick_to(10).room_for_all();
    saga.run_to(59).tick_to(60).sent_clear();
    saga
}

#[test]
fn before_its_undo_has_an_intent_the_undo_carries_the_result() {
    let mut saga = given_up();
    saga.expect("compensating: a unknown").event("a", completed("late"));
    saga.expect("compensating: a completed").room_for_all().expect_sent(["undo a"]);
    saga.expect_original_result("a", Some("late")).reply("undo a", nothing_undone());
    saga.expect("failed: a compensated").expect_live(false).expect_exceptions([]);
}

#[test]
fn while_its_undo_is_in_flight_the_acknowledgement_is_waited_for_first() {
    let mut saga = given_up();
    saga.room_for_all().expect_original_result("a", None).event("a", completed("late"));
    saga.room_for_all().expect_sent(["undo a"]).expect("compensating: a compensating");
    let second_round = |saga: &World| saga.step("a").undo.as_ref().map(|undo| undo.second_round);
    assert_eq!(second_round(&saga), Some(false));
    saga.reply("undo a", nothing_undone()).expect("compensating: a compensating");
    assert_eq!(second_round(&saga), Some(true));
    saga.room_for_all().expect_sent(["undo a /2 #2"]).expect_original_result("a", Some("late"));
    saga.reply("undo a", undone()).expect("failed: a compensated").expect_exceptions([]);
}

#[test]
fn an_acknowledgement_that_undid_something_needs_no_second_round() {
    let mut saga = given_up();
    saga.room_for_all().event("a", completed("late")).reply("undo a", undone());
    saga.expect("failed: a compensated").expect_live(false);
}

#[test]
fn acknowledged_without_saying_or_gone_needs_a_second_round() {
    for says in [acknowledged(), gone(), gone_unproven(), nothing_undone()] {
        let mut saga = given_up();
        saga.room_for_all().event("a", completed("late")).reply("undo a", says);
        saga.run_to(61).expect_sent(["undo a", "undo a /2 #2"]);
    }
}

#[test]
fn after_the_end_a_saga_that_owes_an_undo_is_live_again_and_ends_no_second_time() {
    let mut saga = given_up();
    saga.room_for_all().reply("undo a", nothing_undone()).expect("failed: a compensated");
    saga.expect_live(false).event("a", completed("late")).expect("failed: a compensating");
    saga.expect_live(true).room_for_all().expect_sent(["undo a", "undo a /2 #2"]);
    saga.reply("undo a", undone()).expect("failed: a compensated").expect_live(false);
}

#[test]
fn after_the_end_the_second_round_is_dead_lettered_and_redriven_like_any_other() {
    let mut saga = given_up();
    saga.room_for_all().reply("undo a", gone()).event("a", completed("late")).run_to(180);
    saga.expect_attention(["undo a CompensationFailed"]).run_to(1_000);
    saga.expect_attention(["undo a Poison"]).expect_state(State::Failed);
    saga.reply("undo a", undone()).expect_attention([]).expect_live(false);
}

#[test]
fn there_is_at_most_one_automatic_second_round() {
    let mut saga = given_up();
    saga.room_for_all().reply("undo a", gone()).event("a", completed("late")).room_for_all();
    saga.reply("undo a", gone()).event("a", completed("late")).room_for_all();
    saga.expect_sent(["undo a", "undo a /2 #2"]).expect_live(false);
}

#[test]
fn a_reply_that_names_no_round_does_not_close_the_second() {
    let mut saga = given_up();
    saga.room_for_all().reply("undo a", gone()).event("a", completed("late")).room_for_all();
    saga.event("undo a", undone()).expect_live(true).expect("failed: a compensating");
    saga.event_of_round("undo a", 1, undone()).expect_live(true);
    saga.event_of_round("undo a", 2, acknowledged()).expect_live(false);
}

#[test]
fn a_success_of_a_step_called_unreachable_is_undone() {
    let mut saga = World::of([step("a"), step("b").max_attempts(1)]);
    saga.room_for_all().reply("a", completed("1"));
    while saga.saga.turned.is_none() {
        saga.room_for_all().reply("b", not_sent());
        let next = saga.seconds() + 8;
        saga.tick_to(next);
    }
    saga.room_for_all().reply("undo a", undone()).expect("failed: a compensated, b failed");
    saga.sent_clear().event("b", completed("ghost")).room_for_all().expect_sent(["undo b"]);
    saga.expect_original_result("b", Some("ghost")).reply("undo b", undone());
    saga.expect("failed: a compensated, b compensated").expect_live(false);
}

#[test]
fn a_redelivered_copy_that_succeeds_after_its_refusal_is_undone() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().event("a", refused("NO")).expect("failed: a failed").sent_clear();
    saga.event("a", completed("copy")).expect_state(State::Failed).expect_live(true);
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated").expect_live(false);
}

#[test]
fn a_late_success_never_revives_the_saga() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.run_to(60).event("a", completed("late")).run_to(100);
    assert!(saga.saga.turned.is_some());
    saga.expect("compensating: a compensating, b pending");
}

#[test]
fn a_late_success_of_a_kind_that_is_never_undone_is_only_recorded() {
    for spec in [reads("b"), best_effort("b")] {
        let mut saga = World::of([step("a").after([]), spec.after([]), step("c").after(["a"])]);
        saga.room_for_all().reply("a", completed("1")).run_to(5).reply("c", refused("NO"));
        saga.room_for_all().reply("undo a", undone()).expect_state(State::Failed);
        saga.sent_clear().event("b", completed("late")).expect_live(false).expect_attention([]);
        saga.expect_result("b", "late").run_to(600).expect_sent([]);
        saga.expect("failed: a compensated, b completed, c failed");
    }
}

#[test]
fn a_late_success_of_a_best_effort_in_a_completed_saga_is_only_recorded() {
    let mut saga = World::of([best_effort("a"), step("b")]);
    saga.run_to(60).reply("b", completed("2")).expect("completed: a unknown, b completed");
    saga.event("a", completed("late")).expect("completed: a completed, b completed");
    saga.expect_live(false);
}

#[test]
fn a_late_success_of_a_refused_pivot_stops_the_undo_and_calls_a_person() {
    let mut saga = World::of([step("a"), pivot("p")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().event("p", refused("NO"));
    saga.event("p", completed("after all")).expect_attention(["p Contradicted"]);
    saga.sent_clear().run_to(600).expect_sent([]).expect_state(State::Compensating);
    // Acknowledged now, nothing would say any more that the undo is stopped.
    saga.refuses(Ask::Acknowledge("p"), Refusal::VerbDoesNotFit).ask(Ask::Skip("undo a"));
    saga.ask(Ask::Acknowledge("p")).expect("failed: a compensated, p completed");
    saga.expect_attention([]).expect_exceptions(["a Skipped"]);
}

#[test]
fn a_success_after_an_operator_skipped_the_undo_calls_a_person_again() {
    let mut saga = given_up();
    saga.ask(Ask::Skip("undo a")).expect("failed: a compensated");
    saga.event("a", completed("late")).expect_attention(["a Contradicted"]);
    saga.ask(Ask::Acknowledge("a")).expect_attention([]);
}

#[test]
fn a_proof_that_nothing_left_after_the_undo_s_intent_does_not_call_it_off() {
    let mut saga = World::of([step("a").fence(Fence::Barrier).within(60)]);
    saga.run_to(60).expect_sent(["a", "undo a"]);
    saga.reply("a", not_sent()).expect("compensating: a compensating");
    saga.reply("undo a", gone()).expect("failed: a compensated");
}

#[test]
fn an_answer_to_what_was_never_sent_is_refused() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all();
    let (run, direction) = saga.target("a");
    let answer = |run, direction, round, attempt| {
        let (own_exchange, outcome) = (true, completed("forged"));
        Input::Answer(Answer { run, direction, round, attempt, own_exchange, outcome })
    };
    let mut told = |input| saga.give(input);
    assert_eq!(told(answer(run, direction, Some(2), None)), Err(Refusal::NoSuchAttempt));
    assert_eq!(told(answer(run, direction, Some(0), None)), Err(Refusal::NoSuchAttempt));
    assert_eq!(told(answer(run, direction, Some(1), Some(2))), Err(Refusal::NoSuchAttempt));
    assert_eq!(told(answer(run, direction, Some(1), Some(0))), Err(Refusal::NoSuchAttempt));
    let undo = amends_core::Direction::Compensation;
    assert_eq!(told(answer(run, undo, Some(1), Some(1))), Err(Refusal::NeverSent));
    let beyond = amends_core::RunRef { run: 1, ..run };
    assert_eq!(told(answer(beyond, direction, Some(1), Some(1))), Err(Refusal::NoSuchStep));
    let nowhere = amends_core::RunRef::only(amends_core::StepIx(9));
    assert_eq!(told(answer(nowhere, direction, Some(1), Some(1))), Err(Refusal::NoSuchStep));
}

#[test]
fn what_is_heard_of_an_earlier_sending_after_the_success_leaves_no_error_on_the_step() {
    for says in [busy(), transient(), unknown(), off_contract(), not_sent()] {
        let mut saga = World::of([step("a"), step("b")]);
        saga.run_to(11).reply_to("a", 2, completed("1")).reply_to("a", 1, says);
        assert_eq!(saga.step("a").error, None);
        saga.expect("pending: a completed, b pending").expect_attention([]);
    }
}

#[test]
fn a_proof_that_nothing_ever_left_makes_of_what_was_given_up_a_failure() {
    let mut saga = World::of([step("a"), step("b").max_attempts(1).fence(Fence::Barrier)]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().tick_to(10);
    saga.expect("compensating: a completed, b unknown").reply("b", not_sent());
    saga.expect("compensating: a completed, b failed").sent_clear().room_for_all();
    saga.expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, b failed").expect_exceptions([]);
}

#[test]
fn a_proof_that_nothing_ever_left_turns_the_saga_of_a_step_without_a_fence() {
    let mut saga = World::of([step("a"), step("b").max_attempts(1).fence(Fence::None)]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().tick_to(10);
    saga.expect_attention(["b OutcomeUnknown"]).reply("b", not_sent()).expect_attention([]);
    saga.expect("compensating: a completed, b failed");
}

#[test]
fn a_settled_refusal_heard_before_its_undo_has_an_intent_takes_a_step_out_of_the_undo_set() {
    let mut saga = given_up();
    saga.event("a", refused("NO")).expect("failed: a failed").run_to(600).expect_sent([]);
    saga.expect_exceptions([]);
}
