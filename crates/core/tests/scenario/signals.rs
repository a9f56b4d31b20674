//! Steps that wait for a signal.

use amends_core::Refusal;
use amends_core::definition::Work;
use amends_core::input::Evaluation;
use amends_core::saga::State;

use crate::shapes::{pivot, signal, step};
use crate::world::*;

/// `a` is done and the saga waits for `approval`.
fn waiting() -> World {
    let mut saga = World::of([step("a"), signal("approval").deadline(600), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().sent_clear();
    saga
}

#[test]
fn a_waiting_step_sends_nothing_and_its_signal_is_its_result() {
    let mut saga = waiting();
    saga.run_to(100).expect_sent([]).expect("pending: a completed, approval pending, b pending");
    saga.signal("approval", "yes").expect_result("approval", "yes").room_for_all();
    saga.expect_sent(["b"]).expect("pending: a completed, approval completed, b executing");
}

#[test]
fn it_has_no_undo() {
    let mut saga = waiting();
    saga.signal("approval", "yes").room_for_all().reply("b", refused("NO")).sent_clear();
    saga.room_for_all().expect_sent(["undo a"]).reply("undo a", undone());
    saga.expect("failed: a compensated, approval completed, b failed").expect_exceptions([]);
}

#[test]
fn an_early_signal_waits() {
    let mut saga = World::of([step("a"), signal("approval"), step("b")]);
    saga.room_for_all().signal("approval", "early").reply("a", completed("1"));
    saga.expect("pending: a completed, approval completed, b pending");
    saga.expect_result("approval", "early");
}

#[test]
fn the_first_signal_wins() {
    let mut saga = waiting();
    saga.signal("approval", "first");
    assert_eq!(saga.try_signal("approval", "second"), Err(Refusal::SignalTaken));
    saga.expect_result("approval", "first");
    let mut saga = World::of([step("a"), signal("approval")]);
    saga.signal("approval", "first");
    assert_eq!(saga.try_signal("approval", "second"), Err(Refusal::SignalTaken));
}

#[test]
fn a_signal_that_no_step_waits_for_is_refused() {
    assert_eq!(waiting().try_signal("aproval", "typo"), Err(Refusal::UnknownSignal));
}

#[test]
fn a_deadline_that_refuses_turns_the_saga() {
    let mut saga = waiting();
    saga.expect_due(Some(600_000)).run_to(599).expect_state(State::Pending).run_to(600);
    saga.expect("compensating: a compensating, approval failed, b pending");
    assert_eq!(saga.try_signal("approval", "late"), Err(Refusal::SignalTaken));
}

#[test]
fn a_deadline_that_continues_goes_on_with_its_value() {
    let mut saga = World::of([signal("approval").or_else("{\"by\":\"nobody\"}"), step("b")]);
    saga.run_to(60).expect_result("approval", "{\"by\":\"nobody\"}").expect_sent(["b"]);
    assert_eq!(saga.try_signal("approval", "late"), Err(Refusal::SignalTaken));
}

#[test]
fn a_signal_that_has_arrived_is_taken_before_its_deadline() {
    let mut saga = waiting();
    saga.asleep_to(600).signal("approval", "just in time").tick();
    saga.expect("pending: a completed, approval completed, b pending");
}

fn judged() -> World {
    let mut saga = World::of([step("a"), signal("approval").judged(), step("b")]);
    saga.room_for_all().reply("a", completed("1")).sent_clear();
    saga.signal("approval", "{\"approved\":false}");
    saga.expect("pending: a completed, approval pending, b pending");
    saga
}

#[test]
fn a_judged_signal_that_is_refused_turns_the_saga() {
    let mut saga = judged();
    saga.evaluated("approval", Evaluation::Judged { refused: true });
    saga.expect("compensating: a completed, approval failed, b pending");
}

#[test]
fn a_judged_signal_that_is_not_refused_goes_on() {
    let mut saga = judged();
    saga.evaluated("approval", Evaluation::Judged { refused: false });
    saga.expect("pending: a completed, approval completed, b pending");
    saga.expect_result("approval", "{\"approved\":false}");
}

#[test]
fn a_judgement_that_fails_turns_the_saga() {
    let mut saga = judged();
    saga.evaluated("approval", Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("compensating: a completed, approval failed, b pending");
    assert_eq!(saga.step("approval").error, Some(fault("EXPRESSION")));
}

#[test]
fn an_early_signal_is_judged_when_its_step_is_reached() {
    let mut saga = World::of([step("a"), signal("approval").judged()]);
    saga.room_for_all().signal("approval", "no").reply("a", completed("1"));
    saga.evaluated("approval", Evaluation::Judged { refused: true });
    saga.expect("compensating: a completed, approval failed");
}

#[test]
fn a_cancel_while_it_waits_undoes_what_came_before() {
    let mut saga = waiting();
    saga.ask(Ask::Cancel).room_for_all().expect_sent(["undo a"]);
    assert_eq!(saga.try_signal("approval", "late"), Err(Refusal::AlreadyCompensating));
    saga.reply("undo a", undone()).expect("failed: a compensated, approval pending, b pending");
    assert_eq!(saga.try_signal("approval", "late"), Err(Refusal::Ended));
    saga.expect_due(None);
}

#[test]
fn a_signal_during_a_pause_is_kept_and_handed_over_by_the_resume() {
    let mut saga = waiting();
    saga.ask(Ask::Pause).signal("approval", "yes");
    saga.expect("pending: a completed, approval pending, b pending").asleep_to(10_000);
    saga.ask(Ask::Resume).expect("pending: a completed, approval completed, b pending");
}

#[test]
fn the_deadline_of_a_signal_is_extended_by_a_person() {
    let mut saga = waiting();
    saga.ask(Ask::Extend("approval", 1_000)).run_to(999).expect_state(State::Pending);
    saga.run_to(1_000).expect_state(State::Compensating);
}

#[test]
fn commands_and_verbs_on_the_outcome_do_not_fit_a_signal() {
    let mut saga = waiting();
    for ask in [Ask::Retry("approval"), Ask::Completed("approval"), Ask::Skip("approval")] {
        saga.refuses(ask, Refusal::VerbDoesNotFit);
    }
    saga.refuses(Ask::Edit("approval", "{}"), Refusal::VerbDoesNotFit);
    let (run, direction) = saga.target("approval");
    let room = saga.room(run, direction);
    assert_eq!(saga.give(room), Err(Refusal::NotOwed));
}

#[test]
fn a_signal_after_the_point_of_no_return_may_only_continue() {
    let mut saga = World::of([pivot("p"), signal("note").or_else("null").deadline(30)]);
    saga.room_for_all().reply("p", completed("1")).tick_to(30);
    saga.expect("completed: p completed, note completed");
}

#[test]
fn a_signal_that_has_come_is_judged_although_its_deadline_passes_meanwhile() {
    let mut saga = judged();
    saga.tick_to(600).expect("pending: a completed, approval pending, b pending");
    saga.evaluated("approval", Evaluation::Judged { refused: false });
    saga.expect("pending: a completed, approval completed, b pending");
}

#[test]
fn a_signal_is_taken_while_any_step_waits_for_it() {
    let mut second = signal("second").deadline(100);
    if let Work::Signal { signal, .. } = &mut second.step.work {
        *signal = "first".into();
    }
    let mut saga = World::of([signal("first").or_else("null").deadline(10), second]);
    saga.tick_to(10).expect("pending: first completed, second pending");
    saga.signal("first", "yes").expect("completed: first completed, second completed");
    saga.expect_result("second", "yes");
}
