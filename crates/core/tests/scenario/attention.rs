//! What a person is told, and that it goes when its cause goes.

use amends_core::definition::Fence;
use amends_core::input::Evaluation;
use amends_core::saga::State;

use crate::shapes::{best_effort, pivot, retriable, step};
use crate::world::*;

fn undoing() -> World {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga
}

#[test]
fn an_undo_without_an_acknowledgement_for_a_minute_is_slow() {
    let mut saga = undoing();
    saga.run_to(59).expect_attention([]).run_to(60).expect_attention(["undo a UndoSlow"]);
    saga.reply("undo a", undone()).expect_attention([]).expect_state(State::Failed);
}

#[test]
fn an_undo_that_waits_for_room_is_not_slow_since_it_was_never_sent() {
    let mut saga = undoing();
    saga.tick_to(600).expect_attention([]);
}

#[test]
fn a_dead_letter_is_told_instead_of_a_slow_undo_and_poison_instead_of_a_dead_letter() {
    let mut saga = undoing();
    saga.run_to(60).expect_attention(["undo a UndoSlow"]).run_to(93);
    saga.expect_attention(["undo a CompensationFailed"]).run_to(1_000);
    saga.expect_attention(["undo a Poison"]).reply("undo a", undone()).expect_attention([]);
}

#[test]
fn the_first_answer_that_breaks_the_protocol_is_told_until_a_proper_one_comes() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", off_contract()).expect_attention(["a Contract"]);
    saga.run_to(1).reply("a", off_contract()).expect_attention(["a Contract"]).run_to(3);
    saga.reply("a", transient()).expect_attention([]).run_to(7).reply("a", off_contract());
    saga.expect_attention(["a Contract"]).run_to(15).reply("a", completed("1"));
    saga.expect_attention([]);
}

#[test]
fn accepted_and_refused_are_proper_answers_too() {
    for says in [accepted(), refused("NO")] {
        let mut saga = World::of([step("a"), pivot("p")]);
        saga.room_for_all().reply("a", completed("1")).room_for_all().reply("p", off_contract());
        saga.expect_attention(["p Contract"]).run_to(1).reply("p", says).expect_attention([]);
    }
}

#[test]
fn an_undo_that_is_answered_off_the_contract_is_told() {
    let mut saga = undoing();
    saga.room_for_all().reply("undo a", off_contract()).expect_attention(["undo a Contract"]);
    saga.run_to(1).reply("undo a", transient()).expect_attention([]).run_to(3);
    saga.reply("undo a", off_contract())
        .expect_attention(["undo a CompensationFailed", "undo a Contract"]);
    saga.run_to(13).reply("undo a", undone()).expect_attention([]);
}

#[test]
fn what_the_action_broke_is_not_told_of_its_undo() {
    let mut saga = World::of([step("a").fence(Fence::Barrier).max_attempts(1)]);
    saga.room_for_all().reply("a", off_contract()).expect_state(State::Compensating);
    saga.room_for_all().expect_sent(["a", "undo a"]).expect_attention([]);
    saga.reply("undo a", off_contract()).expect_attention(["undo a Contract"]);
}

#[test]
fn a_command_without_a_binding_is_told_until_it_is_sent() {
    let mut saga = World::of([step("a")]);
    saga.unbound("a").expect_attention(["a UnboundService"]).unbound("a");
    saga.room_for_all().expect_attention([]);
}

#[test]
fn an_undo_without_a_binding_is_told_also_before_its_first_sending() {
    let mut saga = undoing();
    saga.unbound("a").expect_attention(["undo a UnboundService"]).room_for_all();
    saga.expect_attention([]).reply("undo a", transient()).tick_to(1).unbound("a");
    saga.expect_attention(["undo a UnboundService"]).room_for_all().expect_attention([]);
}

#[test]
fn a_step_asked_on_after_the_turn_without_a_binding_is_told_as_an_action() {
    let mut saga = World::of([step("a").fence(Fence::Settle)]);
    saga.room_for_all().ask(Ask::Cancel).tick_to(11).unbound("a");
    saga.expect_attention(["a UnboundService"]).room_for_all().expect_attention([]);
}

#[test]
fn what_nobody_owes_is_not_unbound() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all();
    let (run, _) = saga.target("a");
    let told = saga.give(amends_core::Input::Unbound { run });
    assert_eq!(told, Err(amends_core::Refusal::NotOwed));
}

#[test]
fn attention_about_an_action_goes_with_the_end_of_the_saga() {
    let mut saga = World::of([step("a"), best_effort("m").after(["a"]), step("b").after(["a"])]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("m", off_contract());
    saga.expect_attention(["m Contract"]).reply("b", refused("NO")).room_for_all();
    saga.reply("undo a", undone()).expect_state(State::Failed).expect_attention([]);
}

#[test]
fn attention_says_since_when() {
    let mut saga = World::of([pivot("p")]);
    saga.run_to(60).run_to(600);
    let since: Vec<_> = saga.saga.attention.iter().map(|a| a.since).collect();
    assert_eq!(since, [amends_core::Time(1_060_000)]);
}

#[test]
fn a_slow_retriable_step_is_told_once_however_often_it_is_refused() {
    let mut saga = World::of([pivot("p"), retriable("r").fence(Fence::Barrier)]);
    saga.room_for_all().reply("p", completed("1")).run_to(60);
    saga.expect_attention(["r RetriableSlow"]);
    let since = saga.saga.attention[0].since;
    saga.event("r", refused("NO")).run_to(200).reply("r", refused("NO")).run_to(300);
    saga.expect_attention(["r RetriableSlow", "r RefusedAfterPivot"]);
    assert_eq!(saga.saga.attention[0].since, since);
}

#[test]
fn a_failed_expression_is_nobody_s_once_the_saga_has_turned() {
    let mut saga =
        World::of([step("a"), retriable("r").after(["a"]), retriable("s").input().after(["a"])]);
    saga.room_for_all().reply("a", completed("1")).room_for_all();
    saga.evaluated("s", Evaluation::Failed(fault("NO"))).expect_attention(["s Expression"]);
    saga.reply("r", refused("NO")).ask(Ask::Cancel).expect_attention([]).room_for_all();
    saga.reply("undo a", undone()).expect("failed: a compensated, r failed, s pending");
    saga.expect_attention([]);
}
