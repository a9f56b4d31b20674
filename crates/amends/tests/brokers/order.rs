//! The saga: order fulfilment as it stands in `examples/`, its services behind brokers, and which
//! order comes to what.

use amends_example_services::Worked;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::way::Way;

/// Its type.
pub const SAGA: &str = "OrderFulfillment";

/// A step, and the service that is its own.
pub struct Step {
    pub name: &'static str,
    /// As definitions name it.
    pub service: &'static str,
    /// The first word of its queues, and the name of its files.
    pub short: &'static str,
    pub action: &'static str,
    pub compensation: &'static str,
    /// What it says when it refuses.
    pub refusal: &'static str,
}

/// The steps in their order.
pub const STEPS: [Step; 4] = [
    Step {
        name: "reserve_inventory",
        service: "InventoryService",
        short: "inventory",
        action: "ReserveItems",
        compensation: "ReleaseReservation",
        refusal: "OUT_OF_STOCK",
    },
    Step {
        name: "process_payment",
        service: "PaymentService",
        short: "payment",
        action: "ProcessPayment",
        compensation: "RefundPayment",
        refusal: "CARD_DECLINED",
    },
    Step {
        name: "create_shipment",
        service: "ShippingService",
        short: "shipping",
        action: "CreateShipment",
        compensation: "CancelShipment",
        refusal: "ADDRESS_UNKNOWN",
    },
    Step {
        name: "send_confirmation",
        service: "NotificationService",
        short: "notification",
        action: "SendOrderConfirmation",
        compensation: "SendCancellationNotice",
        refusal: "MAILBOX_REFUSED",
    },
];

/// An attempt is soon repeated, so that services meet duplicates; no deadline passes in a run, so
/// that only a refusal turns an order.
const TIMES: &str = "\
business_key: \"${ data.order_id }\"
defaults:
  timeout: 15s
  deadline: 2h
  undo_policy: { timeout: 15s, retry: { max_attempts: 1000 } }
";

/// The example's definition with these times, and each service behind its broker.
pub fn definition(way: &Way) -> String {
    let bound = |place: usize| format!(", {}", way.over[place].binding(STEPS[place].short));
    described(TIMES, &bound)
}

/// The same for services that run it among themselves, with their events there. A step that hangs is
/// asked again soon, and no deadline passes.
pub fn choreographed(events: &str) -> String {
    let head = "pattern: choreography\ndefaults: { timeout: 15s, deadline: 2h }\n";
    described(head, &|_| String::new()) + &format!("messaging: {{ {events} }}\n")
}

/// The example's steps below this head, and its services by their places.
fn described(head: &str, bound: &dyn Fn(usize) -> String) -> String {
    let (steps, _) = Worked::Order.definition().split_once("services:").expect("it has services");
    let mut text = String::new();
    for line in steps.lines().filter(|line| !line.trim_start().starts_with("timeout:")) {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("saga: ") {
            text.push_str(head);
        }
    }
    for Step { name, service, action, compensation, .. } in &STEPS {
        let step = format!(
            "- name: {name}\n    action: {service}.{action}\n    \
             compensation: {service}.{compensation}\n"
        );
        assert!(text.contains(&step), "the example has no such step: {step}");
    }
    text.push_str("services:\n");
    for (place, Step { service, .. }) in STEPS.iter().enumerate() {
        text.push_str(&format!("  {service}: {{ fence: barrier{} }}\n", bound(place)));
    }
    text
}

/// What an order is started with, as far as the services read it.
#[derive(Deserialize)]
pub struct Order {
    items: Vec<Item>,
    customer_id: String,
    payment_method: String,
    total: i64,
    shipping_address: String,
}

#[derive(Deserialize)]
struct Item {
    quantity: i64,
}

impl Order {
    /// How much a step moves: things, money, parcels, letters.
    pub fn amount(&self, place: usize) -> i64 {
        match place {
            0 => self.items.iter().map(|item| item.quantity).sum(),
            1 => self.total,
            _ => 1,
        }
    }

    /// Does this step refuse it?
    pub fn is_refused_at(&self, place: usize) -> bool {
        match place {
            0 => self.amount(0) == 0,
            1 => self.payment_method == "card_declined",
            2 => self.shipping_address == "1 Nowhere Lane",
            3 => self.customer_id == "mailbox_full",
            _ => false,
        }
    }
}

/// The name of an order, which is its idempotency key as well.
pub fn name(n: u64) -> String {
    format!("order-{n}")
}

/// The data of the `n`th. Amounts differ, so that one order's cannot stand in for another's.
pub fn data(n: u64) -> Value {
    let mut data = Worked::Order.sample(n);
    data["items"] = json!([{"sku": "kettle", "quantity": 1}, {"sku": "tea", "quantity": n % 7}]);
    data["total"] = json!(1000 + n);
    match refused_at(n) {
        Some(0) => data["items"] = json!([]),
        Some(1) => data["payment_method"] = json!("card_declined"),
        Some(2) => data["shipping_address"] = json!("1 Nowhere Lane"),
        Some(_) => data["customer_id"] = json!("mailbox_full"),
        None => {}
    }
    data
}

/// What the services read of it.
pub fn order(n: u64) -> Order {
    serde_json::from_value(data(n)).expect("an order is one")
}

/// Which step refuses the `n`th, if one does: one in ten, so that none, one, two or three steps are undone.
pub fn refused_at(n: u64) -> Option<usize> {
    let turn = usize::try_from(n / 10).unwrap_or(0);
    n.is_multiple_of(10).then(|| turn % STEPS.len())
}
