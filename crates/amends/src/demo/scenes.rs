//! What is played: which sagas are started, and what goes wrong in each.

use serde_json::{Map, Value, json};

use amends_example_services::Worked;

use super::screen::{Ink, Screen};
use super::stage::Stage;

/// Some sagas that run side by side.
pub struct Scene {
    pub title: &'static str,
    /// Above the columns of the four steps.
    pub headings: [&'static str; 4],
    pub parts: Vec<Part>,
    /// The engine is killed in the middle.
    pub killed: bool,
}

/// One saga.
pub struct Part {
    pub worked: Worked,
    /// What happens in it, for people.
    pub title: &'static str,
    pub data: Value,
}

const ORDER: [&str; 4] = ["stock", "payment", "parcel", "letter"];
const BANK: [&str; 4] = ["debit", "record", "credit", "letter"];

/// How long a step takes that has no fault: a person can follow it.
const PACE: &str = "late_success:250ms";

/// The same where the engine is to be caught in the middle.
const SLOW_PACE: &str = "late_success:500ms";

/// The scenes in their order.
pub fn all() -> Vec<Scene> {
    let mut n = 0;
    let mut cast = |worked, pace, parts: &[(&'static str, &str, Value)]| {
        let part = |(title, step, wrong): &(&'static str, &str, Value)| {
            n += 1;
            Part { worked, title, data: data(worked, n, pace, step, wrong) }
        };
        parts.iter().map(part).collect::<Vec<Part>>()
    };
    let fault = |text: &str| json!({ "fault": text });
    let fine = || ("all goes well", "", json!({}));
    let orders = [
        fine(),
        ("out of stock", "reserve_inventory", json!({"items": [{"sku": "OUT_OF_STOCK"}]})),
        ("card declined", "process_payment", json!({"payment_method": "card_declined"})),
        ("address unknown", "create_shipment", json!({"shipping_address": "1 Nowhere Lane"})),
        ("mailbox refuses", "send_confirmation", json!({"customer_id": "mailbox_full"})),
        ("carrier never answers", "create_shipment", fault("timeout")),
        ("payment's reply is lost", "process_payment", fault("lost_reply")),
        ("carrier replies twice", "create_shipment", fault("duplicate")),
        ("payment comes too late", "process_payment", fault("late_success")),
    ];
    let transfers = [
        fine(),
        ("account is empty", "debit_source", json!({"source_account": "account-empty"})),
        ("books are closed", "create_transfer_record", fault("refuse")),
        (
            "target is closed",
            "credit_destination",
            json!({"destination_account": "account-closed"}),
        ),
        ("letter is refused", "notify_parties", fault("refuse")),
        ("bank never answers", "credit_destination", fault("timeout")),
        ("each reply is lost", "credit_destination", fault("lost_reply:99")),
        ("books reply twice", "create_transfer_record", fault("duplicate")),
        ("debit comes too late", "debit_source", fault("late_success")),
    ];
    let (order, bank) = (Worked::Order, Worked::Bank);
    let mut caught = cast(
        order,
        SLOW_PACE,
        &[
            ("order: all goes well", "", json!({})),
            ("order: mailbox refuses", "send_confirmation", fault("refuse")),
            ("order: address unknown", "create_shipment", fault("refuse")),
            ("order: all goes well", "", json!({})),
        ],
    );
    caught.extend(cast(
        bank,
        SLOW_PACE,
        &[
            ("transfer: letter refused", "notify_parties", fault("refuse")),
            ("transfer: all goes well", "", json!({})),
            ("transfer: target closed", "credit_destination", fault("refuse")),
            ("transfer: all goes well", "", json!({})),
        ],
    ));
    let scene = |title, headings, parts, killed| Scene { title, headings, parts, killed };
    vec![
        scene("1. Orders", ORDER, cast(order, PACE, &orders), false),
        scene("2. Bank transfers", BANK, cast(bank, PACE, &transfers), false),
        scene("3. kill -9", ["step 1", "step 2", "step 3", "step 4"], caught, true),
    ]
}

/// A saga's data: what it completes with, except for what is to go wrong; every other step takes
/// its time.
fn data(worked: Worked, n: u64, pace: &str, step: &str, wrong: &Value) -> Value {
    let mut data = worked.sample(n);
    let mut faults = Map::new();
    for name in steps(worked) {
        faults.insert(name.to_owned(), json!(pace));
        faults.insert(format!("{name}/compensation"), json!(pace));
    }
    if !step.is_empty() {
        faults.remove(step);
    }
    for (field, value) in wrong.as_object().into_iter().flatten() {
        if field == "fault" {
            faults.insert(step.to_owned(), value.clone());
        } else {
            data[field] = value.clone();
        }
    }
    data["faults"] = Value::Object(faults);
    data
}

/// The steps of a worked saga, which come one after the other.
pub fn steps(worked: Worked) -> Vec<&'static str> {
    worked.definition().lines().filter_map(|line| line.strip_prefix("  - name: ")).collect()
}

/// The type of a worked saga.
pub fn saga_type(worked: Worked) -> &'static str {
    let named = worked.definition().lines().find_map(|line| line.strip_prefix("saga: "));
    named.unwrap_or_default()
}

/// What one has to know.
pub fn prologue(screen: &Screen) -> String {
    let title = screen.paint("amends: all done, or all undone", Ink::Title, 0);
    format!(
        "
  {title}

  An order takes four services, a bank transfer three, each with a database of
  its own that no transaction spans. A saga does the steps one after the other;
  when one fails, what was done before it is undone, the last step first.

  Everything is real: the engine in a process of its own, six services on
  loopback with SQLite ledgers, and faults to order. The ledgers decide.

  … asked, no answer yet   ✓ done   ✗ refused   ↶ undone   · not yet   – never"
    )
}

/// What can be done with what is left standing.
pub fn still_serving(screen: &Screen, stage: &Stage) -> String {
    let url = stage.engine.url();
    let next = screen.paint("Still serving; Ctrl-C ends it and removes everything.", Ink::Title, 0);
    format!(
        "
  {next}
    amends list --server {url}
    curl {url}/v1/sagas
    definitions, data, ledgers and log: {}",
        stage.folder().display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_both_sagas_is_refused_once_and_every_fault_is_met_in_both() {
        for scene in &all()[..2] {
            let worked = scene.parts[0].worked;
            assert_eq!(steps(worked).len(), scene.headings.len());
            // One that goes well, one refusal a step, and the four faults of answers.
            assert_eq!(scene.parts.len(), 1 + steps(worked).len() + 4);
            let texts: String = scene.parts.iter().map(|part| part.data.to_string()).collect();
            for fault in ["\"timeout\"", "\"lost_reply", "\"duplicate\"", "\"late_success\""] {
                assert!(texts.contains(fault), "{} lacks {fault}", scene.title);
            }
        }
    }

    #[test]
    fn no_two_sagas_share_a_business_key() {
        let scenes = all();
        let parts = scenes.iter().flat_map(|scene| &scene.parts);
        let keys: Vec<String> = parts
            .map(|part| format!("{}{}", part.data["order_id"], part.data["transfer_id"]))
            .collect();
        let mut once = keys.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), keys.len());
    }
}
