//! The AsyncAPI document of a definition: what it says, and that it is one by AsyncAPI's own schema.

use std::path::{Path, PathBuf};
use std::process::Command;

use amends_definition::{Surroundings, asyncapi, check};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// Where AsyncAPI publishes its schemas, by npm.
const SPECS: &str = "@asyncapi/specs@6.11.1";
const SPECS_FILE: &str = "asyncapi-specs-6.11.1.tgz";
const SPECS_SHA256: &str = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928";
const SCHEMA: &str = "package/schemas/3.0.0-without-$id.json";

/// One service a broker, one over HTTP, and the saga type itself.
const MIXED: &str = r#"
saga: Order
version: 2
steps:
  - { name: reserve, action: Stock.Take, compensation: Stock.GiveBack }
  - { name: pay, action: Bank.Pay, compensation: Bank.Refund, input: { amount: "${ data.total }" } }
  - { name: ship, action: Ship.Send, compensation: Ship.Fetch }
  - { name: tell, action: Post.Send, kind: best_effort }
  - { name: bill, action: Bill.Write, compensation: Bill.Void }
services:
  Stock: { fence: barrier, kafka: { commands: stock.commands, replies: stock.replies } }
  Bank: { fence: barrier, flat: false, rabbitmq: { exchange: bank, commands: bank.commands, replies: bank.replies } }
  Ship: { fence: barrier, nats: { stream: SHIP, commands: ship.commands, replies: ship.replies } }
  Post: { fence: barrier, sqs: { commands: post-commands, replies: post-replies } }
  Bill: { fence: barrier, http: { url: "http://127.0.0.1:7105" } }
messaging:
  nats: { stream: ORDERS, commands: orders.commands, replies: orders.replies, events: orders.events }
  transitions: true
"#;

fn document(text: &str) -> Option<Json> {
    let checked = check(text.as_bytes(), "order.yaml", &Surroundings::none());
    asyncapi(&checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings)))
}

/// To write it anew after a change, run with `AMENDS_BLESS=1` and read the difference.
#[test]
fn it_says_what_goes_over_each_broker() {
    let written = format!("{:#}\n", document(MIXED).expect("it has brokers"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncapi.json");
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    assert_eq!(written, std::fs::read_to_string(&path).unwrap_or_default());
    assert!(!written.contains("Bill"), "it goes over HTTP");
}

#[test]
fn a_definition_without_a_broker_has_none() {
    let (before, rest) = MIXED.split_once("  - { name: pay").unwrap();
    let (_, bill) = rest.split_once("  - { name: bill").unwrap();
    let (bill, _) = bill.split_once("services:").unwrap();
    let one = before
        .replace("  - { name: reserve, action: Stock.Take, compensation: Stock.GiveBack }\n", "");
    let services =
        "services:\n  Bill: { fence: barrier, http: { url: \"http://127.0.0.1:7105\" } }\n";
    assert_eq!(document(&format!("{one}  - {{ name: bill{bill}{services}")), None);
}

/// Only what goes out is described, where nothing is asked for.
#[test]
fn events_alone_are_told_of_alone() {
    let asked =
        "nats: { stream: ORDERS, commands: orders.commands, replies: orders.replies, events";
    let told = document(&MIXED.replace(asked, "nats: { stream: ORDERS, events")).unwrap();
    let of_saga_type = |key: &&String| key.starts_with("Order");
    let operations = told["operations"].as_object().unwrap();
    let operations: Vec<_> = operations.keys().filter(of_saga_type).collect();
    assert_eq!(operations, ["OrderCompleted", "OrderFailed", "OrderTransition"]);
    let channels = told["channels"].as_object().unwrap();
    assert_eq!(channels.keys().filter(of_saga_type).count(), 3, "{channels:#?}");
}

#[test]
fn it_is_a_document_by_the_schema_of_asyncapi() {
    let schema: Json = serde_json::from_slice(&std::fs::read(schema()).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let document = document(MIXED).unwrap();
    let errors = |document: &Json| -> Vec<String> {
        let errors = validator.iter_errors(document);
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
    };
    assert_eq!(errors(&document), [""; 0]);
    let mut wrong = document;
    wrong["operations"]["Stock.Take"]["action"] = "shout".into();
    assert_ne!(errors(&wrong), [""; 0], "the schema says something");
}

/// Every reference leads somewhere: the schema does not ask.
#[test]
fn its_references_lead_somewhere() {
    fn follow(document: &Json, value: &Json, count: &mut usize) {
        if let Some(to) = value.get("$ref").and_then(Json::as_str) {
            assert!(document.pointer(&to[1..]).is_some(), "{to}");
            *count += 1;
        }
        let object = value.as_object().into_iter().flatten().map(|(_, value)| value);
        for value in object.chain(value.as_array().into_iter().flatten()) {
            follow(document, value, count);
        }
    }
    let document = document(MIXED).unwrap();
    let mut count = 0;
    follow(&document, &document, &mut count);
    assert!(count > 50, "{count}");
}

/// Fetched once by npm, and checked by its sum.
fn schema() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asyncapi-specs");
    let schema = folder.join(SCHEMA);
    if schema.is_file() {
        return schema;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", SPECS]).current_dir(&folder);
    let packed = npm.status().expect("npm is needed: install Debian's package npm");
    assert!(packed.success(), "npm cannot fetch {SPECS}; see above");
    let bytes = std::fs::read(folder.join(SPECS_FILE)).unwrap();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, SPECS_SHA256, "{SPECS} is not what it was");
    let mut tar = Command::new("tar");
    tar.args(["xzf", SPECS_FILE, SCHEMA]).current_dir(&folder);
    assert!(tar.status().expect("tar is there").success());
    schema
}
