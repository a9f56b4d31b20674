//! Looking at a saga: what it says of itself, and what below operator is not shown.

use super::bench::{Bench, bearer, step};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_says_what_each_step_waits_for() {
    let bench = Bench::open().await;
    let id = bench.start("Order", &json!({"Payment.Charge": "accept"})).await;
    let accepted = |saga: &Value| step(saga, "pay")["waiting_for"] == "accepted";
    let saga = bench.until(&id, accepted).await;
    assert_eq!(saga["state"], "pending");
    assert_eq!(saga["cancellable"], true);
    assert_eq!(step(&saga, "reserve")["waiting_for"], Value::Null);
    assert_eq!(step(&saga, "reserve")["result"], json!({"did": "Inventory.Reserve"}));
    assert_eq!(step(&saga, "pay")["attempts"], 1);
    assert_eq!(step(&saga, "ship")["waiting_for"], "steps");
    let deadline = step(&saga, "pay")["deadline"].as_str().unwrap();
    assert!(deadline.len() == 24 && deadline.ends_with('Z'), "{deadline}");

    let id = bench.start("Approval", &json!({})).await;
    let saga = bench.get(&format!("/v1/sagas/{id}")).await.json();
    assert_eq!(step(&saga, "approve")["waiting_for"], "signal");
    assert_eq!(step(&saga, "approve")["service"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_of_a_step_has_its_own_name() {
    let bench = Bench::open().await;
    let parcels = json!({"parcels": [{"n": 0}, {"Shipping.Create": "accept"}]});
    let id = bench.start("Parcels", &parcels).await;
    let one_is_done = |saga: &Value| {
        let steps = saga["steps"].as_array().unwrap();
        steps.len() == 4
            && step(saga, "ship.0")["status"] == "completed"
            && step(saga, "ship.1")["waiting_for"] == "accepted"
    };
    let saga = bench.until(&id, one_is_done).await;
    let names: Vec<_> = saga["steps"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["ship.0", "ship.1", "pay", "notify"]);
    let kinds: Vec<_> = saga["steps"].as_array().unwrap().iter().map(|s| &s["kind"]).collect();
    assert_eq!(kinds, ["compensatable", "compensatable", "pivot", "best_effort"]);
    let reply = json!({"type": "SagaStepCompleted", "saga_id": id, "step_name": "ship.1"});
    assert_eq!(bench.post("/v1/replies", &reply).await.status, 202);
    let saga = bench.ended(&id).await;
    assert_eq!((&saga["state"], &saga["cancellable"]), (&json!("completed"), &json!(false)));
    let history = bench.get(&format!("/v1/sagas/{id}/history")).await.json();
    let events = history["events"].as_array().unwrap();
    let readied = events.iter().find(|event| event["event"] == "readied").unwrap();
    assert_eq!(readied["step"], "ship");
    assert_eq!(readied["inputs"], parcels["parcels"]);
    assert!(events.iter().any(|event| event["event"] == "completed" && event["step"] == "ship.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_never_was_is_not_found() {
    let bench = Bench::open().await;
    for path in [
        "/v1/sagas/0192f0c1-2345-7abc-8def-0123456789ab",
        "/v1/sagas/Order",
        "/v1/sagas/%00",
        "/v1/sagas/0192f0c1-2345-7abc-8def-0123456789ab/history",
    ] {
        assert_eq!(bench.get(path).await.problem(), (404, "no_such_saga".to_owned()), "{path}");
    }
    let got = bench.get("/v1/sagas/%ff").await;
    assert_eq!(got.problem(), (404, "no_such_route".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_gap_free_and_read_in_pages() {
    let bench = Bench::open().await;
    let id = bench.start("Order", &json!({"Shipping.Create": "refuse"})).await;
    let saga = bench.ended(&id).await;
    let history = bench.get(&format!("/v1/sagas/{id}/history")).await.json();
    let events = history["events"].as_array().unwrap();
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=saga["seq"].as_u64().unwrap()).collect::<Vec<_>>());
    let told = |event: &str| events.iter().filter(|e| e["event"] == event).collect::<Vec<_>>();
    assert_eq!(told("started")[0]["body"], json!({"Shipping.Create": "refuse"}));
    assert_eq!(told("sent").len(), 5);
    assert_eq!(told("sent")[0]["direction"], "action");
    assert_eq!(told("refused")[0]["error"]["code"], "NO");
    assert_eq!(told("turned")[0]["step"], "ship");
    assert_eq!(told("undo_acknowledged").len(), 2);
    assert_eq!(told("ended")[0]["state"], "failed");

    let first = bench.get(&format!("/v1/sagas/{id}/history?limit=3")).await.json();
    assert_eq!((first["events"].as_array().unwrap().len(), &first["next"]), (3, &json!(3)));
    let rest = bench.get(&format!("/v1/sagas/{id}/history?after=3")).await.json();
    assert_eq!(rest["events"].as_array().unwrap()[..], events[3..]);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn redacted_fields_are_seen_from_operator_up() {
    let bench = Bench::guarded().await;
    let data = json!({"total": 5, "card": "4242-4242"});
    let admin = bearer("admin-admin-admin-admin");
    let headers = [super::bench::JSON, ("authorization", &*admin)];
    let path = "/v1/sagas/Secretive?wait=20s";
    let started = bench.send("POST", path, &headers, data.to_string()).await.json();
    assert_eq!(started["state"], "completed", "{started:#}");
    assert_eq!(started["data"]["card"], "4242-4242");
    let id = started["saga_id"].as_str().unwrap();
    for (token, sees) in [
        ("viewer-viewer-viewer", false),
        ("starter-starter-starter", false),
        ("operator-operator-operator", true),
        ("admin-admin-admin-admin", true),
    ] {
        let token = bearer(token);
        for path in [format!("/v1/sagas/{id}"), format!("/v1/sagas/{id}/history")] {
            let got = bench.send("GET", &path, &[("authorization", &token)], "").await;
            assert_eq!(got.status, 200);
            let text = String::from_utf8(got.body.to_vec()).unwrap();
            assert_eq!(text.contains("4242"), sees, "{token} {text}");
            assert_eq!(text.contains("[redacted]"), !sees, "{token} {text}");
            assert!(text.contains("\"total\":5"), "{text}");
        }
    }
}
