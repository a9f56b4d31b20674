//! The seed's order saga: its states table and its compensation rules, row by row.

use amends_core::saga::State;

use crate::shapes::{Spec, step};
use crate::world::*;

/// The seed's four steps with the time-outs it gives them.
fn order() -> [Spec; 4] {
    [
        step("reserve").within(120),
        step("pay").within(60),
        step("ship").within(900),
        step("confirm").within(120),
    ]
}

#[test]
fn state_started_first_step_dispatched() {
    let mut saga = World::of(order());
    saga.room_for_all().expect_sent(["reserve"]);
    saga.expect("started: reserve executing, pay pending, ship pending, confirm pending");
}

#[test]
fn state_pending_waiting_for_a_step_reply() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.expect_sent(["reserve", "pay"]);
    saga.expect("pending: reserve completed, pay executing, ship pending, confirm pending");
}

#[test]
fn state_compensating_rolling_back_completed_steps() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all();
    saga.expect_sent(["reserve", "pay", "undo reserve"]);
    saga.expect("compensating: reserve compensating, pay failed, ship pending, confirm pending");
}

#[test]
fn state_completed_all_forward_steps_succeeded() {
    let mut saga = World::of(order());
    for name in ["reserve", "pay", "ship", "confirm"] {
        saga.room_for_all().expect_sent([name]).reply(name, completed("done"));
    }
    saga.expect("completed: reserve completed, pay completed, ship completed, confirm completed");
    saga.expect_due(None).expect_live(false).expect_exceptions([]);
}

#[test]
fn state_failed_all_compensations_have_finished() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all().expect_state(State::Compensating);
    saga.reply("undo reserve", acknowledged());
    saga.expect("failed: reserve compensated, pay failed, ship pending, confirm pending");
    saga.expect_due(None).expect_live(false).expect_exceptions([]);
}

#[test]
fn rule_step_never_started_is_not_compensated() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).run_to(1).reply("undo reserve", acknowledged());
    saga.run_to(3_600).expect_sent(["reserve", "pay", "undo reserve"]);
}

#[test]
fn rule_step_completed_successfully_runs_its_compensation_with_its_result() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all();
    saga.expect_original_result("reserve", Some("r1"));
}

#[test]
fn rule_step_failed_before_completion_is_marked_failed_and_not_compensated() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", refused("OUT_OF_STOCK")).room_for_all();
    saga.expect_sent(["reserve"]);
    saga.expect("failed: reserve failed, pay pending, ship pending, confirm pending");
    assert_eq!(saga.step("reserve").error, Some(fault("OUT_OF_STOCK")));
}

#[test]
fn rule_compensation_that_fails_is_retried_with_backoff_then_dead_lettered_and_a_person_called() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all().expect_sent([
        "reserve",
        "pay",
        "undo reserve",
    ]);
    saga.reply("undo reserve", transient()).run_to(1).expect_sent(["undo reserve #2"]);
    saga.reply("undo reserve", unknown()).run_to(2).expect_sent([]);
    saga.run_to(3).expect_sent(["undo reserve #3"]).expect_attention([]);
    saga.reply("undo reserve", refused("CANNOT"))
        .expect_attention(["undo reserve CompensationFailed"]);
    saga.run_to(12).expect_sent([]).run_to(13).expect_sent(["undo reserve #4"]);
    saga.reply("undo reserve", acknowledged()).expect_attention([]);
    saga.expect("failed: reserve compensated, pay failed, ship pending, confirm pending");
}

#[test]
fn rule_step_result_that_no_longer_exists_counts_as_compensated() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all().reply("undo reserve", gone());
    saga.expect("failed: reserve compensated, pay failed, ship pending, confirm pending");
    saga.expect_exceptions([]);
}

#[test]
fn a_404_that_may_be_a_wrong_address_counts_as_compensated_but_is_marked_unproven() {
    let mut saga = World::of(order());
    saga.room_for_all().reply("reserve", completed("r1")).room_for_all();
    saga.reply("pay", refused("NO_FUNDS")).room_for_all().reply("undo reserve", gone_unproven());
    saga.expect_state(State::Failed).expect_exceptions(["reserve Unproven"]);
}

/// "Inject a failure at each step index": what is undone is what came before, last first.
#[test]
fn a_refusal_at_each_step_index_undoes_exactly_the_steps_before_it_in_reverse() {
    let names = ["reserve", "pay", "ship", "confirm"];
    for failing in 0..names.len() {
        let mut saga = World::of(order());
        for name in &names[..failing] {
            saga.room_for_all().expect_sent([name]).reply(name, completed(name));
        }
        saga.room_for_all().expect_sent([names[failing]]).reply(names[failing], refused("NO"));
        for name in names[..failing].iter().rev() {
            let undo = format!("undo {name}");
            saga.room_for_all().expect_sent([&undo]).expect_original_result(name, Some(name));
            saga.reply(&undo, undone());
        }
        saga.room_for_all().expect_sent([]).expect_state(State::Failed).expect_exceptions([]);
    }
}

#[test]
fn a_time_out_at_each_step_index_undoes_that_step_too_because_it_may_have_happened() {
    let names = ["reserve", "pay", "ship", "confirm"];
    for failing in 0..names.len() {
        let mut saga = World::of(order());
        for name in &names[..failing] {
            saga.room_for_all().expect_sent([name]).reply(name, completed(name));
        }
        saga.room_for_all().expect_sent([names[failing]]);
        saga.tick_to([120, 60, 900, 120][failing] - 1).expect_live(true);
        assert!(saga.saga.turned.is_none(), "{} has its time", names[failing]);
        saga.tick_to([120, 60, 900, 120][failing]);
        for name in names[..=failing].iter().rev() {
            let undo = format!("undo {name}");
            saga.room_for_all().expect_sent([&undo]);
            let result = (*name != names[failing]).then_some(*name);
            saga.expect_original_result(name, result).reply(&undo, undone());
        }
        saga.room_for_all().expect_sent([]).expect_state(State::Failed).expect_exceptions([]);
    }
}

#[test]
fn an_unknown_connection_error_at_each_step_index_that_never_left_undoes_only_what_came_before() {
    let names = ["reserve", "pay", "ship", "confirm"];
    for failing in 0..names.len() {
        let mut saga = World::of(order());
        for name in &names[..failing] {
            saga.room_for_all().reply(name, completed(name));
        }
        while saga.saga.turned.is_none() {
            saga.room_for_all();
            saga.reply(names[failing], not_sent());
            let next = saga.seconds() + 10;
            saga.tick_to(next);
        }
        saga.room_for_all().sent_clear();
        for name in names[..failing].iter().rev() {
            saga.room_for_all().reply(&format!("undo {name}"), undone());
        }
        saga.expect_state(State::Failed).expect_exceptions([]);
        let untouched = saga.step(names[failing]).undo.is_none();
        assert!(untouched, "{} was undone though it never left", names[failing]);
    }
}
