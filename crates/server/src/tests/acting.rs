//! Verbs and signals: done with who and why, refused with a code.

use super::bench::{Bench, JSON, bearer, step};
use serde_json::{Value, json};

fn why() -> Value {
    json!({"reason": "because"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_turns_the_saga_once() {
    let bench = Bench::open().await;
    let id = bench.start("Order", &json!({"Payment.Charge": "accept"})).await;
    bench.until(&id, |saga| step(saga, "pay")["waiting_for"] == "accepted").await;
    let path = format!("/v1/sagas/{id}/cancel");
    let got = bench.post(&path, &why()).await;
    assert_eq!(got.status, 200, "{:?}", got.body);
    assert_eq!(got.json()["error"]["message"], "cancelled by local: because");
    let ended = bench.ended(&id).await;
    assert_eq!(ended["state"], "failed");
    assert_eq!(bench.post(&path, &why()).await.problem(), (409, "ended".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_saga_waits_to_be_resumed() {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    let act = |verb: &str| format!("/v1/sagas/{id}/{verb}");
    assert_eq!(bench.post(&act("pause"), &why()).await.json()["paused"], true);
    let again = bench.post(&act("pause"), &why()).await;
    assert_eq!(again.problem(), (409, "already_paused".to_owned()));
    let got = bench.post(&act("signals/approval"), &json!({"approved": true})).await;
    assert_eq!(got.status, 200);
    assert_eq!(step(&got.json(), "approve")["waiting_for"], "resume");
    assert_eq!(bench.post(&act("resume"), &why()).await.status, 200);
    let again = bench.post(&act("resume"), &why()).await;
    assert!(matches!(again.problem().1.as_str(), "not_paused" | "ended"));
    let saga = bench.ended(&id).await;
    assert_eq!(saga["state"], "completed");
    assert_eq!(step(&saga, "approve")["result"], json!({"approved": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_of_a_name_counts() {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    bench.post(&format!("/v1/sagas/{id}/pause"), &why()).await;
    let signal = format!("/v1/sagas/{id}/signals/approval");
    let unknown = bench.post(&format!("/v1/sagas/{id}/signals/other"), &json!(1)).await;
    assert_eq!(unknown.problem(), (404, "unknown_signal".to_owned()));
    let text = bench.send("POST", &signal, &[], "yes").await;
    assert_eq!(text.problem(), (415, "unsupported_media_type".to_owned()));
    let large = format!("\"{}\"", "x".repeat(256 * 1024));
    let got = bench.send("POST", &signal, &[JSON], large).await;
    assert_eq!(got.problem(), (413, "too_large".to_owned()));
    let empty = bench.send("POST", &signal, &[], "").await;
    assert_eq!(empty.status, 200, "{:?}", empty.body);
    let second = bench.post(&signal, &json!(2)).await;
    assert_eq!(second.problem(), (409, "signal_taken".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_moved_is_left_alone() {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    let saga = bench.get(&format!("/v1/sagas/{id}")).await;
    let tag = saga.header("etag").to_owned();
    let seq = saga.json()["seq"].as_u64().unwrap();
    let pause = format!("/v1/sagas/{id}/pause");
    let ask = |tag: String| {
        let (bench, pause) = (&bench, &pause);
        async move {
            let headers = [JSON, ("if-match", &*tag)];
            bench.send("POST", pause, &headers, why().to_string()).await
        }
    };
    let stale = ask((seq - 1).to_string()).await;
    assert_eq!(stale.problem(), (412, "moved".to_owned()));
    assert_eq!(stale.json()["seq"], seq);
    assert_eq!(stale.json()["saga_id"], id);
    assert_eq!(ask("W/x".to_owned()).await.problem(), (400, "bad_header".to_owned()));
    assert_eq!(ask(tag).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_undo_is_retried_edited_resolved_or_skipped() {
    let bench = Bench::open().await;
    let dead = |saga: &Value| saga["attention"][0]["reason"] == "compensation_failed";
    let data = json!({"Shipping.Create": "refuse", "Payment.Refund": "later"});
    for (verb, form, exception) in [
        ("resolve", json!({"reason": "refunded by hand"}), Some("by_hand")),
        ("skip", json!({"reason": "written off"}), Some("skipped")),
        ("edit", json!({"reason": "fixed", "body": {"fixed": true}}), None),
    ] {
        let id = bench.start("Order", &data).await;
        let saga = bench.until(&id, dead).await;
        assert_eq!(saga["attention"][0]["step"], "pay");
        assert_eq!(saga["attention"][0]["direction"], "compensation");
        let pay = step(&saga, "pay");
        assert_eq!(
            (&pay["waiting_for"], &pay["compensation_attempts"]),
            (&json!("retry"), &json!(1))
        );
        assert!(pay["next_attempt_at"].is_string(), "{pay:#}");
        assert_eq!(pay["error"]["message"], "not now");
        assert_eq!(step(&saga, "reserve")["waiting_for"], "dependents");
        let got = bench.post(&format!("/v1/sagas/{id}/steps/pay/{verb}"), &form).await;
        assert_eq!(got.status, 200, "{verb}: {:?}", got.body);
        let ended = bench.ended(&id).await;
        assert_eq!(ended["exceptions"][0]["reason"].as_str(), exception, "{verb} {ended:#}");
    }
    let id = bench.start("Order", &data).await;
    bench.until(&id, dead).await;
    let got = bench.post(&format!("/v1/sagas/{id}/steps/pay/retry"), &why()).await;
    assert_eq!(got.status, 200);
    let tried = |saga: &Value| step(saga, "pay")["compensation_attempts"] == 2;
    bench.until(&id, tried).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_moves_later_only() {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    let extend = format!("/v1/sagas/{id}/steps/approve/extend");
    let to = |deadline: &str| json!({"deadline": deadline, "reason": "holidays"});
    let got = bench.post(&extend, &to("2199-01-01T00:00:00+01:00")).await;
    assert_eq!(step(&got.json(), "approve")["deadline"], "2198-12-31T23:00:00.000Z");
    let earlier = bench.post(&extend, &to("2001-01-01T00:00:00Z")).await;
    assert_eq!(earlier.problem(), (409, "not_later".to_owned()));
    for wrong in ["tomorrow", "1969-01-01T00:00:00Z", ""] {
        let got = bench.post(&extend, &to(wrong)).await;
        assert_eq!(got.problem(), (400, "bad_body".to_owned()), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_cannot_be_done_is_said() {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    let long = "x".repeat(1025);
    for (verb, form, status, code) in [
        ("steps/nope/retry", why(), 404, "no_such_step"),
        ("steps/approve.0x/retry", why(), 404, "no_such_step"),
        ("steps/approve/skip", why(), 409, "verb_does_not_fit"),
        ("pause", json!({}), 400, "bad_body"),
        ("pause", json!({"reason": "  "}), 400, "bad_body"),
        ("pause", json!({"reason": long}), 400, "bad_body"),
        ("pause", json!({"reason": "x", "froce": true}), 400, "bad_body"),
        (
            "steps/pay/resolve",
            json!({"reason": "x", "as": "refused", "result": 1}),
            400,
            "bad_body",
        ),
        ("steps/pay/edit", json!({"reason": "x"}), 400, "bad_body"),
        ("acknowledge", json!({"reason": "x"}), 400, "bad_body"),
        ("explode", why(), 404, "no_such_route"),
    ] {
        let got = bench.post(&format!("/v1/sagas/{id}/{verb}"), &form).await;
        assert_eq!(got.problem(), (status, code.to_owned()), "{verb} {form}");
    }
    let nobody = "/v1/sagas/0192f0c1-2345-7abc-8def-0123456789ab/pause";
    assert_eq!(bench.post(nobody, &why()).await.problem(), (404, "no_such_saga".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_audit_say_whose_token_it_was() {
    let bench = Bench::guarded().await;
    let starter = bearer("starter-starter-starter");
    let headers = [JSON, ("authorization", &*starter)];
    let started = bench.send("POST", "/v1/sagas/Approval", &headers, "{}").await.json();
    let id = started["saga_id"].as_str().unwrap();
    let operator = bearer("operator-operator-operator");
    let headers = [JSON, ("authorization", &*operator)];
    bench.send("POST", &format!("/v1/sagas/{id}/pause"), &headers, why().to_string()).await;
    let path = format!("/v1/sagas/{id}/history");
    let history = bench.send("GET", &path, &headers, "").await.json();
    let paused = history["events"].as_array().unwrap().iter().find(|e| e["event"] == "paused");
    assert_eq!(paused.unwrap()["by"], "olga");
    assert_eq!(paused.unwrap()["reason"], "because");
    let path = format!("/v1/audit?saga_id={id}");
    let audit = bench.send("GET", &path, &headers, "").await.json();
    let entry = &audit["entries"][0];
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("olga"), &json!("pause")), "{audit}");
    assert_eq!(entry["saga_id"], id);
    assert_eq!(entry["hash"].as_str().unwrap().len(), 64);
}
