//! The troubles that the seed's document names, each of which must not happen here.

use amends_core::event::CommandRef;
use amends_core::saga::State;
use amends_core::{Direction, Event, effects};

use crate::shapes::{pivot, retriable, step};
use crate::world::*;

#[test]
fn a_handler_that_threw_and_never_answered_does_not_leave_the_saga_stuck_in_compensating() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.run_to(60).expect_sent(["a", "b", "undo a", "undo a #2"]);
    saga.expect_attention(["undo a UndoSlow"]);
    saga.run_to(200).expect_attention(["undo a CompensationFailed"]);
    // Three tries of 30 s with pauses of 1 s and 2 s end at 93; redrives follow after 10 s × 2ⁿ.
    saga.run_to(1_000).expect_attention(["undo a Poison"]).expect_state(State::Compensating);
    saga.reply("undo a", acknowledged()).expect_attention([]).expect_state(State::Failed);
}

#[test]
fn steps_are_not_executed_again_after_a_restart() {
    let mut saga = World::of([step("a"), step("b"), step("c")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().expect_sent(["a", "b"]);
    saga.restarted();
    assert_eq!(effects::owed(&saga.def, &saga.saga).count(), 0, "replay sends nothing by itself");
    saga.room_for_all().expect_sent([]);
    saga.reply("b", completed("2")).room_for_all().expect_sent(["c"]);
}

#[test]
fn what_was_asked_before_a_restart_is_asked_again_as_a_new_attempt_of_the_same_command() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().restarted().run_to(10).expect_sent(["a"]);
    saga.run_to(11).expect_sent(["a #2"]);
    let rounds = saga.step("a").action.as_ref().expect("it was sent").round;
    assert_eq!(rounds, 1, "the same key and bytes");
}

#[test]
fn a_restart_in_the_middle_of_each_decision_leads_to_the_same_end() {
    let mut plain = World::of([step("a"), pivot("p"), retriable("r")]);
    let mut restarted = World::of([step("a"), pivot("p"), retriable("r")]);
    for name in ["a", "p", "r"] {
        plain.room_for_all().reply(name, completed(name));
        restarted.restarted().room_for_all().restarted().reply(name, completed(name)).restarted();
    }
    assert_eq!(plain.saga, restarted.saga);
}

#[test]
fn a_slow_but_valid_step_within_its_own_time_is_not_failed() {
    // The shipment of the seed takes up to 15 min; a global time-out would have fired long before.
    let mut saga = World::of([step("reserve").within(120), step("ship").within(900)]);
    saga.run_to(100).reply("reserve", completed("1")).run_to(999);
    saga.expect("pending: reserve completed, ship executing");
    saga.reply("ship", completed("2")).expect_state(State::Completed);
    saga.expect_sent(["reserve", "ship"]);
}

#[test]
fn a_valid_answer_that_arrives_together_with_the_time_out_wins() {
    let mut saga = World::of([step("a").within(120), step("b")]);
    saga.room_for_all().asleep_to(120).reply("a", completed("1")).tick();
    saga.expect("pending: a completed, b pending");
}

#[test]
fn a_watchdog_is_cancelled_by_the_reply_and_fires_only_for_its_own_step() {
    let mut saga = World::of([step("a").within(120), step("b").within(60)]);
    saga.room_for_all().expect_due(Some(120_000)).tick_to(50).reply("a", completed("1"));
    saga.room_for_all().expect_due(Some(110_000)).tick_to(109).expect_state(State::Pending);
    saga.tick_to(110).expect("compensating: a completed, b unknown");
}

#[test]
fn a_step_that_is_slow_for_its_attempt_is_asked_again_and_the_slow_answer_counts() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.run_to(25).expect_sent(["a", "a #2", "a #3"]);
    saga.reply_to("a", 1, completed("slow")).expect_result("a", "slow");
    saga.room_for_all().expect_sent(["b"]);
}

#[test]
fn compensations_run_in_the_reverse_order_one_after_the_other() {
    let mut saga = World::of([step("a"), step("b"), step("c"), step("d")]);
    for name in ["a", "b", "c"] {
        saga.room_for_all().reply(name, completed(name));
    }
    saga.room_for_all().reply("d", refused("NO")).expect_sent(["a", "b", "c", "d"]);
    saga.room_for_all().expect_sent(["undo c"]);
    saga.run_to(200).reply("undo c", acknowledged());
    saga.sent_clear().room_for_all().expect_sent(["undo b"]).reply("undo b", acknowledged());
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", acknowledged());
    saga.expect("failed: a compensated, b compensated, c compensated, d failed");
}

#[test]
fn dead_letters_are_sent_again_after_ten_seconds_doubled_each_time_five_times_then_hourly() {
    let mut saga = World::of([step("a").undo_attempts(1), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().reply("undo a", unknown()).sent_clear();
    let mut at = 0;
    for (n, pause) in [10, 20, 40, 80, 160].into_iter().enumerate() {
        saga.expect_attention(["undo a CompensationFailed"]).run_to(at + pause - 1).expect_sent([]);
        at += pause;
        let sent = format!("undo a #{}", n + 2);
        saga.run_to(at).expect_sent([&sent]).reply("undo a", unknown());
    }
    for n in 7..10 {
        saga.expect_attention(["undo a Poison"]).run_to(at + 3_599).expect_sent([]);
        at += 3_600;
        let sent = format!("undo a #{n}");
        saga.run_to(at).expect_sent([&sent]).reply("undo a", unknown());
    }
    saga.run_to(at + 3_600).reply("undo a", acknowledged()).expect_attention([]);
    saga.expect("failed: a compensated, b failed");
}

#[test]
fn every_attempt_has_its_own_durable_fact_before_it_leaves() {
    let mut saga = World::of([step("a"), step("b")]);
    let (run, _) = saga.target("a");
    let before = saga.facts();
    saga.room_for("a");
    let sent = saga.history(before);
    let own = |command: &CommandRef| (command.run, command.direction) == (run, Direction::Action);
    assert!(
        matches!(&sent[..], [Event::Sent { command, attempt: 1, .. }] if own(command)),
        "{sent:?}"
    );
}
