//! What a person may not decide, each with its reason. A refused verb changes nothing.

use amends_core::Refusal::*;
use amends_core::definition::Fence;
use amends_core::input::{Input, Verb};
use amends_core::{Direction, RunRef, StepIx, Time};

use crate::shapes::{best_effort, pivot, retriable, signal, step};
use crate::world::*;

fn ended() -> World {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().reply("a", completed("1"));
    saga
}

/// `a` is done, `b` was refused, the undo of `a` is in flight.
fn undoing() -> World {
    let mut saga = World::of([step("a"), step("b"), step("c")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all();
    saga
}

fn forward() -> World {
    let mut saga =
        World::of([step("a"), pivot("p"), retriable("r"), best_effort("m").after(["p"])]);
    for name in ["a", "p"] {
        saga.room_for_all().reply(name, completed("1"));
    }
    saga.room_for_all();
    saga
}

#[test]
fn nothing_fits_an_ended_saga() {
    let mut saga = ended();
    saga.refuses(Ask::Cancel, Ended).refuses(Ask::Pause, Ended).refuses(Ask::Resume, NotPaused);
    for ask in [
        Ask::Retry("a"),
        Ask::Completed("a"),
        Ask::Refused("a"),
        Ask::Skip("a"),
        Ask::Edit("a", "{}"),
        Ask::Extend("a", 1_000),
        Ask::ExtendSaga(1_000),
        Ask::Acknowledge("a"),
        Ask::Completed("undo a"),
        Ask::Skip("undo a"),
        Ask::Edit("undo a", "{}"),
        Ask::Retry("undo a"),
    ] {
        saga.refuses(ask, VerbDoesNotFit);
    }
}

#[test]
fn an_ended_saga_that_owes_an_undo_may_be_paused_but_not_cancelled() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().event("a", refused("NO")).event("a", completed("copy"));
    saga.refuses(Ask::Cancel, Ended).ask(Ask::Pause).room_for_all().expect_sent(["a"]);
    saga.ask(Ask::Resume).room_for_all().expect_sent(["undo a"]);
}

#[test]
fn cancel_comes_too_late_or_twice() {
    undoing().refuses(Ask::Cancel, AlreadyCompensating);
    forward().refuses(Ask::Cancel, TooLate);
}

#[test]
fn pause_and_resume_take_turns() {
    let mut saga = World::of([step("a")]);
    saga.refuses(Ask::Resume, NotPaused).ask(Ask::Pause).refuses(Ask::Pause, AlreadyPaused);
    saga.ask(Ask::Resume).refuses(Ask::Resume, NotPaused);
}

#[test]
fn retry_of_a_command_in_flight() {
    let mut saga = undoing();
    saga.refuses(Ask::Retry("undo a"), AttemptInFlight);
    forward().refuses(Ask::Retry("r"), AttemptInFlight);
}

#[test]
fn retry_of_what_is_not_owed() {
    let mut saga = undoing();
    saga.refuses(Ask::Retry("b"), VerbDoesNotFit).refuses(Ask::Retry("a"), VerbDoesNotFit);
    saga.refuses(Ask::Retry("c"), NoSuchStep);
    let mut saga = forward();
    saga.refuses(Ask::Retry("undo a"), VerbDoesNotFit).refuses(Ask::Retry("p"), VerbDoesNotFit);
}

#[test]
fn retry_of_what_is_not_owed_does_not_fit_in_a_pause_either() {
    let mut saga = undoing();
    saga.ask(Ask::Pause).refuses(Ask::Retry("b"), VerbDoesNotFit);
    saga.refuses(Ask::Retry("a"), VerbDoesNotFit);
    let mut saga = forward();
    saga.ask(Ask::Pause).refuses(Ask::Retry("p"), VerbDoesNotFit);
}

#[test]
fn resolve_skip_and_edit_of_an_undo_in_flight() {
    let mut saga = undoing();
    saga.refuses(Ask::Completed("undo a"), AttemptInFlight);
    saga.refuses(Ask::Skip("undo a"), AttemptInFlight);
    saga.refuses(Ask::Edit("undo a", "{}"), AttemptInFlight);
}

#[test]
fn edit_of_an_undo_in_flight_cannot_be_forced() {
    undoing().refuses(forced(Ask::Edit("undo a", "{}")), AttemptInFlight);
}

#[test]
fn resolve_skip_and_edit_of_an_undo_while_its_action_is_in_flight() {
    let mut saga = World::of([step("a"), step("b").fence(Fence::Settle)]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().ask(Ask::Cancel);
    saga.refuses(Ask::Completed("undo b"), AttemptInFlight);
    saga.refuses(Ask::Skip("undo b"), AttemptInFlight);
    saga.refuses(Ask::Edit("undo b", "{}"), AttemptInFlight);
    saga.refuses(forced(Ask::Edit("undo b", "{}")), AttemptInFlight);
}

#[test]
fn an_undo_cannot_be_resolved_as_refused() {
    let mut saga = undoing();
    saga.reply("undo a", transient()).refuses(Ask::Refused("undo a"), VerbDoesNotFit);
}

#[test]
fn an_undo_that_is_not_owed_is_neither_resolved_nor_skipped_nor_edited() {
    for ask in [Ask::Completed("undo a"), Ask::Skip("undo a"), Ask::Edit("undo a", "{}")] {
        forward().refuses(ask.clone(), VerbDoesNotFit);
        let mut saga = undoing();
        saga.reply("undo a", undone()).refuses(ask, VerbDoesNotFit);
    }
    undoing().refuses(Ask::Skip("undo b"), VerbDoesNotFit);
}

#[test]
fn resolve_of_an_open_pivot_or_retriable_step_in_flight_unless_forced() {
    let mut saga = World::of([pivot("p"), retriable("r")]);
    saga.room_for_all();
    for ask in [Ask::Completed("p"), Ask::Refused("p")] {
        saga.refuses(ask, AttemptInFlight);
    }
    saga.ask(forced(Ask::Completed("p"))).room_for_all();
    saga.refuses(Ask::Completed("r"), AttemptInFlight).refuses(Ask::Skip("r"), AttemptInFlight);
    saga.ask(forced(Ask::Completed("r"))).expect("completed: p completed, r completed");
}

#[test]
fn resolve_of_an_overdue_pivot_while_its_attempt_is_younger_than_an_undo_s_time_out() {
    let mut saga = World::of([pivot("p")]);
    // Asked on with the undo policy: the attempt of 73 s is waited for until 103 s.
    saga.run_to(73).expect_attention(["p PivotUnknown"]).tick_to(102);
    saga.refuses(Ask::Completed("p"), AttemptInFlight).tick_to(103).ask(Ask::Completed("p"));
    saga.expect_state(amends_core::saga::State::Completed);
}

#[test]
fn resolve_fits_only_an_open_pivot_a_retriable_step_or_one_without_a_fence() {
    let mut saga = World::of([step("a"), best_effort("m").after(["a"]), step("b").after(["a"])]);
    saga.room_for_all().refuses(forced(Ask::Completed("a")), VerbDoesNotFit);
    saga.reply("a", completed("1")).refuses(Ask::Refused("a"), VerbDoesNotFit).room_for_all();
    saga.refuses(forced(Ask::Completed("m")), VerbDoesNotFit);
    let mut saga = World::of([step("a"), pivot("p")]);
    saga.room_for_all().reply("a", completed("1")).refuses(Ask::Refused("p"), VerbDoesNotFit);
    saga.room_for_all().reply("p", completed("1")).refuses(Ask::Refused("p"), VerbDoesNotFit);
    forward().refuses(forced(Ask::Refused("r")), VerbDoesNotFit);
}

#[test]
fn resolve_of_a_pivot_or_retriable_step_after_the_turn() {
    let mut saga = World::of([step("a"), pivot("p")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("p", not_sent());
    saga.ask(Ask::Cancel).refuses(Ask::Completed("p"), VerbDoesNotFit);
    saga.refuses(Ask::Refused("p"), VerbDoesNotFit);
    let mut saga = World::of([step("a"), retriable("r")]);
    saga.room_for_all().reply("a", completed("1")).ask(Ask::Cancel);
    saga.refuses(Ask::Completed("r"), VerbDoesNotFit);
}

#[test]
fn resolve_comes_once() {
    let mut saga = World::of([step("a").fence(Fence::None).within(10), step("b")]);
    saga.run_to(10).ask(Ask::Completed("a")).refuses(Ask::Refused("a"), VerbDoesNotFit);
    let mut saga = forward();
    saga.ask(forced(Ask::Skip("r"))).refuses(Ask::Completed("r"), VerbDoesNotFit);
    saga.refuses(Ask::Skip("r"), VerbDoesNotFit).refuses(Ask::Retry("r"), VerbDoesNotFit);
    saga.refuses(Ask::Edit("r", "{}"), VerbDoesNotFit);
    saga.refuses(Ask::Extend("r", 9_000), VerbDoesNotFit);
}

#[test]
fn skip_of_an_action_fits_only_a_retriable_step_that_is_not_done() {
    let mut saga = forward();
    saga.refuses(Ask::Skip("a"), VerbDoesNotFit).refuses(Ask::Skip("p"), VerbDoesNotFit);
    saga.refuses(forced(Ask::Skip("m")), VerbDoesNotFit);
    saga.reply("r", completed("1")).refuses(Ask::Skip("r"), VerbDoesNotFit);
    let mut early = World::of([pivot("p"), retriable("r")]);
    early.refuses(Ask::Skip("r"), VerbDoesNotFit);
}

#[test]
fn edit_of_an_action_that_may_have_been_carried_out() {
    let mut saga = forward();
    saga.refuses(Ask::Edit("r", "{}"), AttemptInFlight);
    saga.refuses(forced(Ask::Edit("r", "{}")), VerbDoesNotFit);
    saga.refuses(Ask::Edit("p", "{}"), VerbDoesNotFit);
    saga.run_to(10).refuses(Ask::Edit("r", "{}"), VerbDoesNotFit);
}

#[test]
fn edit_of_an_action_after_the_turn() {
    let mut saga = World::of([step("a").after([]), step("b").after([])]);
    saga.room_for("b").reply("b", refused("NO")).refuses(Ask::Edit("a", "{}"), VerbDoesNotFit);
}

#[test]
fn a_deadline_moves_only_later() {
    let mut saga = World::within(100, [step("a")]);
    saga.room_for_all();
    for secs in [0, 59, 60] {
        saga.refuses(Ask::Extend("a", secs), NotLater);
    }
    saga.refuses(Ask::ExtendSaga(100), NotLater).refuses(Ask::ExtendSaga(0), NotLater);
    let mut saga = World::of([step("a")]);
    saga.tick_to(200).refuses(Ask::Extend("a", 150), NotLater).ask(Ask::Extend("a", 201));
}

#[test]
fn a_deadline_that_is_not_there_or_is_over_is_not_extended() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.refuses(Ask::ExtendSaga(100), VerbDoesNotFit).refuses(Ask::Extend("b", 100), NoSuchStep);
    saga.room_for_all().reply("a", completed("1"));
    saga.refuses(Ask::Extend("a", 100), VerbDoesNotFit);
    let mut saga = World::within(100, [step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).ask(Ask::Cancel);
    saga.refuses(Ask::ExtendSaga(1_000), VerbDoesNotFit);
}

#[test]
fn acknowledge_fits_only_what_is_contradicted() {
    let mut saga = World::of([pivot("p")]);
    saga.run_to(60).expect_attention(["p PivotUnknown"]);
    saga.refuses(Ask::Acknowledge("p"), VerbDoesNotFit).expect_attention(["p PivotUnknown"]);
}

#[test]
fn a_verb_about_a_step_or_run_that_is_not_there() {
    let mut saga = World::of([step("a"), signal("s")]);
    saga.room_for_all();
    let nowhere = RunRef::only(StepIx(9));
    let beyond = RunRef { step: StepIx(0), run: 7 };
    for run in [nowhere, beyond] {
        for direction in [Direction::Action, Direction::Compensation] {
            let resolution = amends_core::input::Resolution::Refused;
            let (body, force, later) = ("{}".into(), true, Time(u64::MAX));
            for verb in [
                Verb::Retry { run, direction },
                Verb::Resolve { run, direction, resolution, force },
                Verb::Skip { run, direction, force },
                Verb::Edit { run, direction, body, force },
                Verb::Extend { run: Some(run), deadline: later },
                Verb::Acknowledge { run },
            ] {
                let told = saga.give(Input::Verb { verb: verb.clone(), act: act() });
                assert!(told.is_err(), "{verb:?}");
            }
        }
    }
}
