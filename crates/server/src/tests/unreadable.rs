//! A saga that cannot be read: it needs a person, and is seen wherever people look.

use super::bench::{Bench, PATIENCE};
use amends_store::{Batch, Entry, Events};
use bytes::Bytes;
use serde_json::{Value, json};

/// A bench on which a saga that waited for its approval has become unreadable.
async fn damaged() -> (Bench, String) {
    let bench = Bench::open().await;
    let id = bench.start("Approval", &json!({})).await;
    let number = u128::from_str_radix(&id.replace('-', ""), 16).unwrap();
    let Bench { engine, disk, .. } = bench;
    engine.stop().await;
    let store = disk.open();
    let row = store.catalog.read(number).await.unwrap().unwrap().row;
    let epoch = store.journal.acquire(row.shard).await.unwrap();
    let bytes = Bytes::from_static(b"\x01nonsense");
    let events = Events { first_seq: row.seq + 1, count: 1, bytes };
    let entry = Entry { saga: number, events, claims: Vec::new(), releases: Vec::new() };
    let batch = Batch { shard: row.shard, epoch, entries: vec![entry] };
    store.journal.append(batch).await.unwrap();
    store.close().await;
    (Bench::on(disk, None).await, id)
}

/// The list once the first checkpoint has told the catalog.
async fn listed(bench: &Bench, query: &str) -> Value {
    let at = bench.handle().position().0;
    bench.get(&format!("/v1/sagas?{query}&at_least={at}")).await.json()["sagas"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_saga_needs_a_person_in_every_list() {
    let (bench, id) = damaged().await;
    for query in
        ["attention=any", "attention=unreadable", "attention=poison,unreadable", "stuck=true"]
    {
        let sagas = listed(&bench, query).await;
        assert_eq!(sagas[0]["saga_id"], id, "{query} {sagas:#}");
        assert_eq!(sagas[0]["attention"], json!(["unreadable"]), "{query}");
        assert!(
            sagas[0]["unreadable"].is_string() && sagas[0]["stuck_since"].is_string(),
            "{sagas}"
        );
    }
    for query in ["attention=none", "attention=poison", "stuck=false"] {
        assert_eq!(listed(&bench, query).await, json!([]), "{query}");
    }
    for query in ["", "?reason=unreadable"] {
        let attention = bench.get(&format!("/v1/attention{query}")).await.json();
        let item = &attention["items"][0];
        assert_eq!((&item["saga_id"], &item["reason"]), (&json!(id), &json!("unreadable")));
        assert!(item["note"].as_str().is_some_and(|note| note.len() > 10), "{item}");
    }
    let other = bench.get("/v1/attention?reason=poison").await.json();
    assert_eq!(other["items"], json!([]));
    assert_eq!(bench.get("/v1/dead-letters").await.json()["dead_letters"], json!([]));
    let metrics = String::from_utf8(bench.get("/metrics").await.body.to_vec()).unwrap();
    let counted = "saga_attention_total{saga_type=\"Approval\",reason=\"unreadable\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_saga_is_shown_as_far_as_its_row_goes_and_left_alone() {
    let (bench, id) = damaged().await;
    listed(&bench, "attention=any").await;
    let path = format!("/v1/sagas/{id}");
    let got = bench.get(&path).await;
    assert_eq!(got.status, 200, "{:?}", got.body);
    let saga = got.json();
    assert_eq!((&saga["saga_id"], &saga["saga_type"]), (&json!(id), &json!("Approval")));
    assert_eq!(saga["attention"][0]["reason"], "unreadable", "{saga:#}");
    assert_eq!((&saga["data"], &saga["steps"]), (&Value::Null, &json!([])));
    assert!(saga["unreadable"].is_string(), "{saga:#}");
    let waited = tokio::time::timeout(PATIENCE, bench.get(&format!("{path}?wait=60s"))).await;
    assert_eq!(waited.unwrap().status, 200);

    let history = bench.get(&format!("{path}/history")).await;
    assert_eq!(history.problem(), (409, "unreadable".to_owned()));
    for verb in ["pause", "cancel"] {
        let got = bench.post(&format!("{path}/{verb}"), &json!({"reason": "look"})).await;
        assert_eq!(got.problem(), (409, "unreadable".to_owned()), "{verb}");
    }
    // A reply is not lost: whoever mends the saga finds it.
    let reply =
        json!({"type": "SagaStepCompleted", "saga_id": id, "step_name": "pay", "result": {}});
    let got = bench.post("/v1/replies", &reply).await;
    assert_eq!((got.status, got.json()), (202, json!({"receipt": "orphan"})));
    assert_eq!(bench.get("/v1/orphans").await.json()["orphans"][0]["reply"], reply);
    // It was counted once, however often it was asked for.
    let metrics = String::from_utf8(bench.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("amends_sagas_unreadable_total 1\n"), "{metrics}");
}
