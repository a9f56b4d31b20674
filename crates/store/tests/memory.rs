//! The in-memory store does what every store does, and fails when told to.

use amends_store::conformance::{BEHAVIOURS, Installation, block_on};
use amends_store::memory::{Disk, Fault};
use amends_store::{
    Batch, BoxFuture, Checkpoint, Entry, Events, JournalError, Position, ShardId, Store,
};
use bytes::Bytes;

struct InMemory(Disk);

impl Installation for InMemory {
    fn open(&self) -> BoxFuture<'_, Store> {
        Box::pin(async { self.0.open() })
    }
}

amends_store::conformance_tests!(InMemory(Disk::new()));

#[test]
fn the_suite_is_as_large_as_it_says() {
    let mut names: Vec<_> = BEHAVIOURS.iter().map(|b| (b.topic, b.name)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), BEHAVIOURS.len());
    println!("{} behaviours", names.len());
    assert!(names.len() >= 100);
}

fn start(store: &Store) -> Result<Position, JournalError> {
    let shard = ShardId(0);
    let events = Events { first_seq: 1, count: 1, bytes: Bytes::from_static(b"started") };
    let entry = Entry { saga: 1, events, claims: vec![], releases: vec![] };
    block_on(async {
        let epoch = store.journal.acquire(shard).await?;
        let batch = Batch { shard, epoch, entries: vec![entry] };
        Ok(store.journal.append(batch).await?.position)
    })
}

fn records(store: &Store) -> usize {
    block_on(store.journal.replay(Position::START)).unwrap().len()
}

#[test]
fn a_full_disk_takes_nothing_and_may_be_tried_again() {
    let disk = Disk::new();
    let store = disk.open();
    disk.fail_next(Fault::JournalFull);
    let error = start(&store).unwrap_err();
    assert!(matches!(error, JournalError::Full { .. }) && error.may_be_retried());
    assert_eq!(records(&store), 0);
    start(&store).unwrap();
    assert_eq!((records(&store), disk.faults_left()), (1, 0));
}

#[test]
fn a_torn_append_breaks_the_journal_and_is_gone_after_reopening() {
    let disk = Disk::new();
    let store = disk.open();
    disk.fail_next(Fault::Torn);
    assert!(matches!(start(&store), Err(JournalError::Broken { .. })));
    assert!(matches!(start(&store), Err(JournalError::Broken { .. })));
    let store = disk.open();
    assert_eq!(records(&store), 0);
    start(&store).unwrap();
}

#[test]
fn an_unanswered_append_is_there_after_reopening() {
    let disk = Disk::new();
    let store = disk.open();
    disk.fail_next(Fault::Unanswered);
    assert!(matches!(start(&store), Err(JournalError::Broken { .. })));
    let store = disk.open();
    assert_eq!(records(&store), 1);
    assert!(matches!(start(&store), Err(JournalError::OutOfSequence { expected: 2, .. })));
}

#[test]
fn a_full_catalog_takes_nothing() {
    let disk = Disk::new();
    let store = disk.open();
    let checkpoint = Checkpoint { position: Position::START, sagas: vec![] };
    disk.fail_next(Fault::CatalogFull);
    assert!(block_on(store.catalog.checkpoint(checkpoint.clone())).unwrap_err().may_be_retried());
    block_on(store.catalog.checkpoint(checkpoint)).unwrap();
}

#[test]
fn a_store_opened_before_is_closed_by_the_next_opening() {
    let disk = Disk::new();
    let before = disk.open();
    let after = disk.open();
    assert_eq!(start(&before), Err(JournalError::Closed));
    start(&after).unwrap();
}
