//! What each service does for a living: its rules, as pure functions from a command to what it
//! moves and answers.
//!
//! Everything a service has is a *holding*, a name and an amount: the pieces of an article, the
//! cents of an account, the rooms of a kind. An action moves amounts; its undo moves them back. So
//! one ledger fits all, and its sums can be checked.

use serde_json::{Value, json};

use crate::command::{Command, Direction};
use crate::service::Service;

/// A definite "no" of the business.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// What an action comes to when the holdings allow it.
#[derive(Debug, PartialEq)]
pub(crate) struct Work {
    /// The step's result.
    pub(crate) result: Value,
    /// Amounts added to holdings; a negative one is refused when the holding has less.
    pub(crate) moves: Vec<(String, i64)>,
    /// The code of that refusal.
    pub(crate) short: &'static str,
}

/// Does this service know the command, as this direction?
pub(crate) fn knows(service: Service, name: &str, direction: Direction) -> bool {
    commands(service).contains(&(name, direction))
}

/// The commands of a service. One name may serve both directions.
fn commands(service: Service) -> &'static [(&'static str, Direction)] {
    use Direction::{Action, Compensation};
    match service {
        Service::Inventory => &[("ReserveItems", Action), ("ReleaseReservation", Compensation)],
        Service::Payment => &[("ProcessPayment", Action), ("RefundPayment", Compensation)],
        Service::Shipping => &[("CreateShipment", Action), ("CancelShipment", Compensation)],
        Service::Notification => &[
            ("SendOrderConfirmation", Action),
            ("SendCancellationNotice", Compensation),
            ("SendTransferConfirmation", Action),
            ("SendTransferFailureNotice", Compensation),
            ("SendReimbursementNotice", Action),
        ],
        Service::Accounts => &[
            ("DebitAccount", Action),
            ("CreditAccount", Compensation),
            ("CreditDestinationAccount", Action),
            ("DebitAccount", Compensation),
        ],
        Service::Ledger => &[("CreateTransfer", Action), ("VoidTransfer", Compensation)],
        Service::Budget => {
            &[("ReserveBudget", Action), ("ReleaseBudget", Compensation), ("BookExpense", Action)]
        }
        Service::Reimbursement => &[("PayExpense", Action)],
        Service::Hotel => &[("BookRoom", Action), ("CancelRoom", Compensation)],
        Service::Flight => &[("BookSeats", Action), ("CancelSeats", Compensation)],
        Service::Car => &[("RentCar", Action), ("ReturnCar", Compensation)],
    }
}

/// Enough of everything for any load, so that a refusal is always meant.
const PLENTY: i64 = 1_000_000_000;

/// What an account and a budget open with, in cents: little enough to overdraw by an amount.
const OPENING_CENTS: i64 = 1_000_000;

/// What a holding starts with when it is first touched.
pub(crate) fn opening(service: Service, holding: &str) -> i64 {
    match (service, holding) {
        (_, "OUT_OF_STOCK" | "penthouse" | "FULL" | "limousine" | "account-empty") => 0,
        (Service::Accounts | Service::Budget, _) => OPENING_CENTS,
        _ => PLENTY,
    }
}

/// What the action comes to, by its data alone.
pub(crate) fn action(command: &Command) -> Result<Work, Refusal> {
    match command.name.as_str() {
        "ReserveItems" => reserve_items(command),
        "ProcessPayment" => process_payment(command),
        "CreateShipment" => create_shipment(command),
        "SendOrderConfirmation" => send_letter(command, "customer_id"),
        "SendTransferConfirmation" => send_letter(command, "source_account"),
        "SendReimbursementNotice" => send_letter(command, "employee"),
        "DebitAccount" => move_money(command, "source_account", -1),
        "CreditDestinationAccount" => move_money(command, "destination_account", 1),
        "CreateTransfer" => Ok(record(command, "transfer")),
        "ReserveBudget" => reserve_budget(command),
        "BookExpense" => Ok(record(command, "booking")),
        "PayExpense" => pay_expense(command),
        "BookRoom" => book(command, "room", "kind", "NO_ROOM"),
        "BookSeats" => book(command, "flight", "number", "FLIGHT_FULL"),
        "RentCar" => book(command, "car", "class", "NO_CAR"),
        other => refuse("UNKNOWN_COMMAND", format!("nobody here knows {other}")),
    }
}

fn reserve_items(command: &Command) -> Result<Work, Refusal> {
    let Some(items) = command.field("items").and_then(Value::as_array).filter(|i| !i.is_empty())
    else {
        return refuse("NO_ITEMS", "the order has no items");
    };
    let mut moves = Vec::with_capacity(items.len());
    for item in items {
        let Some(sku) = item["sku"].as_str() else {
            return refuse("BAD_ITEM", "an item has no sku");
        };
        let quantity = amount(item.get("quantity"), 1)?;
        moves.push((sku.to_owned(), -quantity));
    }
    let result = json!({"reservation_id": id(command, "reservation")});
    Ok(Work { result, moves, short: "OUT_OF_STOCK" })
}

fn process_payment(command: &Command) -> Result<Work, Refusal> {
    let total = amount(command.field("total"), 0)?;
    match text(command, "payment_method")? {
        "card_declined" => refuse("CARD_DECLINED", "the bank declines the card"),
        _ => {
            let result = json!({"payment_id": id(command, "payment"), "amount": total});
            Ok(Work { result, moves: vec![("till".to_owned(), total)], short: "" })
        }
    }
}

fn create_shipment(command: &Command) -> Result<Work, Refusal> {
    match text(command, "shipping_address")? {
        "1 Nowhere Lane" => refuse("ADDRESS_UNKNOWN", "the carrier does not find 1 Nowhere Lane"),
        _ => Ok(Work {
            result: json!({"tracking_number": id(command, "track")}),
            moves: vec![("parcels".to_owned(), 1)],
            short: "",
        }),
    }
}

fn send_letter(command: &Command, to: &str) -> Result<Work, Refusal> {
    match text(command, to)? {
        "mailbox_full" => refuse("MAILBOX_REFUSED", "the mailbox takes nothing"),
        _ => Ok(record(command, "letter")),
    }
}

fn move_money(command: &Command, account: &str, sign: i64) -> Result<Work, Refusal> {
    let name = text(command, account)?;
    if name == "account-closed" {
        return refuse("ACCOUNT_CLOSED", "account-closed takes and gives no money");
    }
    let cents = amount(command.field("amount"), 0)?;
    Ok(Work {
        result: json!({"booking_id": id(command, "booking"), "amount": cents}),
        moves: vec![(name.to_owned(), sign * cents)],
        short: "INSUFFICIENT_FUNDS",
    })
}

fn reserve_budget(command: &Command) -> Result<Work, Refusal> {
    let cents = amount(command.field("amount"), 0)?;
    let moves = vec![(text(command, "department")?.to_owned(), -cents)];
    let result = json!({"reservation_id": id(command, "budget")});
    Ok(Work { result, moves, short: "BUDGET_EXCEEDED" })
}

fn pay_expense(command: &Command) -> Result<Work, Refusal> {
    match text(command, "employee")? {
        "account-closed" => refuse("ACCOUNT_CLOSED", "the employee's account is closed"),
        employee => Ok(Work {
            result: json!({"payment_id": id(command, "payment")}),
            moves: vec![(employee.to_owned(), amount(command.field("amount"), 0)?)],
            short: "",
        }),
    }
}

/// One or more (`seats`) of a kind, of what a trip needs.
fn book(command: &Command, what: &str, kind: &str, short: &'static str) -> Result<Work, Refusal> {
    let asked = command.field(what).unwrap_or(&Value::Null);
    let Some(kind) = asked[kind].as_str() else {
        return refuse("BAD_BOOKING", format!("the trip's {what} has no {kind}"));
    };
    let number = amount(asked.get("seats"), 1)?;
    let result = json!({"booking_id": id(command, what)});
    Ok(Work { result, moves: vec![(kind.to_owned(), -number)], short })
}

/// Something written down that moves nothing.
fn record(command: &Command, what: &str) -> Work {
    let result = json!({format!("{what}_id"): id(command, what)});
    Work { result, moves: Vec::new(), short: "" }
}

fn text<'a>(command: &'a Command, field: &str) -> Result<&'a str, Refusal> {
    match command.field(field).and_then(Value::as_str).filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => refuse("INCOMPLETE", format!("the data has no {field}")),
    }
}

/// A whole number from 0 up to what any holding may reach; `unsaid` when there is none.
fn amount(value: Option<&Value>, unsaid: i64) -> Result<i64, Refusal> {
    let Some(value) = value else { return Ok(unsaid) };
    match value.as_i64() {
        Some(number) if (0..=PLENTY).contains(&number) => Ok(number),
        _ => refuse("BAD_AMOUNT", format!("{value} is not a whole number from 0 to {PLENTY}")),
    }
}

/// The name of what an action makes: the same at every repeat, one for each run of a step.
fn id(command: &Command, what: &str) -> String {
    match command.step.split_once('.') {
        Some((_, run)) => format!("{what}-{}-{run}", command.saga_id),
        None => format!("{what}-{}", command.saga_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::command;
    use crate::service::Worked;

    fn refused_with(name: &str, worked: Worked, field: &str, value: Value) -> &'static str {
        let mut data = worked.sample(1);
        data[field] = value;
        action(&command("s", "step", name, false, data)).unwrap_err().code
    }

    #[test]
    fn values_in_the_data_make_a_service_refuse_as_a_business_does() {
        let order = Worked::Order;
        let check = |name, worked, field, value, code| {
            assert_eq!(refused_with(name, worked, field, value), code);
        };
        check("ReserveItems", order, "items", json!([]), "NO_ITEMS");
        check("ReserveItems", order, "items", json!([{"sku": "a", "quantity": -1}]), "BAD_AMOUNT");
        check("ProcessPayment", order, "payment_method", json!("card_declined"), "CARD_DECLINED");
        check("ProcessPayment", order, "payment_method", json!(null), "INCOMPLETE");
        let nowhere = json!("1 Nowhere Lane");
        check("CreateShipment", order, "shipping_address", nowhere, "ADDRESS_UNKNOWN");
        let full = json!("mailbox_full");
        check("SendOrderConfirmation", order, "customer_id", full, "MAILBOX_REFUSED");
        let closed = || json!("account-closed");
        let credit = "CreditDestinationAccount";
        check(credit, Worked::Bank, "destination_account", closed(), "ACCOUNT_CLOSED");
        check("PayExpense", Worked::Approval, "employee", closed(), "ACCOUNT_CLOSED");
        check("RentCar", Worked::Travel, "car", json!(true), "BAD_BOOKING");
    }

    #[test]
    fn what_is_taken_and_given_is_said_by_the_moves() {
        let bank =
            |name| action(&command("s", "step", name, false, Worked::Bank.sample(3))).unwrap();
        assert_eq!(bank("DebitAccount").moves, [("account-6".to_owned(), -2500)]);
        assert_eq!(bank("CreditDestinationAccount").moves, [("account-7".to_owned(), 2500)]);
        let seats =
            action(&command("s", "f", "BookSeats", false, Worked::Travel.sample(1))).unwrap();
        assert_eq!(seats.moves, [("AM 204".to_owned(), -3)]);
    }

    #[test]
    fn every_command_of_the_definition_files_is_known() {
        for worked in Worked::ALL {
            for line in worked.definition().lines().map(str::trim) {
                let (direction, command) = match line.split_once(": ") {
                    Some(("action", command)) => (Direction::Action, command),
                    Some(("compensation", command)) => (Direction::Compensation, command),
                    _ => continue,
                };
                let (service, name) = command.split_once('.').unwrap();
                let found = worked.services().iter().find(|s| s.in_definitions() == service);
                assert!(knows(*found.unwrap(), name, direction), "{line}");
            }
        }
    }
}
