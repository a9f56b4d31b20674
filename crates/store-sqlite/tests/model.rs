//! Whatever is done to it in whatever order, this store answers as the one in memory does.

use std::collections::BTreeMap;

use amends_store::conformance::block_on;
use amends_store::memory::Disk;
use amends_store::{
    Appended, Batch, CatalogError, Checkpoint, Checkpointed, Claim, ClaimKey, ClaimKind, Entry,
    Events, JournalError, Position, Query, SagaRow, ShardId, Store,
};
use amends_store_sqlite::{Options, open};
use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

const SHARD: ShardId = ShardId(0);
const SAGAS: u128 = 6;
const KEYS: u8 = 3;

#[derive(Clone, Debug)]
enum Op {
    Start { saga: u128, idempotency: Option<u8>, business: Option<u8> },
    Go { saga: u128, events: u32, off_by: u64 },
    End { saga: u128, key: u8 },
    Checkpoint { sagas: u8, all: bool },
    Cut { back: u64 },
    Advance { cursor: bool, back: u64 },
    Expire,
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let saga = 1..=SAGAS;
    let key = || proptest::option::of(0..KEYS);
    let op = prop_oneof![
        6 => (saga.clone(), key(), key())
            .prop_map(|(saga, idempotency, business)| Op::Start { saga, idempotency, business }),
        6 => (saga.clone(), 1..4_u32, prop_oneof![9 => Just(0), 1 => 1..3_u64])
            .prop_map(|(saga, events, off_by)| Op::Go { saga, events, off_by }),
        4 => (saga, 0..KEYS).prop_map(|(saga, key)| Op::End { saga, key }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(sagas, all)| Op::Checkpoint { sagas, all }),
        2 => (0..4_u64).prop_map(|back| Op::Cut { back }),
        1 => (any::<bool>(), 0..4_u64).prop_map(|(cursor, back)| Op::Advance { cursor, back }),
        1 => Just(Op::Expire),
        2 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..60)
}

/// What the engine would know: of each saga its events, how many the catalog has, what it is.
#[derive(Clone, Default)]
struct Known {
    seq: u64,
    saved: u64,
    business: Option<u8>,
    is_over: bool,
}

fn key(kind: ClaimKind, key: u8) -> ClaimKey {
    ClaimKey { kind, scope: "Order".into(), key: format!("key-{key}").into() }
}

fn events(saga: u128, first_seq: u64, count: u32) -> Events {
    let text: String =
        (first_seq..first_seq + u64::from(count)).map(|seq| format!("<{saga}/{seq}>")).collect();
    Events { first_seq, count, bytes: Bytes::from(text) }
}

fn row(saga: u128, known: &Known) -> SagaRow {
    SagaRow {
        saga,
        shard: SHARD,
        saga_type: "Order".into(),
        definition_version: 1,
        definition_hash: [1; 32],
        state: if known.is_over { 3 } else { 1 },
        paused: false,
        live: !known.is_over,
        seq: known.seq,
        created_at: saga as u64,
        updated_at: known.seq,
        ended_at: known.is_over.then_some(known.seq),
        due_at: (!known.is_over && saga.is_multiple_of(2)).then_some(known.seq),
        close_at: known.is_over.then_some(1),
        expires_at: known.is_over.then_some(1),
        business_key: known.business.map(|key| format!("key-{key}").into()),
        attention: u32::from(saga.is_multiple_of(3)),
        stuck_at: (!known.is_over && saga.is_multiple_of(3)).then_some(known.seq),
        error: None,
        quarantined: None,
    }
}

/// Both stores, and what each of them was asked last.
struct Both {
    folder: TempDir,
    disk: Disk,
    sqlite: Store,
    memory: Store,
    known: BTreeMap<u128, Known>,
}

impl Both {
    fn new() -> Self {
        let (folder, disk) = (TempDir::new().unwrap(), Disk::new());
        let sqlite = open(folder.path(), &Options::default()).unwrap();
        let memory = disk.open();
        Self { folder, disk, sqlite, memory, known: BTreeMap::new() }
    }

    fn reopen(&mut self) {
        block_on(self.sqlite.close());
        self.sqlite = open(self.folder.path(), &Options::default()).unwrap();
        self.memory = self.disk.open();
    }

    /// Asks both the same and wants the same answer.
    fn same<T: PartialEq + std::fmt::Debug>(&self, ask: impl AsyncFn(&Store) -> T) -> T {
        let (sqlite, memory) =
            block_on(async { (ask(&self.sqlite).await, ask(&self.memory).await) });
        assert_eq!(sqlite, memory);
        sqlite
    }

    fn append(&self, entry: Entry) -> Result<Appended, JournalError> {
        self.same(async |store| {
            let epoch = store.journal.acquire(SHARD).await?;
            store.journal.append(Batch { shard: SHARD, epoch, entries: vec![entry.clone()] }).await
        })
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Start { saga, idempotency, business } => {
                let of = |kind, n: Option<u8>| {
                    n.map(|n| Claim { key: key(kind, n), payload_hash: [saga as u8; 32] })
                };
                let claims = of(ClaimKind::Idempotency, idempotency).into_iter();
                let claims = claims.chain(of(ClaimKind::Business, business)).collect();
                let entry = Entry { saga, events: events(saga, 1, 1), claims, releases: vec![] };
                if self.append(entry).is_ok_and(|appended| appended.rejected.is_empty()) {
                    self.known.insert(saga, Known { seq: 1, business, ..Known::default() });
                }
            }
            Op::Go { saga, events: count, off_by } => {
                let first_seq = self.known.entry(saga).or_default().seq + 1 + off_by;
                let events = events(saga, first_seq, count);
                let entry = Entry { saga, events, claims: vec![], releases: vec![] };
                if self.append(entry).is_ok() {
                    self.known.entry(saga).or_default().seq += u64::from(count);
                }
            }
            Op::End { saga, key: released } => {
                let seq = self.known.entry(saga).or_default().seq + 1;
                let releases = vec![key(ClaimKind::Business, released)];
                let entry = Entry { saga, events: events(saga, seq, 1), claims: vec![], releases };
                if self.append(entry).is_ok() {
                    let known = self.known.entry(saga).or_default();
                    (known.seq, known.is_over) = (seq, true);
                }
            }
            Op::Checkpoint { sagas, all } => self.checkpoint(sagas, all),
            Op::Cut { back } => {
                let to = Position(self.memory.journal.size().last.0.saturating_sub(back));
                let _ = self.same(async |store| store.journal.cut(to).await);
            }
            Op::Advance { cursor, back } => {
                let name = if cursor { "kafka" } else { "nats" };
                let to = Position(self.memory.journal.size().last.0.saturating_sub(back));
                let _ = self.same(async |store| store.journal.advance(name, to).await);
            }
            Op::Expire => {
                let expired = self.same(async |store| store.catalog.expire(1, 2).await).unwrap();
                for saga in expired {
                    self.known.remove(&saga);
                }
            }
            Op::Reopen => self.reopen(),
        }
    }

    fn checkpoint(&mut self, picked: u8, all: bool) {
        let is_picked = |saga: &u128| all || picked >> saga & 1 == 1;
        let mut sagas = Vec::new();
        for (saga, known) in self.known.iter().filter(|(saga, k)| k.seq > 0 && is_picked(saga)) {
            let events = events(*saga, known.saved + 1, (known.seq - known.saved) as u32);
            sagas.push(Checkpointed { row: row(*saga, known), events });
        }
        let position = if all { self.memory.journal.size().last } else { Position::START };
        let checkpoint = Checkpoint { position, sagas: sagas.clone() };
        let done: Result<Position, CatalogError> =
            self.same(async |store| store.catalog.checkpoint(checkpoint.clone()).await);
        done.unwrap();
        for saga in sagas {
            self.known.entry(saga.row.saga).or_default().saved = saga.row.seq;
        }
    }

    fn compare(&self) {
        let size = |store: &Store| {
            let size = store.journal.size();
            (size.records, size.cut, size.last)
        };
        assert_eq!(size(&self.sqlite), size(&self.memory));
        assert_eq!(self.sqlite.catalog.position(), self.memory.catalog.position());
        let cut = self.memory.journal.size().cut;
        self.same(async |store| store.journal.replay(cut).await).unwrap();
        self.same(async |store| store.journal.cursors().await).unwrap();
        self.same(async |store| store.catalog.list(Query::default()).await).unwrap();
        self.same(async |store| store.catalog.counts().await).unwrap();
        self.same(async |store| store.catalog.live(SHARD, None, 100).await).unwrap();
        self.same(async |store| store.catalog.due(SHARD, 3, None, 100).await).unwrap();
        for saga in 1..=SAGAS {
            let stored = self.same(async |store| store.catalog.read(saga).await).unwrap();
            if let Some(stored) = stored {
                assert_eq!(stored.events, events(saga, 1, stored.row.seq as u32));
            }
        }
        for n in 0..KEYS {
            for kind in [ClaimKind::Idempotency, ClaimKind::Business] {
                self.same(async |store| store.journal.claim_holder(key(kind, n)).await).unwrap();
            }
            let business_key = Some(format!("key-{n}").into());
            let query = Query { business_key, ..Query::default() };
            self.same(async |store| store.catalog.list(query.clone()).await).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_stores_answer_the_same(ops in ops()) {
        let mut both = Both::new();
        for op in ops {
            both.run(op);
        }
        both.compare();
        both.reopen();
        both.compare();
    }
}
