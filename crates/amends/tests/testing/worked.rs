//! The definitions of the examples, tested with the language as their authors would.

use std::time::Duration;

use amends::testing::{
    Command, Decision, Rehearsal, accepted, completed, done, not_now, refused, undone, unknown,
};
use serde_json::{Value, json};

const ORDER: &str = include_str!("../../../../examples/order/order.yaml");
const TRANSFER: &str = include_str!("../../../../examples/bank/transfer.yaml");
const APPROVAL: &str = include_str!("../../../../examples/approval/approval.yaml");
const TRAVEL: &str = include_str!("../../../../examples/travel/travel.yaml");

fn order() -> Value {
    json!({"order_id": "o-1", "customer_id": "c-1", "total": 4200})
}

fn trip() -> Value {
    json!({"trip_id": "t-1", "rooms": [{"kind": "double"}, {"kind": "single"}], "car": {}})
}

fn expense() -> Value {
    json!({"expense_id": "e-1", "department": "research", "employee": "me", "amount": 180})
}

#[test]
fn a_declined_card_gives_the_stock_back() {
    Rehearsal::of_file(ORDER)
        .given(order())
        .expect_command("InventoryService.ReserveItems")
        .carrying(|data| assert_eq!(data["order_id"], "o-1"))
        .answer(completed(json!({"reservation_id": "r-1"})))
        .expect_command("PaymentService.ProcessPayment")
        .answer(refused("CARD_DECLINED"))
        .expect_command("InventoryService.ReleaseReservation")
        .checked(|undo| assert_eq!(undo.body()["original_result"]["reservation_id"], "r-1"))
        .answer(undone())
        .expect_rolled_back();
}

#[test]
fn a_failure_at_every_step_of_every_definition_is_rolled_back() {
    for (file, data) in [(ORDER, order()), (TRAVEL, trip())] {
        let steps = Rehearsal::of_file(file).steps();
        assert!(!steps.is_empty());
        for step in steps {
            let view = Rehearsal::of_file(file)
                .given(data.clone())
                .answer_all(|command: &Command| match command.is_action_of(&step) {
                    true => refused("NO"),
                    false => done(),
                })
                .expect_rolled_back();
            assert!(view.error(&step).is_some() || step == "book_hotel", "{step}");
        }
    }
}

#[test]
fn an_answer_lost_at_every_step_is_asked_for_again_under_the_same_key() {
    for step in Rehearsal::of_file(ORDER).steps() {
        let mut keys = Vec::new();
        Rehearsal::of_file(ORDER)
            .given(order())
            .answer_all(|command: &Command| {
                if !command.is_action_of(&step) {
                    return done();
                }
                keys.push(command.idempotency_key());
                if command.attempt() == 1 { unknown() } else { done() }
            })
            .expect_completed();
        assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    }
}

#[test]
fn runs_side_by_side_may_be_answered_in_any_order() {
    let data = json!({"trip_id": "t-1", "rooms": [{"kind": "double"}]});
    Rehearsal::of_file(TRAVEL)
        .given(data)
        .expect_command("FlightService.BookSeats")
        .answer(completed(json!({"seat": 3})))
        .expect_command("HotelService.BookRoom")
        .checked(|command| assert_eq!(command.step(), "book_hotel.0"))
        .carrying(|data| assert_eq!(data["room"]["kind"], "double"))
        .answer(done())
        .expect_completed();
}

#[test]
fn an_expense_that_nobody_approves_is_released_after_three_days() {
    let day = Duration::from_secs(24 * 3600);
    Rehearsal::of_file(APPROVAL)
        .given(expense())
        .expect_command("BudgetService.ReserveBudget")
        .answer(done())
        .after(2 * day)
        .expect_no_command()
        .expect_command("BudgetService.ReleaseBudget")
        .answer(undone())
        .expect_rolled_back();
}

#[test]
fn an_approved_expense_cannot_be_cancelled_once_it_is_paid() {
    Rehearsal::of_file(APPROVAL)
        .given(expense())
        .expect_command("BudgetService.ReserveBudget")
        .answer(done())
        .signal("approval", json!({"approved": true}))
        .expect_command("ReimbursementService.PayExpense")
        .answer(done())
        .expect_too_late_to_cancel()
        .expect_command("BudgetService.BookExpense")
        .answer(not_now())
        .expect_command("BudgetService.BookExpense")
        .answer(done())
        .expect_command("NotificationService.SendReimbursementNotice")
        .answer(refused("MAILBOX_FULL"))
        .expect_completed();
}

#[test]
fn a_payout_without_an_answer_waits_for_a_person_and_never_turns() {
    let view = Rehearsal::of_file(APPROVAL)
        .given(expense())
        .expect_command("BudgetService.ReserveBudget")
        .answer(done())
        .signal("approval", json!({"approved": true}))
        .play("ReimbursementService.PayExpense", |paying| paying.answer(unknown()))
        .view();
    assert!(view.needs_attention() && !view.state().ended());
}

#[test]
fn a_cancelled_transfer_is_undone_when_its_answer_comes_later() {
    let data = json!({
        "transfer_id": "t-1", "source_account": "a", "destination_account": "b", "amount": 5,
    });
    Rehearsal::of_file(TRANSFER)
        .given(data)
        .expect_command("AccountService.DebitAccount")
        .answer(accepted())
        .late_answer("AccountService.DebitAccount", done())
        .cancel("a mistake")
        .answer_all(|_| done())
        .expect_rolled_back();
}

#[test]
fn the_machine_alone_says_what_follows() {
    let checked = amends_definition::check(
        TRAVEL.as_bytes(),
        "travel.yaml",
        &amends_definition::Surroundings::none(),
    );
    let travel = || checked.compiled.clone().unwrap();
    Decision::of_compiled(travel(), &trip()).expect_commands([
        "HotelService.BookRoom",
        "HotelService.BookRoom",
        "FlightService.BookSeats",
        "CarService.RentCar",
    ]);
    Decision::of_compiled(travel(), &trip())
        .given("book_hotel.0", done())
        .given("book_car", done())
        .when("book_flight", refused("FLIGHT_FULL"))
        .expect_commands([
            "HotelService.CancelRoom",
            "HotelService.CancelRoom",
            "CarService.ReturnCar",
        ]);
    Decision::of_compiled(travel(), &trip()).when_nothing_is_answered().expect_commands([
        "HotelService.CancelRoom",
        "HotelService.CancelRoom",
        "FlightService.CancelSeats",
        "CarService.ReturnCar",
    ]);
}
