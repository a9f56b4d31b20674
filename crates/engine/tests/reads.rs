//! Sagas are read back from the catalog while checkpoints go on: what is read may be older than
//! what has just left memory. The runtime's clock is paused, and the catalog waits when told to.

mod shop;

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::{Saga, State};
use amends_engine::{Engine, Handle, Options, Receipt, ReplyIn, StartError, Unavailable, options};
use amends_store::memory::Disk;
use amends_store::{
    Audit, AuditEntry, BoxFuture, Catalog, CatalogError, Checkpoint, Count, Definition, DueCursor,
    Orphan, Page, Position, Quarantine, Query, ShardId, Store, StoredOrphan, StoredSaga,
};
use bytes::Bytes;
use serde_json::json;
use shop::{Ledger, deployment, look, order, participants, run};
use tokio::sync::watch;

const ORDER: &str = r#"
saga: Order
defaults: { timeout: 10s, deadline: 1h }
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

/// Longer than a few checkpoints take to come.
const CHECKPOINTS: Duration = Duration::from_secs(5);

/// With this many sagas that the catalog lacks, starts are pushed back.
const BEHIND_MAX: usize = 400;

/// A catalog whose readings wait with what they have read, and whose checkpoints wait before and
/// after they write, while their gates are shut.
struct Gated {
    inner: Arc<dyn Catalog>,
    reads: watch::Receiver<bool>,
    checkpoints: watch::Receiver<bool>,
    written: watch::Receiver<bool>,
    /// What is read is damaged.
    damaged: watch::Receiver<bool>,
}

struct Gates {
    reads: watch::Sender<bool>,
    checkpoints: watch::Sender<bool>,
    written: watch::Sender<bool>,
    damaged: watch::Sender<bool>,
}

async fn pass(gate: &watch::Receiver<bool>) {
    let _ = gate.clone().wait_for(|open| *open).await; // a gate that is gone is open
}

type Done<'a, T> = BoxFuture<'a, Result<T, CatalogError>>;

impl Catalog for Gated {
    fn checkpoint(&self, checkpoint: Checkpoint) -> Done<'_, Position> {
        Box::pin(async move {
            pass(&self.checkpoints).await;
            let written = self.inner.checkpoint(checkpoint).await;
            pass(&self.written).await;
            written
        })
    }

    fn position(&self) -> Position {
        self.inner.position()
    }

    fn read(&self, saga: u128) -> Done<'_, Option<StoredSaga>> {
        Box::pin(async move {
            let mut read = self.inner.read(saga).await;
            pass(&self.reads).await;
            if let Ok(Some(stored)) = &mut read
                && *self.damaged.borrow()
            {
                stored.events.bytes = Bytes::from_static(b"\x01nonsense");
            }
            read
        })
    }

    fn list(&self, query: Query) -> Done<'_, Page> {
        self.inner.list(query)
    }

    fn counts(&self) -> Done<'_, Vec<Count>> {
        self.inner.counts()
    }

    fn stuck(&self, by: u64) -> Done<'_, Vec<Count>> {
        self.inner.stuck(by)
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Done<'_, Vec<StoredSaga>> {
        Box::pin(async move {
            let due = self.inner.due(shard, until, after, limit).await;
            pass(&self.reads).await;
            due
        })
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> Done<'_, Vec<StoredSaga>> {
        self.inner.live(shard, after, limit)
    }

    fn put_definition(&self, definition: Definition) -> Done<'_, ()> {
        self.inner.put_definition(definition)
    }

    fn definition(&self, saga_type: &str, version: u32) -> Done<'_, Option<Definition>> {
        self.inner.definition(saga_type, version)
    }

    fn definitions(&self) -> Done<'_, Vec<Definition>> {
        self.inner.definitions()
    }

    fn put_note(&self, name: &str, note: Bytes) -> Done<'_, ()> {
        self.inner.put_note(name, note)
    }

    fn note(&self, name: &str) -> Done<'_, Option<Bytes>> {
        self.inner.note(name)
    }

    fn put_orphan(&self, orphan: Orphan) -> Done<'_, u64> {
        self.inner.put_orphan(orphan)
    }

    fn orphans(&self, after: u64, limit: usize) -> Done<'_, Vec<StoredOrphan>> {
        self.inner.orphans(after, limit)
    }

    fn remove_orphan(&self, number: u64) -> Done<'_, bool> {
        self.inner.remove_orphan(number)
    }

    fn append_audit(&self, audit: Audit) -> Done<'_, AuditEntry> {
        self.inner.append_audit(audit)
    }

    fn audits(&self, saga: Option<u128>, after: u64, limit: usize) -> Done<'_, Vec<AuditEntry>> {
        self.inner.audits(saga, after, limit)
    }

    fn expire(&self, now: u64, limit: usize) -> Done<'_, Vec<u128>> {
        self.inner.expire(now, limit)
    }

    fn quarantine(&self, saga: u128, quarantine: Quarantine) -> Done<'_, ()> {
        self.inner.quarantine(saga, quarantine)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

/// An engine on a gated catalog, after its first checkpoint.
async fn gated(ledger: &Ledger) -> (Engine, Gates, Arc<dyn Catalog>) {
    let Store { journal, catalog: inner } = Disk::new().open();
    let open = || watch::Sender::new(true);
    let damaged = watch::Sender::new(false);
    let gates = Gates { reads: open(), checkpoints: open(), written: open(), damaged };
    let gated = Gated {
        inner: Arc::clone(&inner),
        reads: gates.reads.subscribe(),
        checkpoints: gates.checkpoints.subscribe(),
        written: gates.written.subscribe(),
        damaged: gates.damaged.subscribe(),
    };
    let store = Store { journal, catalog: Arc::new(gated) };
    let options = Options { catalog_behind_sagas_max: BEHIND_MAX, ..Options::default() };
    let engine = Engine::start(options, store, participants(ledger)).await.unwrap();
    engine.handle().deploy(vec![deployment(ORDER)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    (engine, gates, inner)
}

/// A late reply that says that the payment was made after all.
fn paid_after_all(saga: &Saga) -> ReplyIn {
    let body = json!({
        "type": "SagaStepCompleted",
        "saga_id": saga.id.to_string(),
        "step_name": "pay",
        "result": {"payment_id": "p-1"},
    });
    let raw = Bytes::from(body.to_string());
    let reply = amends_wire::Reply::parse(&(), &raw).unwrap();
    ReplyIn { reply, token: None, services: None, source: "callback".to_owned(), raw }
}

fn reply(
    handle: &Handle,
    saga: &Saga,
) -> tokio::task::JoinHandle<Result<Receipt, amends_engine::ReplyError>> {
    let (handle, reply_in) = (handle.clone(), paid_after_all(saga));
    tokio::spawn(async move { handle.reply(reply_in).await })
}

/// The catalog holds a saga as the engine knows it.
async fn agrees(handle: &Handle, catalog: &dyn Catalog, saga: &Saga) {
    let seq = look(handle, saga.id).await.seq;
    let stored = catalog.read(saga.id.0).await.unwrap().expect("it was checkpointed");
    assert_eq!(stored.row.seq, seq);
    let history = handle.history(saga.id).await.unwrap().unwrap();
    let places: Vec<u64> = history.iter().map(|item| item.seq).collect();
    assert_eq!(places, (1..=seq).collect::<Vec<_>>());
}

/// More questions than fit a batch, and not a single fact among them.
#[tokio::test(start_paused = true)]
async fn any_number_of_questions_is_answered_while_nothing_happens() {
    const QUESTIONS: usize = 10_000;
    let ledger = Ledger::default();
    let (engine, _gates, _catalog) = gated(&ledger).await;
    let handle = engine.handle();
    let saga = run(&handle, json!({})).await;
    for asked in 0..QUESTIONS {
        let answer = tokio::time::timeout(Duration::from_secs(60), handle.get(saga.id)).await;
        assert!(answer.is_ok(), "after {asked} questions");
    }
    engine.stop().await;
}

/// Neither sagas that run nor such as have ended may pile up in memory.
#[tokio::test(start_paused = true)]
async fn starts_are_pushed_back_while_the_catalog_is_behind_and_taken_when_it_is_not() {
    for data in [json!({"Payment.Charge": "later"}), json!({})] {
        let ledger = Ledger::default();
        let (engine, gates, _catalog) = gated(&ledger).await;
        let handle = engine.handle();
        gates.checkpoints.send_replace(false);
        let mut taken = 0;
        let refusal = loop {
            // A checkpoint begins in between, and does not come to its end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            match handle.start(order(data.clone())).await {
                Ok(_) => taken += 1,
                Err(refusal) => break refusal,
            }
            assert!(taken <= BEHIND_MAX, "it was never pushed back");
        };
        let behind = StartError::Unavailable(Unavailable::CatalogBehind { retry_after_secs: 1 });
        assert_eq!(refusal, behind);
        assert!(taken > BEHIND_MAX / 2, "pushed back after {taken}, for a bound of {BEHIND_MAX}");
        gates.checkpoints.send_replace(true);
        tokio::time::sleep(CHECKPOINTS).await;
        assert!(handle.start(order(data)).await.is_ok(), "the catalog has caught up");
        engine.stop().await;
    }
}

/// The reading begins before the checkpoint that holds the end and comes back after it.
#[tokio::test(start_paused = true)]
async fn a_saga_that_is_checkpointed_while_it_is_read_is_read_again() {
    let ledger = Ledger::default();
    let (engine, gates, catalog) = gated(&ledger).await;
    let handle = engine.handle();
    let saga = run(&handle, json!({"Payment.Charge": "refuse"})).await;
    gates.reads.send_replace(false);
    let replied = reply(&handle, &saga);
    tokio::time::sleep(CHECKPOINTS).await;
    assert!(!replied.is_finished(), "it is being read");
    gates.reads.send_replace(true);
    assert_eq!(replied.await.unwrap().unwrap(), Receipt::Taken);
    let after = look(&handle, saga.id).await;
    assert!(after.seq > saga.seq, "the late success is recorded: {after:?}");
    tokio::time::sleep(CHECKPOINTS).await;
    agrees(&handle, &*catalog, &saga).await;
    engine.stop().await;
}

/// It ends, is collected, comes back for a late success, and only then is its end held.
#[tokio::test(start_paused = true)]
async fn a_saga_that_comes_back_during_its_checkpoint_is_checkpointed_on() {
    let ledger = Ledger::default();
    let (engine, gates, catalog) = gated(&ledger).await;
    let handle = engine.handle();
    let saga = run(&handle, json!({"Payment.Charge": "refuse"})).await;
    gates.checkpoints.send_replace(false);
    tokio::time::sleep(CHECKPOINTS).await;
    assert_eq!(reply(&handle, &saga).await.unwrap().unwrap(), Receipt::Taken);
    let after = look(&handle, saga.id).await;
    assert!(after.seq > saga.seq, "the late success is recorded: {after:?}");
    gates.checkpoints.send_replace(true);
    tokio::time::sleep(CHECKPOINTS).await;
    agrees(&handle, &*catalog, &saga).await;
    engine.stop().await;
}

/// It is collected while it runs and ends before that is known to be held: the catalog then holds
/// a part of what is kept of its end.
#[tokio::test(start_paused = true)]
async fn a_saga_that_ends_during_its_checkpoint_is_read_to_its_end() {
    let ledger = Ledger::default();
    let (engine, gates, catalog) = gated(&ledger).await;
    let handle = engine.handle();
    gates.written.send_replace(false);
    let saga = run(&handle, json!({"Payment.Charge": "late 1"})).await;
    assert_eq!(saga.state, State::Completed);
    let part = catalog.read(saga.id.0).await.unwrap().expect("it was collected as it ran");
    assert!(part.row.seq < saga.seq, "{part:?}");
    assert_eq!(reply(&handle, &saga).await.unwrap().unwrap(), Receipt::Taken);
    assert_eq!(look(&handle, saga.id).await.state, State::Completed);
    gates.written.send_replace(true);
    tokio::time::sleep(CHECKPOINTS).await;
    agrees(&handle, &*catalog, &saga).await;
    engine.stop().await;
}

/// What is due soon is read while it runs; it ends, and the catalog knows, before that reading
/// comes back.
#[tokio::test(start_paused = true)]
async fn a_saga_that_ends_while_what_is_due_is_read_stays_ended() {
    /// The shards are read one after the other, so some sagas must be the first one's.
    const SAGAS: usize = 40;
    const DUE_READ_EVERY: Duration = Duration::from_millis(options::DUE_WINDOW.0 / 2);
    let ledger = Ledger::default();
    let (engine, gates, catalog) = gated(&ledger).await;
    let handle = engine.handle();
    tokio::time::sleep(DUE_READ_EVERY - CHECKPOINTS).await;
    let mut ends = tokio::task::JoinSet::new();
    for _ in 0..SAGAS {
        let saga = shop::begin(&handle, json!({"Payment.Charge": "late 1"})).await;
        let handle = handle.clone();
        ends.spawn(async move { shop::end(&handle, saga).await });
    }
    tokio::time::sleep(CHECKPOINTS / 2).await;
    gates.reads.send_replace(false);
    let ended = ends.join_all().await;
    // Also their late first answers have come by then.
    tokio::time::sleep(4 * CHECKPOINTS).await;
    gates.reads.send_replace(true);
    tokio::time::sleep(CHECKPOINTS).await;
    for saga in &ended {
        assert_eq!(reply(&handle, saga).await.unwrap().unwrap(), Receipt::Taken);
    }
    tokio::time::sleep(CHECKPOINTS).await;
    for saga in &ended {
        agrees(&handle, &*catalog, saga).await;
    }
    engine.stop().await;
}

/// It was parked until it is asked again, and cannot be read when the first answer comes.
#[tokio::test(start_paused = true)]
async fn an_answer_in_its_own_exchange_to_a_saga_that_cannot_be_read_is_kept() {
    let ledger = Ledger::default();
    let (engine, gates, catalog) = gated(&ledger).await;
    let handle = engine.handle();
    let backoff = "retry: { backoff: { initial: 30m, max: 30m, jitter: none } }";
    let patient = ORDER.replace("timeout: 10s", &format!("timeout: 1s, {backoff}"));
    handle.deploy(vec![deployment(&patient)]).await.unwrap();
    let saga = shop::begin(&handle, json!({"Payment.Charge": "late 1"})).await;
    tokio::time::sleep(2 * CHECKPOINTS).await;
    assert_eq!(handle.health().sagas_in_memory, 0, "it is parked");
    gates.damaged.send_replace(true);
    tokio::time::sleep(2 * CHECKPOINTS).await;
    let orphans = catalog.orphans(0, 10).await.unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].orphan.saga, saga.0);
    let said: serde_json::Value = serde_json::from_slice(&orphans[0].orphan.reply).unwrap();
    assert_eq!((&said["type"], &said["step"]), (&json!("SagaStepCompleted"), &json!(1)), "{said}");
    assert_eq!(said["result"], json!({"done": "Payment.Charge"}));
    engine.stop().await;
}
