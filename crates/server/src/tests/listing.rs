//! Lists, counts, dead letters, attention, definitions and records.

use super::bench::{Bench, bearer};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_in_the_list_that_waits_for_it() {
    let bench = Bench::open().await;
    for n in 0..5 {
        bench.start("Order", &json!({"n": n, "Payment.Charge": "accept"})).await;
    }
    let open = json!({"order_id": "o-7", "Payment.Charge": "accept"});
    let got = bench.post("/v1/sagas/Keyed", &open).await;
    let at = got.header("amends-position").to_owned();
    let id = got.json()["saga_id"].clone();

    let list = bench.get(&format!("/v1/sagas?business_key=o-7&at_least={at}")).await.json();
    assert_eq!(list["sagas"].as_array().unwrap().len(), 1, "{list:#}");
    let row = &list["sagas"][0];
    assert_eq!((&row["saga_id"], &row["saga_type"]), (&id, &json!("Keyed")));
    assert_eq!((&row["live"], &row["attention"]), (&json!(true), &json!([])));
    assert!(list["as_of"].as_u64().unwrap() >= at.parse().unwrap());

    let mut seen = Vec::new();
    let mut path = "/v1/sagas?saga_type=Order&limit=2&order=oldest".to_owned();
    loop {
        let page = bench.get(&path).await.json();
        let rows = page["sagas"].as_array().unwrap();
        assert!(rows.len() <= 2);
        seen.extend(rows.iter().map(|row| row["saga_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/sagas?saga_type=Order&limit=2&order=oldest&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted(), "{seen:?}");
    let none = bench.get("/v1/sagas?state=completed").await.json();
    assert_eq!(none["sagas"], json!([]));
    let counts = bench.get("/v1/counts").await.json();
    let keyed = counts["counts"].as_array().unwrap().iter().find(|c| c["saga_type"] == "Keyed");
    assert_eq!(keyed.unwrap()["sagas"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_sent_again_in_bulk() {
    let bench = Bench::open().await;
    let data = json!({"Shipping.Create": "refuse", "Payment.Refund": "later"});
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = bench.start("Order", &data).await;
        bench.until(&id, |saga| saga["attention"][0]["reason"] == "compensation_failed").await;
        ids.push(id);
    }
    let at = bench.handle().position().0;
    let letters = bench.get(&format!("/v1/dead-letters?at_least={at}")).await.json();
    let letters = letters["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 3, "{letters:#?}");
    assert_eq!(letters[0]["command"], "Payment.Refund");
    assert_eq!(letters[0]["error"]["message"], "not now");
    for (query, expected) in [
        ("service=Payment", 3),
        ("service=Inventory", 0),
        ("step=pay&poison=false", 3),
        ("poison=true", 0),
        ("saga_type=Keyed", 0),
    ] {
        let found = bench.get(&format!("/v1/dead-letters?{query}")).await.json();
        assert_eq!(found["dead_letters"].as_array().unwrap().len(), expected, "{query}");
    }
    let attention = bench.get("/v1/attention?reason=compensation_failed").await.json();
    assert_eq!(attention["items"].as_array().unwrap().len(), 3);
    assert_eq!(attention["items"][0]["step"], "pay");
    let other = bench.get("/v1/attention?reason=overdue,contract").await.json();
    assert_eq!(other["items"], json!([]));

    let attempts = |saga: &Value| super::bench::step(saga, "pay")["compensation_attempts"].clone();
    let filter = json!({"service": "Payment"});
    let preview = json!({"filter": filter, "dry_run": true, "reason": "look"});
    let got = bench.post("/v1/dead-letters/retry", &preview).await.json();
    assert_eq!((&got["dry_run"], &got["retried"]), (&json!(true), &json!(3)), "{got:#}");
    for id in &ids {
        assert_eq!(attempts(&bench.get(&format!("/v1/sagas/{id}")).await.json()), 1);
    }
    let redrive = json!({"filter": filter, "reason": "the bank is back"});
    let got = bench.post("/v1/dead-letters/retry", &redrive).await.json();
    assert_eq!((&got["retried"], &got["refused"]), (&json!(3), &json!(0)), "{got:#}");
    for id in &ids {
        bench.until(id, |saga| attempts(saga) == 2).await;
    }
    let bad = json!({"filter": {"servcie": "Payment"}, "reason": "x"});
    let got = bench.post("/v1/dead-letters/retry", &bad).await;
    assert_eq!(got.problem(), (400, "bad_body".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_listed_brought_in_and_refused() {
    let bench = Bench::open().await;
    let list = bench.get("/v1/definitions").await.json();
    let names: Vec<&str> = list["definitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["saga_type"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Approval", "Echoing", "Keyed", "Order", "Parcels", "Secretive"]);
    let order = bench.get("/v1/definitions/Order").await.json();
    assert_eq!(order["steps"][1]["after"], json!(["reserve"]));
    assert_eq!(order["steps"][1]["compensation"], "Payment.Refund");
    assert_eq!(order["source"], super::bench::ORDER);
    for (path, code) in [
        ("/v1/definitions/Nope", "unknown_saga_type"),
        ("/v1/definitions/Order/9", "unknown_version"),
        ("/v1/definitions/Order/x", "unknown_version"),
    ] {
        assert_eq!(bench.get(path).await.problem(), (404, code.to_owned()), "{path}");
    }
    let yaml = [("content-type", "application/yaml")];
    let changed = super::bench::ORDER.replace("10m", "20m");
    let got = bench.send("POST", "/v1/definitions", &yaml, changed.clone()).await;
    assert_eq!((got.status, &got.json()["version"]), (200, &json!(2)), "{:?}", got.body);
    assert_eq!(got.json()["versions"], json!([1, 2]));
    let said = changed.replace("saga: Order", "saga: Order\nversion: 1");
    let got = bench.send("POST", "/v1/definitions", &yaml, said).await;
    assert_eq!(got.problem(), (409, "definition_conflict".to_owned()));
    let diff = json!(["- steps.pay.deadline: 10m", "+ steps.pay.deadline: 20m"]);
    assert_eq!(got.json()["diff"], diff, "{:#}", got.json());
    assert!(got.json()["detail"].as_str().unwrap().contains("version 3"), "{:#}", got.json());
    let broken = changed.replace("compensation: Payment.Refund", "compensate: Payment.Refund");
    let got = bench.send("POST", "/v1/definitions", &yaml, broken).await;
    assert_eq!(got.problem(), (422, "definition_rejected".to_owned()));
    assert!(!got.json()["findings"].as_array().unwrap().is_empty());
    let text = [("content-type", "text/plain")];
    let got = bench.send("POST", "/v1/definitions", &text, changed).await;
    assert_eq!(got.problem(), (415, "unsupported_media_type".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_services_are_reached_is_shown_from_operator_up() {
    let bench = Bench::guarded().await;
    for (token, sees) in [("viewer-viewer-viewer", false), ("operator-operator-operator", true)] {
        let token = bearer(token);
        let headers = [("authorization", &*token)];
        let got = bench.send("GET", "/v1/definitions/Order", &headers, "").await.json();
        assert_eq!(got["source"].is_string(), sees, "{token}");
        assert!(got["pinned"].is_object());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_by_number() {
    let bench = Bench::open().await;
    assert_eq!(bench.get("/v1/orphans").await.json(), json!({"orphans": [], "next": null}));
    assert_eq!(bench.get("/v1/audit?limit=5").await.status, 200);
    for query in ["limit=0", "limit=1001", "after=x"] {
        let got = bench.get(&format!("/v1/audit?{query}")).await;
        assert_eq!(got.problem(), (400, "bad_query".to_owned()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_openmetrics() {
    let bench = Bench::open().await;
    let id = bench.start("Order", &json!({})).await;
    bench.ended(&id).await;
    let got = bench.get("/metrics").await;
    assert!(got.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    assert!(text.contains("saga_started_total{saga_type=\"Order\"} 1"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains(&id));
}
