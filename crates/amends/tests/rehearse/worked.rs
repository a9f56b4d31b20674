//! The worked sagas against their own services, which keep every rule that their definitions promise.

use std::path::Path;

use amends_example_bank::Bank;
use amends_example_services::{Service, Services, Worked};
use serde_json::{Value, json};

use crate::amends;

/// Rehearses a worked saga with this data put in, and gives code, report and words.
fn rehearse(worked: Worked, more: Value, args: &[&str]) -> (i32, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saga.yaml");
    std::fs::write(&file, worked.definition()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let services = start(&runtime, folder.path(), worked.services());
    let mut data = worked.sample(1);
    for (name, value) in more.as_object().unwrap() {
        data[name] = value.clone();
    }
    let mut command = amends();
    command.args(["rehearse", file.to_str().unwrap(), "--data", &data.to_string(), "-o", "json"]);
    for service in worked.services() {
        let address = services.address(*service).unwrap();
        let against = format!("{}=http://{address}", service.in_definitions());
        command.args(["--against", &against]);
    }
    let output = command.args(args).output().unwrap();
    runtime.block_on(services.stop()).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), report, words)
}

fn start(runtime: &tokio::runtime::Runtime, folder: &Path, which: &[Service]) -> Services {
    runtime.block_on(Services::start(folder, which)).unwrap()
}

#[track_caller]
fn kept(worked: Worked, more: Value, args: &[&str]) -> Value {
    let (code, report, words) = rehearse(worked, more, args);
    assert_eq!(code, 0, "{words}{report:#}");
    report
}

#[test]
fn an_order() {
    let declined = r#"process_payment={"payment_method": "card_declined"}"#;
    let report = kept(Worked::Order, json!({}), &["--refused", declined, "--vary", "order_id"]);
    let payment = &report["services"][1];
    assert_eq!(payment["service"], "PaymentService");
    let refusal = payment["rules"].as_array().unwrap().iter().find(|r| r["rule"] == "refusal");
    assert_eq!(refusal.unwrap()["verdict"], "kept");
}

#[test]
fn a_transfer() {
    kept(Worked::Bank, json!({}), &["--vary", "transfer_id"]);
}

#[test]
fn a_transfer_between_services_on_the_participant_kit() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let services = amends_example_bank::Service::ALL.map(|service| (service, 0));
    let bank = runtime.block_on(Bank::start(&services, folder.path())).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/bank/transfer.yaml");
    let data = json!({
        "transfer_id": "t-1", "source_account": "alice", "destination_account": "bob",
        "amount": 2500,
    });
    let mut command = amends();
    command.args(["rehearse", file, "--data", &data.to_string(), "-o", "json"]);
    command.args(["--refused", r#"debit_source={"source_account": "account-empty"}"#]);
    for (service, address) in bank.addresses() {
        command.arg("--against").arg(format!("{}=http://{address}", service.in_definitions));
    }
    let output = command.output().unwrap();
    runtime.block_on(bank.stop()).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{words}{report:#}");
    let rules = report["services"][0]["rules"].as_array().unwrap();
    let verdict = |name: &str| rules.iter().find(|r| r["rule"] == name).unwrap()["verdict"].clone();
    for rule in ["repeat", "at_once", "refusal", "undo", "blind_undo", "tombstone", "undo_first"] {
        assert_eq!(verdict(rule), "kept", "{rule}: {report:#}");
    }
}

#[test]
fn an_approval_whose_signal_is_said() {
    let signal = r#"approval={"approved": true}"#;
    kept(Worked::Approval, json!({}), &["--signal", signal]);
    let (code, _, words) = rehearse(Worked::Approval, json!({}), &[]);
    assert_eq!(code, 2);
    assert!(words.contains("waits for the signal approval"), "{words}");
}

#[test]
fn a_trip_with_two_rooms() {
    kept(Worked::Travel, json!({}), &["--vary", "trip_id"]);
}

#[test]
fn services_that_lose_answers_and_are_busy_keep_the_rules_all_the_same() {
    for fault in ["transient", "lost_reply", "duplicate"] {
        let faults = json!({"faults": {
            "process_payment": fault, "process_payment/compensation": fault,
        }});
        let only = "process_payment,duplicate,crash_after,again,late";
        kept(Worked::Order, faults, &["--only", only]);
    }
}

#[test]
fn data_that_a_service_refuses_is_told_apart_from_a_broken_rule() {
    let faults = json!({"faults": {"process_payment": "refuse"}});
    let (code, _, words) = rehearse(Worked::Order, faults, &[]);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("does not complete: PaymentService answered 422"), "{words}");
}

#[test]
fn a_service_that_answers_by_callback_keeps_the_rules_all_the_same() {
    let faults = json!({"faults": {
        "process_payment": "accepted", "process_payment/compensation": "accepted",
    }});
    let declined = r#"process_payment={"payment_method": "card_declined"}"#;
    let report = kept(Worked::Order, faults, &["--refused", declined, "--vary", "order_id"]);
    let rules = report["services"][1]["rules"].as_array().unwrap();
    let verdict = |name: &str| rules.iter().find(|r| r["rule"] == name).unwrap()["verdict"].clone();
    for tried in ["accepted", "repeat", "at_once", "refusal", "undo", "blind_undo"] {
        assert_eq!(verdict(tried), "kept", "{tried}: {report:#}");
    }
    let others = report["services"][0]["rules"].as_array().unwrap();
    let accepted = others.iter().find(|r| r["rule"] == "accepted").unwrap();
    assert_eq!(accepted["why"], "it answered everything in the exchange");
}

#[test]
fn a_service_that_never_answers_is_found_in_seconds() {
    let faults = json!({"faults": {"process_payment": "timeout"}});
    let (code, report, words) = rehearse(Worked::Order, faults, &["--patience", "500ms"]);
    assert_eq!(code, 1, "{words}");
    let broken = &report["broken"][0];
    assert_eq!(broken["service"], "PaymentService");
    assert_eq!(broken["rule"], "answers");
    let what = broken["what"].as_str().unwrap();
    assert!(what.starts_with("there is no answer: none came within 0.5 s"), "{what}");
    assert!(what.contains("if it is only slow, --patience raises that"), "{what}");
}
