//! How fast this store is on this machine: `cargo run --release -p amends-store-sqlite --example
//! throughput [FOLDER] [SAGAS]`.
//!
//! Method. Everything runs in one process on the disk that FOLDER is on (a new folder in the
//! current one by default), with every sync on. Bytes are what the kernel was asked to write, by
//! `/proc/self/io`, journal and catalog and their write-ahead files together. Three parts:
//!
//! 1. appends: one shard appends batches of 64, 256 and 1024 events of 90 bytes, one after the
//!    other, and nothing else runs;
//! 2. checkpoints: sagas that are one row each, 540 bytes of history, 16,384 a checkpoint, without
//!    keys and then with an idempotency key each;
//! 3. both: sagas of 12 events in 6 entries come in groups of 1024 in flight, while everything
//!    that has ended is brought to the catalog and the journal is cut. Counted from the first
//!    append until the catalog holds all.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use amends_store::conformance::block_on;
use amends_store::{
    Batch, CHECKPOINT_SAGAS_ADVISED, Checkpoint, Checkpointed, Claim, ClaimKey, ClaimKind, Entry,
    Epoch, Events, Position, SagaRow, ShardId, Store,
};
use amends_store_sqlite::{Options, open};
use bytes::Bytes;

const SHARD: ShardId = ShardId(0);
const EVENT_BYTES: usize = 90;
const HISTORY_BYTES: usize = 540;
const SAGAS: u64 = 400_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "throughput-data".into()));
    let sagas = arguments.next().and_then(|sagas| sagas.parse().ok()).unwrap_or(SAGAS);
    let run = |name: &str, part: &dyn Fn(&Path)| {
        let folder = folder.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder to write to");
        part(&folder);
        let _ = fs::remove_dir_all(&folder);
    };
    for batch in [64, 256, 1024] {
        run("appends", &|folder| appends(folder, batch));
    }
    run("rows", &|folder| rows(folder, sagas, false));
    run("rows-keys", &|folder| rows(folder, sagas, true));
    run("both", &|folder| both(folder, sagas, false));
    run("both-keys", &|folder| both(folder, sagas, true));
    let _ = fs::remove_dir(&folder);
}

/// Ids as amends makes them: they grow with time and differ in their low half.
fn id(n: u64) -> u128 {
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((1_700_000_000_000 + u128::from(n / 40)) << 80) | (7 << 76) | u128::from(scattered)
}

fn opened(folder: &Path) -> (Store, Epoch) {
    let store = open(folder, &Options::default()).expect("the store opens");
    let epoch = block_on(store.journal.acquire(SHARD)).expect("the shard is free");
    (store, epoch)
}

/// Bytes that look like facts: numbers and names, the same ones again and again.
fn facts(length: usize) -> Bytes {
    let text = br#"{"step":"reserve_inventory","attempt":1,"at":1700000000123,"result":{"reservation_id":"r-8217"}}"#;
    Bytes::from(text.iter().copied().cycle().take(length).collect::<Vec<u8>>())
}

fn entry(saga: u128, first_seq: u64, count: u32, facts: &Bytes) -> Entry {
    let events = Events { first_seq, count, bytes: facts.clone() };
    Entry { saga, events, claims: Vec::new(), releases: Vec::new() }
}

fn claim(n: u64) -> Claim {
    let key = format!("order-{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into();
    let key = ClaimKey { kind: ClaimKind::Idempotency, scope: "OrderFulfillment".into(), key };
    Claim { key, payload_hash: [7; 32] }
}

fn ended(n: u64, seq: u64, facts: &Bytes) -> Checkpointed {
    let created_at = 1_700_000_000_000 + n / 40;
    let row = SagaRow {
        saga: id(n),
        shard: SHARD,
        saga_type: "OrderFulfillment".into(),
        definition_version: 1,
        definition_hash: [3; 32],
        state: if n.is_multiple_of(10) { 4 } else { 3 },
        paused: false,
        live: false,
        seq,
        created_at,
        updated_at: created_at + 12,
        ended_at: Some(created_at + 12),
        due_at: None,
        close_at: Some(created_at + 12),
        expires_at: Some(created_at + 2_592_000_000),
        business_key: None,
        attention: 0,
        stuck_at: None,
        error: None,
        quarantined: None,
    };
    Checkpointed { row, events: Events { first_seq: 1, count: seq as u32, bytes: facts.clone() } }
}

fn append(store: &Store, epoch: Epoch, entries: Vec<Entry>) -> Position {
    let batch = Batch { shard: SHARD, epoch, entries };
    block_on(store.journal.append(batch)).expect("the batch is taken").position
}

/// One part of the bench, from here on.
struct Measured {
    started: Instant,
    written_before: u64,
}

impl Measured {
    fn start() -> Self {
        Self { started: Instant::now(), written_before: written() }
    }

    fn say(&self, what: &str, number: u64, unit: &str) {
        let (seconds, bytes) =
            (self.started.elapsed().as_secs_f64(), written() - self.written_before);
        let (each, rate) = (bytes as f64 / number as f64, number as f64 / seconds);
        println!("{what:<44} {rate:>9.0} {unit}s/s  {each:>6.0} bytes written a {unit}");
    }
}

/// What the kernel was asked to write so far; 0 where it does not say.
fn written() -> u64 {
    let said = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = said.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn appends(folder: &Path, batch: u64) {
    let (store, epoch) = opened(folder);
    let facts = facts(EVENT_BYTES);
    let batches = 1_000_000 / batch;
    let measured = Measured::start();
    for at in 0..batches {
        let entries = (0..batch).map(|n| entry(id(n), at + 1, 1, &facts)).collect();
        append(&store, epoch, entries);
    }
    measured.say(&format!("appends in batches of {batch}"), batches * batch, "event");
}

fn rows(folder: &Path, sagas: u64, with_keys: bool) {
    let (store, epoch) = opened(folder);
    let facts = facts(HISTORY_BYTES);
    let mut measured: Option<Measured> = None;
    let mut spent = std::time::Duration::ZERO;
    let mut bytes = 0;
    for from in (0..sagas).step_by(CHECKPOINT_SAGAS_ADVISED) {
        let range = from..(from + CHECKPOINT_SAGAS_ADVISED as u64).min(sagas);
        let mut entries: Vec<Entry> =
            range.clone().map(|n| entry(id(n), 1, 1, &Bytes::from_static(b"x"))).collect();
        if with_keys {
            for (entry, n) in entries.iter_mut().zip(range.clone()) {
                entry.claims.push(claim(n));
            }
        }
        let position = append(&store, epoch, entries);
        let sagas = range.map(|n| ended(n, 1, &facts)).collect();
        let part = measured.insert(Measured::start());
        block_on(store.catalog.checkpoint(Checkpoint { position, sagas })).expect("it is taken");
        spent += part.started.elapsed();
        bytes += written() - part.written_before;
        block_on(store.journal.cut(position)).expect("it is cut");
    }
    let what = if with_keys { "rows with an idempotency key" } else { "rows" };
    let (rate, each) = (sagas as f64 / spent.as_secs_f64(), bytes as f64 / sagas as f64);
    println!("{what:<44} {rate:>9.0} sagas/s  {each:>6.0} bytes written a saga");
}

/// How many sagas are in flight, and how many events each has in how many entries.
const IN_FLIGHT: u64 = 1024;
const ENTRIES: u64 = 6;
const EVENTS_AN_ENTRY: u32 = 2;

fn both(folder: &Path, sagas: u64, with_keys: bool) {
    let (store, epoch) = opened(folder);
    let facts_of_entry = facts(HISTORY_BYTES / ENTRIES as usize);
    let facts = facts(HISTORY_BYTES);
    let groups = sagas / IN_FLIGHT;
    let measured = Measured::start();
    let (ended_sagas, archived) = std::sync::mpsc::channel::<(Position, Vec<Checkpointed>)>();
    let archiving = store.clone();
    let archiver = std::thread::spawn(move || {
        while let Ok((mut position, mut sagas)) = archived.recv() {
            while sagas.len() < CHECKPOINT_SAGAS_ADVISED
                && let Ok((later, more)) = archived.recv()
            {
                position = later;
                sagas.extend(more);
            }
            block_on(archiving.catalog.checkpoint(Checkpoint { position, sagas }))
                .expect("it is taken");
            block_on(archiving.journal.cut(position)).expect("it is cut");
        }
    });
    for group in 0..groups {
        let range = group * IN_FLIGHT..(group + 1) * IN_FLIGHT;
        let mut position = Position::START;
        for at in 0..ENTRIES {
            let first_seq = at * u64::from(EVENTS_AN_ENTRY) + 1;
            let mut entries: Vec<Entry> = range
                .clone()
                .map(|n| entry(id(n), first_seq, EVENTS_AN_ENTRY, &facts_of_entry))
                .collect();
            if with_keys && at == 0 {
                for (entry, n) in entries.iter_mut().zip(range.clone()) {
                    entry.claims.push(claim(n));
                }
            }
            position = append(&store, epoch, entries);
        }
        let seq = ENTRIES * u64::from(EVENTS_AN_ENTRY);
        let group = range.map(|n| ended(n, seq, &facts)).collect();
        ended_sagas.send((position, group)).expect("the archiver runs");
    }
    let burst = measured.started.elapsed().as_secs_f64();
    drop(ended_sagas);
    archiver.join().expect("the archiver ends well");
    let what = if with_keys { "journal and catalog, with a key" } else { "journal and catalog" };
    measured.say(what, groups * IN_FLIGHT, "saga");
    println!(
        "{:<44} {:>9.0} sagas/s",
        "  of which acknowledged by the journal at",
        (groups * IN_FLIGHT) as f64 / burst
    );
}
