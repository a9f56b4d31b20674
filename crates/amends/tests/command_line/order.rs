//! The order example as it is shown to newcomers: the server, its definition, and the four
//! participants in Python.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::server::{Server, amends, words};

/// Service, file, step, the port in the definition, and what makes it refuse.
const SERVICES: [(&str, &str, &str, &str, &str); 4] = [
    ("InventoryService", "inventory.py", "reserve_inventory", "7101", "OUT_OF_STOCK"),
    ("PaymentService", "payment.py", "process_payment", "7102", "CARD_DECLINED"),
    ("ShippingService", "shipping.py", "create_shipment", "7103", "ADDRESS_UNKNOWN"),
    ("NotificationService", "notification.py", "send_confirmation", "7104", "MAILBOX_REFUSED"),
];

struct Participant {
    process: Child,
    port: String,
    ledger: PathBuf,
}

impl Participant {
    fn start(file: &str, folder: &Path) -> Self {
        let script = example().join("participants").join(file);
        let ledger = folder.join(file).with_extension("db");
        let process = Command::new("python3")
            .arg(script)
            .args(["--port", "0", "--db"])
            .arg(&ledger)
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("this test needs python3, which runs the participants");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.rsplit("127.0.0.1:").next().unwrap_or_default();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        assert!(!port.is_empty(), "{file} did not say its port: {line:?}");
        Self { process, port, ledger }
    }

    /// What it did for a saga, and when: the direction and the moment of each entry.
    fn done(&self, saga: &str) -> Vec<(String, i64)> {
        let ledger = rusqlite::Connection::open(&self.ledger).unwrap();
        let mut rows = ledger
            .prepare(
                "SELECT direction, arrived_ns FROM call \
                 WHERE saga_id = ? AND answer IN ('completed', 'undone') ORDER BY entry",
            )
            .unwrap();
        let done = rows.query_map([saga], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        done.collect::<Result<_, _>>().unwrap()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it has ended already
        let _ = self.process.wait();
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/order")
}

/// An order that is fulfilled, or that one of the services refuses.
fn order(id: &str, refused_by: Option<&str>) -> Value {
    let mut order = json!({
        "order_id": id,
        "customer_id": "customer-1",
        "items": [{"sku": "kettle", "quantity": 2}],
        "payment_method": "card_visa",
        "total": 4200,
        "shipping_address": "12 Long Street, Cape Town",
    });
    match refused_by {
        Some("reserve_inventory") => order["items"] = json!([{"sku": "OUT_OF_STOCK"}]),
        Some("process_payment") => order["payment_method"] = json!("card_declined"),
        Some("create_shipment") => order["shipping_address"] = json!("1 Nowhere Lane"),
        Some("send_confirmation") => order["customer_id"] = json!("mailbox_full"),
        _ => {}
    }
    order
}

#[test]
fn an_order_completes_and_rolls_back_in_reverse_whichever_step_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let participants: Vec<_> =
        SERVICES.iter().map(|(_, file, ..)| Participant::start(file, folder.path())).collect();
    let mut text = std::fs::read_to_string(example().join("order.yaml")).unwrap();
    for ((.., port, _), participant) in SERVICES.iter().zip(&participants) {
        text =
            text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", participant.port));
    }
    let definition = folder.path().join("order.yaml");
    std::fs::write(&definition, text).unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &definition);

    let start = |id: &str, refused_by: Option<&str>| {
        let data = order(id, refused_by).to_string();
        server.json(&["start", "OrderFulfillment", "--data", &data, "--wait", "60s", "--key", id])
    };
    let (code, saga) = start("good", None);
    assert_eq!((code, saga["state"].as_str()), (0, Some("completed")), "{saga:#}");
    let id = saga["saga_id"].as_str().unwrap().to_owned();
    for participant in &participants {
        let done: Vec<_> = participant.done(&id).into_iter().map(|(way, _)| way).collect();
        assert_eq!(done, ["action"]);
    }

    for (refused, (_, _, step, _, fault)) in SERVICES.iter().enumerate() {
        let (code, saga) = start(step, Some(step));
        assert_eq!((code, saga["state"].as_str()), (10, Some("failed")), "{saga:#}");
        assert_eq!(saga["error"]["code"], *fault);
        assert_eq!(saga["exceptions"], json!([]));
        let id = saga["saga_id"].as_str().unwrap();
        let mut undone = Vec::new();
        for (place, participant) in participants.iter().enumerate() {
            let done = participant.done(id);
            let ways: Vec<_> = done.iter().map(|(way, _)| way.as_str()).collect();
            let expected: &[&str] = if place < refused { &["action", "compensation"] } else { &[] };
            assert_eq!(ways, expected, "{step} refused; service {place}");
            undone.extend(done.get(1).map(|(_, at)| *at));
        }
        assert!(undone.is_sorted_by(|a, b| a > b), "undone in reverse: {undone:?}");
    }

    // The same after a restart, and a key that came before gives the saga that it started.
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(&data, &definition);
    let same = order("good", None).to_string();
    let (code, again) =
        server.json(&["start", "OrderFulfillment", "--data", &same, "--key", "good"]);
    assert_eq!((code, again["saga_id"].as_str()), (0, Some(id.as_str())));
    let shown = server.ask(&["get", &id]);
    assert!(words(&shown).contains("✓ send_confirmation"), "{}", words(&shown));
    let (_, list) = server.json(&["list", "--state", "failed"]);
    assert_eq!(list.as_array().unwrap().len(), SERVICES.len());
    let watched = server.ask(&["watch", &id]);
    assert_eq!(watched.status.code(), Some(0), "{}", words(&watched));
}

#[test]
fn what_the_readme_serves_and_starts_is_there_and_can_run() {
    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    let after = |option: &str| -> Vec<PathBuf> {
        let said = readme.split(option).skip(1).filter_map(|rest| rest.split_whitespace().next());
        said.map(|path| example().join("../..").join(path)).collect()
    };
    let (definitions, data) = (after("--definitions "), after("--data @"));
    assert!(!definitions.is_empty() && !data.is_empty(), "{readme}");
    for path in definitions {
        let checked = amends().arg("check").arg(path).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
    }
    for path in data {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(serde_json::from_str::<Value>(&text).is_ok_and(|data| data.is_object()), "{text}");
    }
}
