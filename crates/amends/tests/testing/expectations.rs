//! What a test's author reads when an expectation does not come.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use amends::testing::{Decision, Rehearsal, completed, done, not_now, refused};
use amends::{Fence, Saga};
use serde_json::json;

fn order() -> Saga {
    Saga::named("Order")
        .service("Stock", Fence::Barrier)
        .service("Bank", Fence::Barrier)
        .step("reserve", |s| s.action("Stock.Reserve").compensation("Stock.Release"))
        .step("pay", |s| s.action("Bank.Charge").compensation("Bank.Refund"))
}

/// The words of the panic, and that it holds all of these.
#[track_caller]
fn panics(test: impl FnOnce(), expected: &[&str]) {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it must panic");
    let words = panic.downcast_ref::<String>().expect("words");
    for part in expected {
        assert!(words.contains(part), "{part:?} is not in:\n{words}");
    }
}

#[test]
fn another_command_is_named_with_the_story_so_far() {
    let test = || {
        let _ = Rehearsal::of(order())
            .given(json!({"amount": 3}))
            .expect_command("Stock.Reserve")
            .answer(not_now())
            .expect_command("Stock.Reserve")
            .answer(completed(json!({"id": 7})))
            .expect_command("Mail.Send");
    };
    panics(
        test,
        &[
            "expected the command Mail.Send, but Bank.Charge was sent",
            "  given {\"amount\":3}\n  → Stock.Reserve (reserve)\n  ← Stock.Reserve: not now\n",
            "→ Stock.Reserve (reserve, attempt 2)\n  ← Stock.Reserve: completed {\"id\":7}\n",
        ],
    );
}

#[test]
fn an_end_that_does_not_come_is_told_by_where_the_saga_stands() {
    let test = || {
        Rehearsal::of(order()).given(json!({})).answer_all(|_| done()).expect_rolled_back();
    };
    panics(test, &["expected the saga failed, rolled back, but the saga is completed"]);
    let test = || {
        Rehearsal::of(order()).given(json!({})).expect_completed();
    };
    panics(test, &["but Stock.Reserve was sent, and nobody expected it"]);
    let test = || {
        let _ = Rehearsal::of(order())
            .given(json!({}))
            .answer_all(|_| refused("NO"))
            .expect_command("X.Y");
    };
    panics(test, &["expected the command X.Y, but the saga is failed"]);
}

#[test]
fn an_undo_that_is_never_acknowledged_needs_a_person() {
    let view = Rehearsal::of(order())
        .given(json!({}))
        .expect_command("Stock.Reserve")
        .answer(done())
        .expect_command("Bank.Charge")
        .answer(refused("LIMIT"))
        .answer_all(|_| not_now())
        .expect_attention();
    assert!(!view.state().ended());
}

#[test]
fn time_that_passes_is_part_of_the_story() {
    let test = || {
        Rehearsal::of(order())
            .given(json!({}))
            .expect_command("Stock.Reserve")
            .times_out()
            .after(Duration::from_secs(5))
            .expect_completed();
    };
    panics(test, &["← Stock.Reserve: nothing", "nobody expected it"]);
}

#[test]
fn what_is_ill_formed_is_told_before_anything_runs() {
    let twice = || order().step("pay", |s| s.action("Bank.Charge").compensation("Bank.Refund"));
    panics(|| drop(Rehearsal::of(twice())), &["pay"]);
    panics(|| drop(Rehearsal::of_file("saga: S\nsteps: []\n")), &["error"]);
    let unfenced = Saga::named("S").step("a", |s| s.action("X.A").reads_only());
    panics(|| drop(Rehearsal::of(unfenced).given(json!({}))), &["the fence of X is not said"]);
}

#[test]
fn a_decision_that_is_another_is_told_with_what_is_owed() {
    let test = || {
        let _ = Decision::of(order(), json!({}))
            .when("reserve", done())
            .expect_commands(["Stock.Release"]);
    };
    panics(test, &["expected [\"Stock.Release\"] to be owed, but [\"Bank.Charge\"] are"]);
    let test = || drop(Decision::of(order(), json!({})).when("pay", done()));
    panics(test, &["pay was not asked", "→ Stock.Reserve"]);
}

#[tokio::test]
async fn it_may_be_used_in_an_asynchronous_test() {
    Rehearsal::of(order()).given(json!({})).answer_all(|_| done()).expect_completed();
}
