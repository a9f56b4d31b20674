//! Replies: taken when they are authentic and true, refused when made up, foreign or forged.

use super::bench::{Bench, Got, JSON, PAYMENT_SECRET, bearer, step};
use amends_wire::signature::{Secret, sign};
use amends_wire::{CommandId, Direction, SagaId};
use serde_json::{Value, json};

const NOBODY: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

async fn waiting(bench: &Bench, headers: &[(&str, &str)]) -> String {
    let mut all = vec![JSON];
    all.extend_from_slice(headers);
    let body = r#"{"Payment.Charge":"accept"}"#;
    let started = bench.send("POST", "/v1/sagas/Order", &all, body).await.json();
    let id = started["saga_id"].as_str().unwrap().to_owned();
    let mut transitions = bench.handle().transitions();
    loop {
        let saga = bench.send("GET", &format!("/v1/sagas/{id}"), headers, "").await.json();
        if step(&saga, "pay")["waiting_for"] == "accepted" {
            return id;
        }
        tokio::time::timeout(super::bench::PATIENCE, transitions.recv()).await.unwrap().unwrap();
    }
}

fn completed(id: &str, step_name: &str) -> Value {
    json!({"type": "SagaStepCompleted", "saga_id": id, "step_name": step_name, "result": {"paid": 1}})
}

fn token(bench: &Bench, id: &str) -> String {
    let saga_id = SagaId(u128::from_str_radix(&id.replace('-', ""), 16).unwrap());
    let (step_name, direction) = ("pay".to_owned(), Direction::Action);
    bench.key.issue(&CommandId { saga_id, step_name, direction, round: 1 })
}

fn taken(got: &Got) {
    assert_eq!(got.status, 202, "{:?}", got.body);
    assert_eq!(got.json(), json!({"receipt": "taken"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_a_reply_needs_nothing_and_may_come_twice() {
    let bench = Bench::open().await;
    let id = waiting(&bench, &[]).await;
    taken(&bench.post("/v1/replies", &completed(&id, "pay")).await);
    let saga = bench.ended(&id).await;
    assert_eq!(saga["state"], "completed");
    assert_eq!(step(&saga, "pay")["result"], json!({"paid": 1}));
    taken(&bench.post("/v1/replies", &completed(&id, "pay")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_event_is_a_reply_in_both_modes() {
    let bench = Bench::open().await;
    let id = waiting(&bench, &[]).await;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "SagaStepCompleted"),
        ("ce-correlationid", &id),
        JSON,
    ];
    let body = json!({"step_name": "pay", "result": {}}).to_string();
    taken(&bench.send("POST", "/v1/replies", &headers, body).await);

    let id = waiting(&bench, &[]).await;
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/pay", "type": "SagaStepCompleted",
        "correlationid": id, "data": {"step_name": "pay", "result": {}},
    });
    let headers = [("content-type", "application/cloudevents+json; charset=utf-8")];
    taken(&bench.send("POST", "/v1/replies", &headers, event.to_string()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_and_malformed_replies_are_refused() {
    let bench = Bench::open().await;
    let id = waiting(&bench, &[]).await;
    for (body, status, code) in [
        (completed(NOBODY, "pay").to_string(), 404, "made_up_reply"),
        (completed(&id, "nope").to_string(), 404, "made_up_reply"),
        (json!({"type": "SagaStepCompleted", "saga_id": id}).to_string(), 400, "malformed_reply"),
        (json!({"type": "Other", "saga_id": id}).to_string(), 400, "malformed_reply"),
        (
            json!({"type": "SagaStepCompleted", "saga_id": 7, "step_name": "pay"}).to_string(),
            400,
            "malformed_reply",
        ),
        ("[]".to_owned(), 400, "malformed_reply"),
        ("{".to_owned(), 400, "malformed_json"),
        ("{\"a\":\"\u{0}\"}".to_owned(), 400, "malformed_json"),
        ("[".repeat(1000), 400, "malformed_json"),
    ] {
        let got = bench.send("POST", "/v1/replies", &[JSON], body.clone()).await;
        assert_eq!(got.problem(), (status, code.to_owned()), "{body}");
    }
    let got = bench.send("POST", "/v1/replies", &[("content-type", "text/plain")], "{}").await;
    assert_eq!(got.problem(), (415, "unsupported_media_type".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_own_address_needs_no_other_credential() {
    let bench = Bench::guarded().await;
    let admin = bearer("admin-admin-admin-admin");
    let id = waiting(&bench, &[("authorization", &admin)]).await;
    let path = |token: &str| format!("/v1/replies/{token}");
    let good = token(&bench, &id);
    let mut forged = good.clone();
    forged.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    // It says what the address does not: which of the four replies it is.
    let short = json!({"type": "SagaStepCompleted", "result": {"paid": 2}});
    for (token, body, status, code) in [
        (&*forged, &short, 401, "forged"),
        ("AAAA", &short, 401, "forged"),
        (&*good, &completed(NOBODY, "pay"), 404, "made_up_reply"),
        (&*good, &completed(&id, "reserve"), 404, "made_up_reply"),
        (&*good, &json!({"type": "SagaCompensationCompleted"}), 404, "made_up_reply"),
        (&*good, &json!({"paid": 2}), 400, "malformed_reply"),
        (&*token(&bench, NOBODY), &short, 202, ""),
    ] {
        let got = bench.post(&path(token), body).await;
        if status == 202 {
            // Its token is ours, so there was such a saga: the reply is kept.
            assert_eq!(got.json(), json!({"receipt": "orphan"}));
        } else {
            assert_eq!(got.problem(), (status, code.to_owned()), "{body}");
        }
    }
    taken(&bench.post(&path(&good), &short).await);
    let headers = [("authorization", &*admin)];
    let saga = bench.send("GET", &format!("/v1/sagas/{id}?wait=20s"), &headers, "").await.json();
    assert_eq!(step(&saga, "pay")["result"], json!({"paid": 2}));
    let orphans = bench.send("GET", "/v1/orphans", &headers, "").await.json();
    assert_eq!(orphans["orphans"][0]["saga_id"], NOBODY);
    assert_eq!(orphans["orphans"][0]["reply"], short);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_speaks_for_its_own_services_only() {
    let bench = Bench::guarded().await;
    let admin = bearer("admin-admin-admin-admin");
    let id = waiting(&bench, &[("authorization", &admin)]).await;
    let reply = |token: &str, step: &str| {
        let (bench, token, body) = (&bench, bearer(token), completed(&id, step).to_string());
        async move {
            let headers = [JSON, ("authorization", &*token)];
            bench.send("POST", "/v1/replies", &headers, body).await
        }
    };
    let pay = "participant-participant";
    assert_eq!(reply(pay, "reserve").await.problem(), (403, "foreign_service".to_owned()));
    for other in ["admin-admin-admin-admin", "viewer-viewer-viewer"] {
        assert_eq!(reply(other, "pay").await.problem(), (403, "forbidden".to_owned()));
    }
    let unknown = reply("nobody-nobody-nobody", "pay").await;
    assert_eq!(unknown.problem(), (401, "unauthenticated".to_owned()));
    let bare = bench.post("/v1/replies", &completed(&id, "pay")).await;
    assert_eq!(bare.problem(), (401, "unauthenticated".to_owned()));
    taken(&reply(pay, "pay").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_speaks_for_the_service_whose_secret_it_is() {
    for bench in [Bench::guarded().await, Bench::open().await] {
        let admin = bearer("admin-admin-admin-admin");
        let id = waiting(&bench, &[("authorization", &admin)]).await;
        let now = crate::app::now().0 / 1_000;
        let post = |secret: &str, at: u64, body: Value| {
            let (bench, body, at_text) = (&bench, body.to_string(), at.to_string());
            let secret = [Secret::new(secret).unwrap()];
            let signature = sign(&secret, "msg_1", at, body.as_bytes());
            async move {
                let headers = [
                    JSON,
                    ("webhook-id", "msg_1"),
                    ("webhook-timestamp", &*at_text),
                    ("webhook-signature", &*signature),
                ];
                bench.send("POST", "/v1/replies", &headers, body).await
            }
        };
        let forged = post("another secret", now, completed(&id, "pay")).await;
        assert_eq!(forged.problem(), (401, "forged".to_owned()));
        let stale = post(PAYMENT_SECRET, now - 3_600, completed(&id, "pay")).await;
        assert_eq!(stale.problem(), (401, "forged".to_owned()));
        let foreign = post(PAYMENT_SECRET, now, completed(&id, "reserve")).await;
        assert_eq!(foreign.problem(), (403, "foreign_service".to_owned()));
        taken(&post(PAYMENT_SECRET, now, completed(&id, "pay")).await);
    }
}

/// `NOBODY` may have been started here and be long gone; these never were: a random id, one from
/// the future, one that is no id of a saga at all.
const NEVER: [&str; 3] = [
    "0192f0c1-2345-4abc-8def-0123456789ab",
    "7fffffff-ffff-7abc-8def-0123456789ab",
    "00000000-0000-0000-0000-000000000000",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_authentic_reply_whose_saga_may_have_been_is_kept_and_a_made_up_one_refused() {
    let bench = Bench::guarded().await;
    let participant = bearer("participant-participant");
    let secret = [Secret::new(PAYMENT_SECRET).unwrap()];
    let now = crate::app::now().0 / 1_000;
    let by_token = async |body: &Value| {
        let headers = [JSON, ("authorization", &*participant)];
        bench.send("POST", "/v1/replies", &headers, body.to_string()).await
    };
    let signed = async |body: &Value| {
        let (body, at) = (body.to_string(), now.to_string());
        let signature = sign(&secret, "msg_1", now, body.as_bytes());
        let headers = [
            JSON,
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", &*at),
            ("webhook-signature", &*signature),
        ];
        bench.send("POST", "/v1/replies", &headers, body).await
    };
    for id in NEVER {
        for got in [by_token(&completed(id, "pay")).await, signed(&completed(id, "pay")).await] {
            assert_eq!(got.problem(), (404, "made_up_reply".to_owned()), "{id}");
        }
    }
    let gone = completed(NOBODY, "pay");
    for got in [by_token(&gone).await, signed(&gone).await] {
        assert_eq!((got.status, got.json()), (202, json!({"receipt": "orphan"})));
    }
    let operator = bearer("operator-operator-operator");
    let headers = [("authorization", &*operator)];
    let orphans = bench.send("GET", "/v1/orphans", &headers, "").await.json();
    let kept = orphans["orphans"].as_array().unwrap();
    assert_eq!(kept.len(), 2, "{orphans:#}");
    assert!(kept.iter().all(|orphan| orphan["reply"] == gone && orphan["saga_id"] == NOBODY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_was_dealt_with_is_removed_with_a_reason() {
    let bench = Bench::guarded().await;
    let operator = bearer("operator-operator-operator");
    let headers = [("authorization", &*operator)];
    let saga_id = SagaId(7);
    let (step_name, direction) = ("pay".to_owned(), Direction::Action);
    let token = bench.key.issue(&CommandId { saga_id, step_name, direction, round: 1 });
    let reply = json!({"type": "SagaStepCompleted", "result": {"paid": 2}});
    let kept = bench.post(&format!("/v1/replies/{token}"), &reply).await;
    assert_eq!(kept.json(), json!({"receipt": "orphan"}));

    let remove = async |path: &str| bench.send("DELETE", path, &headers, "").await;
    for (path, status, code) in [
        ("/v1/orphans/1", 400, "bad_query"),
        ("/v1/orphans/1?reason=%20", 400, "bad_body"),
        ("/v1/orphans/1?reason=x&force=1", 400, "bad_query"),
        ("/v1/orphans/2?reason=x", 404, "no_such_orphan"),
        ("/v1/orphans/x?reason=x", 404, "no_such_orphan"),
        ("/v1/orphans/0?reason=x", 404, "no_such_orphan"),
        ("/v1/orphans/18446744073709551615?reason=x", 404, "no_such_orphan"),
    ] {
        assert_eq!(remove(path).await.problem(), (status, code.to_owned()), "{path}");
    }
    let removed = remove("/v1/orphans/1?reason=refunded%20by%20hand").await;
    assert_eq!((removed.status, &removed.json()["reply"]), (200, &reply), "{:?}", removed.body);
    let gone = remove("/v1/orphans/1?reason=again").await;
    assert_eq!(gone.problem(), (404, "no_such_orphan".to_owned()));
    let orphans: Value = bench.send("GET", "/v1/orphans", &headers, "").await.json();
    assert_eq!(orphans["orphans"], json!([]));
    let audit = bench.send("GET", "/v1/audit", &headers, "").await.json();
    let entry = &audit["entries"][0];
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("olga"), &json!("remove_orphan")));
    assert_eq!(entry["detail"]["reason"], "refunded by hand", "{audit:#}");
    assert_eq!(entry["detail"]["reply_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1, "{audit:#}");
}
