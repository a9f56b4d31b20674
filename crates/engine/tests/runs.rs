//! Sagas run, fail, compensate and survive a crash, on the in-memory store with in-process
//! participants that keep a ledger.

mod shop;

use std::time::Duration;

use amends_core::saga::{State, Status};
use amends_engine::{AskError, SagaVerb, Start, StartError, Unavailable};
use amends_store::memory::{Disk, Fault};
use amends_store::{Batch, Entry, Events, ShardId};
use bytes::Bytes;
use serde_json::json;
use shop::{Ledger, begin, end, engine, look, order, run, verb};

const ORDER: &str = r#"
saga: Order
business_key: "${ data.order_id }"
steps:
  - name: reserve
    action: Inventory.Reserve
    compensation: Inventory.Release
  - name: pay
    action: Payment.Charge
    compensation: Payment.Refund
  - name: ship
    action: Shipping.Create
    compensation: Shipping.Cancel
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_completes_step_by_step() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let saga = run(&engine.handle(), json!({"order_id": "o-1"})).await;
    assert_eq!(saga.state, State::Completed);
    assert!(saga.runs().all(|(_, run)| run.status == Status::Completed));
    let did = ledger.done(saga.id);
    assert_eq!(did, ["Inventory.Reserve", "Payment.Charge", "Shipping.Create"]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_undoes_what_was_done_in_reverse() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    for (refused, did) in [
        ("Inventory.Reserve", vec![]),
        ("Payment.Charge", vec!["Inventory.Reserve", "Inventory.Release"]),
        (
            "Shipping.Create",
            vec!["Inventory.Reserve", "Payment.Charge", "Payment.Refund", "Inventory.Release"],
        ),
    ] {
        let saga = run(&handle, json!({"order_id": refused, refused: "refuse"})).await;
        assert_eq!((saga.state, saga.clean()), (State::Failed, true), "{refused}");
        assert_eq!(ledger.done(saga.id), did, "{refused}");
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_same_saga_and_refuses_other_bytes() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let keyed = |data| Start { idempotency_key: Some("k".into()), ..order(data) };
    let first = handle.start(keyed(json!({"order_id": "a"}))).await.unwrap();
    let again = handle.start(keyed(json!({"order_id": "a"}))).await.unwrap();
    assert!(!first.existing && again.existing);
    assert_eq!(first.snapshot.saga.id, again.snapshot.saga.id);
    let other = handle.start(keyed(json!({"order_id": "b"}))).await.unwrap_err();
    let saga_id = first.snapshot.saga.id;
    assert_eq!(other, StartError::IdempotencyConflict { saga_id });
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_key_is_held_until_the_saga_ends() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let hangs = json!({"order_id": "x", "Payment.Charge": "hang"});
    let held = begin(&handle, hangs).await;
    let refused = handle.start(order(json!({"order_id": "x"}))).await.unwrap_err();
    assert_eq!(refused, StartError::KeyInUse { saga_id: held });
    let cancel = verb(SagaVerb::Cancel);
    handle.ask(held, cancel, None).await.unwrap();
    assert_eq!(end(&handle, held).await.state, State::Failed);
    let saga = run(&handle, json!({"order_id": "x"})).await;
    assert_eq!(saga.state, State::Completed);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_loses_nothing_and_repeats_no_key() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let first = engine(&disk, &ledger, ORDER).await;
    let hangs = json!({"order_id": "x", "Payment.Charge": "hang"});
    let id = begin(&first.handle(), hangs).await;
    drop(first); // as a crash would
    let second = engine(&disk, &ledger, ORDER).await;
    let handle = second.handle();
    assert!(!look(&handle, id).await.state.ended());
    let cancel = verb(SagaVerb::Cancel);
    handle.ask(id, cancel, None).await.unwrap();
    let ended = end(&handle, id).await;
    assert_eq!(ended.state, State::Failed);
    let history = handle.history(id).await.unwrap().unwrap();
    assert_eq!(history.len() as u64, ended.seq);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sagas_end_and_are_found_in_the_catalog() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let first = engine(&disk, &ledger, ORDER).await;
    let handle = first.handle();
    let runs = (0..500).map(|n| {
        let handle = handle.clone();
        let told = if n % 10 == 0 { "refuse" } else { "do" };
        tokio::spawn(async move {
            run(&handle, json!({"order_id": format!("o-{n}"), "Shipping.Create": told})).await.state
        })
    });
    let runs: Vec<_> = runs.collect();
    let mut failed = 0;
    for run in runs {
        failed += usize::from(run.await.unwrap() == State::Failed);
    }
    assert_eq!(failed, 50);
    first.stop().await;
    let second = engine(&disk, &ledger, ORDER).await;
    let counts = second.handle().counts().await.unwrap();
    let ended: u64 = counts.iter().map(|count| count.sagas).sum();
    assert_eq!(ended, 500);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_acceptance_and_loses_nothing() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let engine = engine(&disk, &ledger, ORDER).await;
    let handle = engine.handle();
    disk.fail_next(Fault::JournalFull);
    let start = || Start {
        idempotency_key: Some("held".into()),
        wait: Some(Duration::from_secs(20)),
        ..order(json!({"order_id": "held"}))
    };
    let told = handle.start(start()).await.unwrap_err();
    assert!(matches!(told, StartError::Unavailable(Unavailable::JournalFailed(_))), "{told}");
    assert!(told.to_string().contains("idempotency key"), "{told}");
    assert!(!handle.health().ready);
    let other = handle.start(order(json!({"order_id": "refused"}))).await.unwrap_err();
    assert!(matches!(other, StartError::Unavailable(Unavailable::JournalFailed(_))), "{other}");
    // There is room again: the start that nobody could answer for was taken, once.
    let again = async {
        loop {
            match handle.start(start()).await {
                Ok(started) => return started,
                Err(StartError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(30), again).await.expect("it is told");
    assert!(again.existing);
    assert_eq!(again.snapshot.saga.state, State::Completed);
    assert_eq!(ledger.done(again.snapshot.saga.id).len(), 3);
    assert!(handle.health().ready);
    engine.stop().await;
}

/// Of sagas of every shard, in memory and not, while the shard that cannot write is among them.
#[tokio::test(start_paused = true)]
async fn reads_go_on_while_the_journal_is_full() {
    /// So many that the shard in trouble has some.
    const SAGAS: usize = 40;
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let engine = engine(&disk, &ledger, ORDER).await;
    let handle = engine.handle();
    let mut sagas = vec![run(&handle, json!({"order_id": "done"})).await.id];
    for n in 0..SAGAS {
        let waits = json!({"order_id": n.to_string(), "Payment.Charge": "hang"});
        sagas.push(begin(&handle, waits).await);
    }
    let cancelled = sagas.pop().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    disk.fail_next(Fault::JournalFull);
    let asking = handle.clone();
    let asked =
        tokio::spawn(async move { asking.ask(cancelled, verb(SagaVerb::Cancel), None).await });
    while handle.health().ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for saga in sagas {
        let got = handle.get(saga).await.unwrap().unwrap();
        let history = handle.history(saga).await.unwrap().unwrap();
        assert_eq!(history.len() as u64, got.saga.seq);
    }
    // Nothing is told of what is not durable.
    let got = handle.get(cancelled).await.map(|_| ());
    assert!(matches!(got, Err(Unavailable::JournalFailed(_))), "{got:?}");
    assert!(!handle.health().ready, "a read waited until there was room again");
    asked.await.unwrap().unwrap();
    assert!(handle.health().ready);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_engine_and_what_was_acknowledged_is_there_afterwards() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let mut first = engine(&disk, &ledger, ORDER).await;
    let handle = first.handle();
    let hangs = json!({"order_id": "x", "Payment.Charge": "hang"});
    let kept = begin(&handle, hangs).await;
    // Which batch meets the fault is the scheduler's choice: no start may be acknowledged and lost.
    disk.fail_next(Fault::Torn);
    let mut acknowledged = vec![kept];
    for n in 0..100 {
        let start = order(json!({"order_id": n.to_string()}));
        match handle.start(start).await {
            Ok(started) => acknowledged.push(started.snapshot.saga.id),
            Err(StartError::Unavailable(_)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    let why = first.broken().await.to_string();
    assert!(why.contains("journal"), "{why}");
    drop(first);
    let second = engine(&disk, &ledger, ORDER).await;
    for id in acknowledged {
        assert!(second.handle().get(id).await.unwrap().is_some(), "{id} was acknowledged");
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let engine = engine(&Disk::new(), &Ledger::default(), ORDER).await;
    let handle = engine.handle();
    let unknown = Start { saga_type: "order".into(), ..order(json!({})) };
    let error = handle.start(unknown).await.unwrap_err();
    assert!(matches!(error, StartError::UnknownType { known: Some(_), .. }), "{error}");
    let nobody = amends_core::SagaId(7);
    assert!(handle.get(nobody).await.unwrap().is_none());
    let ask = verb(SagaVerb::Pause);
    assert_eq!(handle.ask(nobody, ask, None).await.unwrap_err(), AskError::NoSuchSaga(nobody));
    let not_json = handle.start(Start { data: "[1]".into(), ..order(json!({})) }).await;
    assert!(matches!(not_json, Err(StartError::BadData(_))));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_nobody_can_read_is_kept_whole_and_holds_up_no_other() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let first = engine(&disk, &ledger, ORDER).await;
    let good = begin(&first.handle(), json!({"order_id": "x", "Payment.Charge": "hang"})).await;
    drop(first);
    let damaged = 0xbad_u128;
    let store = disk.open();
    let shard = ShardId(0);
    let epoch = store.journal.acquire(shard).await.unwrap();
    let events = Events { first_seq: 1, count: 1, bytes: Bytes::from_static(b"\x01nonsense") };
    let (claims, releases) = (Vec::new(), Vec::new());
    let entry = Entry { saga: damaged, events, claims, releases };
    store.journal.append(Batch { shard, epoch, entries: vec![entry] }).await.unwrap();
    store.close().await;

    let second = engine(&disk, &ledger, ORDER).await;
    let handle = second.handle();
    handle.ask(good, verb(SagaVerb::Cancel), None).await.unwrap();
    assert_eq!(end(&handle, good).await.state, State::Failed);
    second.stop().await;
    let kept = disk.open().catalog.read(damaged).await.unwrap().expect("it is kept");
    assert_eq!(kept.events.bytes, Bytes::from_static(b"\x01nonsense"));
    assert!(kept.row.quarantined.is_some());
}
