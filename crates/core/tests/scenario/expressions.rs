//! Expressions are evaluated outside, once, and come in as facts.

use amends_core::definition::RUNS_MAX;
use amends_core::event::NewRound;
use amends_core::input::{Evaluation, Input};
use amends_core::saga::State;
use amends_core::{Event, Refusal, effects};

use crate::shapes::{best_effort, pivot, reads, retriable, signal, step};
use crate::world::*;

#[test]
fn a_step_with_expressions_is_ready_once_they_are_evaluated_and_not_before_its_ancestors() {
    let mut saga = World::of([step("a"), step("b").input()]);
    assert!(effects::evaluations(&saga.def, &saga.saga).is_empty(), "a is not done");
    saga.room_for_all().reply("a", completed("1")).room_for_all().expect_sent(["a"]);
    let b = saga.target("b").0.step;
    assert_eq!(effects::evaluations(&saga.def, &saga.saga), [b]);
    saga.evaluated("b", Evaluation::Inputs(vec![Some("{\"x\":1}".into())]));
    assert!(effects::evaluations(&saga.def, &saga.saga).is_empty(), "once");
    assert_eq!(saga.step("b").input, Some("{\"x\":1}".into()));
    saga.room_for_all().expect_sent(["b"]);
}

#[test]
fn a_false_condition_skips_the_step_and_the_saga_goes_on() {
    let mut saga = World::of([step("a").when(), step("b")]);
    saga.evaluated("a", Evaluation::Skip).expect("started: a skipped, b pending");
    saga.room_for_all().expect_sent(["b"]).reply("b", completed("1"));
    saga.expect("completed: a skipped, b completed").expect_exceptions([]);
}

#[test]
fn a_true_condition_without_input_carries_the_saga_s_data() {
    let mut saga = World::of([step("a").when()]);
    saga.evaluated("a", Evaluation::Data).room_for_all().expect_sent(["a"]);
    assert_eq!(saga.step("a").input, None);
}

#[test]
fn a_skipped_step_is_not_undone() {
    let mut saga = World::of([step("a").when(), step("b")]);
    saga.evaluated("a", Evaluation::Skip).room_for_all().reply("b", refused("NO"));
    saga.expect("failed: a skipped, b failed");
}

#[test]
fn the_runs_of_a_for_each_step_go_side_by_side_and_it_is_done_when_all_are() {
    let mut saga = World::of([reads("a").for_each(), step("b")]);
    saga.evaluated("a", Evaluation::Inputs(vec![Some("1".into()), Some("2".into())]));
    saga.room_for_all().expect_sent(["a.0", "a.1"]).reply("a.1", completed("y"));
    saga.expect("pending: a.0 executing, a.1 completed, b pending").reply("a.0", completed("x"));
    saga.room_for_all().expect_sent(["b"]);
}

#[test]
fn one_run_of_a_for_each_step_is_still_numbered() {
    let mut saga = World::of([step("a").for_each()]);
    saga.evaluated("a", Evaluation::Inputs(vec![None])).room_for_all().expect_sent(["a.0"]);
}

#[test]
fn an_empty_list_is_skipped() {
    let mut saga = World::of([step("a").for_each(), step("b")]);
    saga.evaluated("a", Evaluation::Inputs(vec![])).expect("started: a skipped, b pending");
}

#[test]
fn a_list_that_is_too_long_fails_the_step_instead_of_the_engine() {
    let mut saga = World::of([step("a").for_each()]);
    saga.evaluated("a", Evaluation::Inputs(vec![None; RUNS_MAX])).expect_state(State::Started);
    for len in [RUNS_MAX + 1, 300] {
        let mut saga = World::of([step("a").for_each()]);
        saga.evaluated("a", Evaluation::Inputs(vec![None; len])).expect("failed: a failed");
    }
}

#[test]
fn an_expression_that_fails_before_the_point_of_no_return_fails_the_step() {
    let mut saga = World::of([step("a"), step("b").input()]);
    saga.room_for_all().reply("a", completed("1"));
    saga.evaluated("b", Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("compensating: a completed, b failed");
    assert_eq!(saga.step("b").error, Some(fault("EXPRESSION")));
}

#[test]
fn an_expression_of_a_best_effort_step_that_fails_does_not_matter() {
    let mut saga = World::of([best_effort("m").input(), step("a")]);
    saga.evaluated("m", Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("pending: m failed, a pending").room_for_all().reply("a", completed("1"));
    saga.expect("completed: m failed, a completed");
}

/// The pivot is done and the expression of `r` has failed.
fn failed_after_pivot() -> World {
    let mut saga = World::of([pivot("p"), retriable("r").input()]);
    saga.room_for_all().reply("p", completed("1")).sent_clear();
    saga.evaluated("r", Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("pending: p completed, r pending").expect_attention(["r Expression"]);
    saga
}

#[test]
fn an_expression_that_fails_after_the_point_of_no_return_is_a_person_s() {
    failed_after_pivot().run_to(86_400).expect_sent([]).expect_attention(["r Expression"]);
}

#[test]
fn it_is_mended_by_an_edit_which_is_no_exception_and_is_on_record() {
    let mut saga = failed_after_pivot();
    saga.ask(Ask::Edit("r", "{\"fixed\":1}")).expect_attention([]);
    let asked = saga.step("r").action.as_ref().expect("its first round is opened");
    assert_eq!((asked.round, asked.body.clone()), (1, Some("{\"fixed\":1}".into())));
    let edited = |event: &Event| matches!(event, Event::RoundOpened { why: NewRound::Edited { act: by, .. }, .. } if *by == act());
    assert!(saga.history.iter().any(|(_, event)| edited(event)), "who, and why");
    saga.room_for_all();
    saga.expect_sent(["r"]).reply("r", completed("2"));
    saga.expect("completed: p completed, r completed").expect_exceptions([]);
}

#[test]
fn it_is_mended_by_a_skip() {
    let mut saga = failed_after_pivot();
    saga.ask(Ask::Skip("r")).expect("completed: p completed, r skipped").expect_attention([]);
    saga.expect_exceptions(["r Skipped"]);
}

#[test]
fn without_a_pivot_and_before_anything_was_sent_a_failing_retriable_step_turns_the_saga() {
    let mut saga = World::of([step("a"), retriable("r").input()]);
    saga.room_for_all().reply("a", completed("1"));
    saga.evaluated("r", Evaluation::Failed(fault("EXPRESSION")));
    saga.expect("compensating: a completed, r failed");
}

#[test]
fn nothing_is_evaluated_after_the_turn_the_end_or_in_a_pause() {
    let mut saga = World::of([step("a").input(), step("b")]);
    saga.ask(Ask::Pause);
    assert!(effects::evaluations(&saga.def, &saga.saga).is_empty());
    let step = saga.target("a").0.step;
    let told = saga.give(Input::Evaluated { step, value: Evaluation::Data });
    assert_eq!(told, Err(Refusal::NotOwed));
    saga.ask(Ask::Resume).ask(Ask::Cancel).expect("failed: a pending, b pending");
    let told = saga.give(Input::Evaluated { step, value: Evaluation::Data });
    assert_eq!(told, Err(Refusal::NotOwed));
}

#[test]
fn a_value_that_does_not_fit_the_step_is_refused() {
    let judged = Evaluation::Judged { refused: true };
    let mut saga = World::of([step("a").input(), signal("s").judged(), pivot("p").input()]);
    let refused = |saga: &mut World, name: &str, value: Evaluation| {
        let step = saga.target(name).0.step;
        let told = saga.give(Input::Evaluated { step, value: value.clone() });
        assert_eq!(told, Err(Refusal::NotOwed), "{name}: {value:?}");
    };
    refused(&mut saga, "a", judged);
    refused(&mut saga, "a", Evaluation::Judged { refused: false });
    refused(&mut saga, "a", Evaluation::Skip);
    refused(&mut saga, "a", Evaluation::Inputs(vec![]));
    refused(&mut saga, "a", Evaluation::Inputs(vec![None, None]));
    saga.evaluated("a", Evaluation::Data).room_for_all().reply("a", completed("1"));
    saga.signal("s", "{}");
    for value in [Evaluation::Skip, Evaluation::Data, Evaluation::Inputs(vec![None])] {
        refused(&mut saga, "s", value);
    }
}
