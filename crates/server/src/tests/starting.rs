//! Starts: what is answered, and what is refused.

use super::bench::{Bench, JSON, step};
use amends_engine::Start;
use amends_store::memory::Fault;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_answered_with_the_saga_and_where_it_is() {
    let bench = Bench::open().await;
    let got = bench.send("POST", "/v1/sagas/Order", &[JSON], r#"{ "total": 1.50 }"#).await;
    assert_eq!(got.status, 201);
    let saga = got.json();
    let id = saga["saga_id"].as_str().unwrap();
    assert_eq!(got.header("location"), format!("/v1/sagas/{id}"));
    assert_eq!(got.header("etag"), format!("\"{}\"", saga["seq"]));
    assert!(got.header("amends-position").parse::<u64>().unwrap() > 0);
    assert!(String::from_utf8_lossy(&got.body).contains(r#""data":{ "total": 1.50 }"#));
    let fields = [
        "saga_id",
        "saga_type",
        "version",
        "definition_hash",
        "state",
        "paused",
        "attention",
        "exceptions",
        "business_key",
        "data",
        "error",
        "created_at",
        "updated_at",
        "ended_at",
        "cancellable",
        "seq",
        "steps",
    ];
    assert!(fields.iter().all(|field| saga.get(field).is_some()), "{saga:#}");
    let fields = [
        "name",
        "kind",
        "service",
        "status",
        "waiting_for",
        "attempts",
        "next_attempt_at",
        "result",
        "error",
        "compensation_attempts",
        "deadline",
        "by",
    ];
    assert!(fields.iter().all(|field| saga["steps"][0].get(field).is_some()), "{saga:#}");
    assert_eq!(step(&saga, "ship")["waiting_for"], "steps");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_may_wait_for_the_end() {
    let bench = Bench::open().await;
    let got = bench.post("/v1/sagas/Order?wait=20s", &json!({})).await;
    assert_eq!((got.status, &got.json()["state"]), (200, &json!("completed")));
    let refused = json!({"Payment.Charge": "refuse"});
    let got = bench.post("/v1/sagas/Order?wait=20s", &refused).await;
    let saga = got.json();
    assert_eq!((got.status, &saga["state"]), (200, &json!("failed")));
    assert_eq!(saga["error"], json!({"step": "pay", "code": "NO", "message": "it is refused"}));
    assert_eq!(step(&saga, "reserve")["status"], "compensated");
    let open = json!({"Payment.Charge": "accept"});
    let got = bench.post("/v1/sagas/Order?wait=0s", &open).await;
    assert_eq!(got.status, 202);
    assert!(got.json()["ended_at"].is_null());
    for wait in ["soon", "-1s", "301s", "6m"] {
        let got = bench.post(&format!("/v1/sagas/Order?wait={wait}"), &json!({})).await;
        assert_eq!(got.problem(), (400, "bad_query".to_owned()), "{wait}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_keeps_nobody_waiting() {
    let bench = Bench::open().await;
    bench.stop.send_replace(true);
    let open = json!({"Payment.Charge": "accept"});
    assert_eq!(bench.post("/v1/sagas/Order?wait=300s", &open).await.status, 202);
    assert_eq!(bench.get("/readyz").await.problem(), (503, "not_ready".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_is_one_saga() {
    let bench = Bench::open().await;
    let start = |path: &'static str, body: &'static str| {
        let headers = [JSON, ("idempotency-key", "k-1")];
        let bench = &bench;
        async move { bench.send("POST", path, &headers, body).await }
    };
    let first = start("/v1/sagas/Order", r#"{"a":1}"#).await;
    assert_eq!(first.status, 201);
    let id = first.json()["saga_id"].clone();
    let again = start("/v1/sagas/Order", r#"{"a":1}"#).await;
    assert_eq!((again.status, &again.json()["saga_id"]), (200, &id));
    let waited = start("/v1/sagas/Order?wait=20s", r#"{"a":1}"#).await;
    assert_eq!((waited.status, &waited.json()["saga_id"]), (200, &id));
    let other = start("/v1/sagas/Order", r#"{"a": 1}"#).await;
    assert_eq!(other.problem(), (409, "idempotency_conflict".to_owned()));
    assert_eq!(other.json()["saga_id"], id);
    for key in ["", &"k".repeat(257)] {
        let headers = [JSON, ("idempotency-key", key)];
        let got = bench.send("POST", "/v1/sagas/Order", &headers, "{}").await;
        assert_eq!(got.problem(), (400, "bad_header".to_owned()));
    }
    let headers = [JSON, ("idempotency-key", "a"), ("idempotency-key", "b")];
    let got = bench.send("POST", "/v1/sagas/Order", &headers, "{}").await;
    assert_eq!(got.problem(), (400, "bad_header".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_key_is_held_by_one_running_saga() {
    let bench = Bench::open().await;
    let open = json!({"order_id": "o-1", "Payment.Charge": "accept"});
    let id = bench.start("Keyed", &open).await;
    let got = bench.post("/v1/sagas/Keyed", &json!({"order_id": "o-1"})).await;
    assert_eq!(got.problem(), (409, "key_in_use".to_owned()));
    assert_eq!(got.json()["saga_id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_is_said() {
    let bench = Bench::open().await;
    for (path, body, status, code) in [
        ("/v1/sagas/Ordre", "{}", 404, "unknown_saga_type"),
        ("/v1/sagas/order", "{}", 404, "unknown_saga_type"),
        ("/v1/sagas/Order?version=7", "{}", 404, "unknown_version"),
        ("/v1/sagas/Order?version=x", "{}", 400, "bad_query"),
        ("/v1/sagas/Order?wiat=1s", "{}", 400, "bad_query"),
        ("/v1/sagas/Order", "[]", 422, "bad_data"),
        ("/v1/sagas/Order", "7", 422, "bad_data"),
        ("/v1/sagas/Order", r#"{"a": 1, "b": 2, "\u0061": 3}"#, 422, "bad_data"),
        ("/v1/sagas/Keyed", "{}", 422, "bad_data"),
        ("/v1/sagas/Order", "", 400, "malformed_json"),
    ] {
        let got = bench.send("POST", path, &[JSON], body).await;
        assert_eq!(got.problem(), (status, code.to_owned()), "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_is_said() {
    let bench = Bench::open().await;
    bench.disk.fail_next(Fault::JournalFull);
    let (handle, data) = (bench.handle(), bytes::Bytes::from_static(b"{}"));
    let held = tokio::spawn(async move {
        let (saga_type, idempotency_key) = ("Order".into(), None);
        let start = Start { saga_type, version: None, data, idempotency_key, wait: None };
        handle.start(start).await
    });
    // That start is in the batch that finds no room, and is held. Those after it are told.
    while bench.get("/readyz").await.status == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.get("/readyz").await.problem(), (503, "not_ready".to_owned()));
    let got = bench.post("/v1/sagas/Order", &json!({})).await;
    assert_eq!(got.problem(), (503, "journal_failed".to_owned()));
    held.abort();
}
