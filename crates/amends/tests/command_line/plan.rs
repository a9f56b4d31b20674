//! `amends plan`: what a kit in another language runs, and what has no plan.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::server::{amends, words};

const CHOREOGRAPHY: &str = r#"
saga: Parcel
version: 4
pattern: choreography
deadline: 2h
steps:
  - { name: pack, action: Depot.Pack, compensation: Depot.Unpack, when: "${ data.solid }" }
  - name: send
    kind: pivot
    action: Courier.Send
    input: { to: "${ data.to }", weight: 1.50 }
    retry: { max_attempts: 2 }
services: { Depot: { fence: barrier }, Courier: { fence: barrier } }
messaging: { nats: { stream: PARCELS, events: parcels.events } }
"#;

fn plan(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parcel.yaml");
    fs::write(&path, text).unwrap();
    amends().arg("plan").arg(&path).output().unwrap()
}

#[test]
fn a_plan_says_all_that_a_service_has_to_know() {
    let output = plan(CHOREOGRAPHY);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["plan"], 1);
    assert_eq!((&plan["saga_type"], &plan["version"]), (&json!("Parcel"), &json!(4)));
    assert_eq!((&plan["arbiter"], &plan["deadline_ms"]), (&json!("send"), &json!(7_200_000)));
    assert_eq!(plan["definition_hash"].as_str().unwrap().len(), 64);
    let [pack, send] = plan["steps"].as_array().unwrap().as_slice() else { panic!("{plan}") };
    assert_eq!((&pack["service"], &pack["action"]), (&json!("Depot"), &json!("Pack")));
    assert_eq!(
        (&pack["compensation"], &pack["when"]),
        (&json!("Unpack"), &json!("${ data.solid }"))
    );
    assert_eq!((&send["kind"], &send["after"]), (&json!("pivot"), &json!(["pack"])));
    assert_eq!(send["input"], json!({ "to": "${ data.to }", "weight": 1.5 }));
    assert_eq!(send["retry"]["max_attempts"], 2);
}

#[test]
fn what_is_no_choreography_has_no_plan() {
    let orchestrated = plan(&CHOREOGRAPHY.replace("pattern: choreography\n", ""));
    assert_ne!(orchestrated.status.code(), Some(0));
    assert!(words(&orchestrated).contains("no choreography"), "{}", words(&orchestrated));
    let wrong = plan(&CHOREOGRAPHY.replace("Depot.Unpack", "Nowhere.Unpack"));
    assert_ne!(wrong.status.code(), Some(0));
    assert!(words(&wrong).contains("has no plan"), "{}", words(&wrong));
}
