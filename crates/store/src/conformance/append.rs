//! Batches become records.

use super::Installation;
use super::given::*;
use crate::{BATCH_BYTES_MAX, Batch, Entry, Events, JournalError, Position, ShardId};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

pub(super) async fn a_record_is_read_back_as_it_was_written(on: &dyn Installation) {
    let given = opened(on).await;
    let entries = vec![entry(1, 1, 3), entry(2, 1, 1)];
    let position = given.appended(entries.clone()).await;
    let records = given.replayed(Position::START).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].position, position);
    assert_eq!(records[0].batches, [Batch { shard: SHARD, epoch: given.epoch, entries }]);
}

pub(super) async fn positions_grow_with_every_append(on: &dyn Installation) {
    let given = opened(on).await;
    let first = given.appended(vec![entry(1, 1, 1)]).await;
    let second = given.appended(vec![entry(1, 2, 1)]).await;
    assert!(first > Position::START && second > first);
}

pub(super) async fn many_sagas_go_into_one_batch(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended((1..=5000).map(|saga| entry(saga, 1, 2)).collect()).await;
    let records = given.replayed(Position::START).await;
    assert_eq!(records[0].batches[0].entries.len(), 5000);
    assert_eq!(records[0].batches[0].entries[4999], entry(5000, 1, 2));
}

pub(super) async fn an_empty_batch_is_answered(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended(vec![]).await;
    given.appended(vec![entry(1, 1, 1)]).await;
}

pub(super) async fn an_entry_without_events_is_malformed(on: &dyn Installation) {
    let given = opened(on).await;
    let error = given.append(vec![entry(1, 1, 0)]).await.unwrap_err();
    assert!(matches!(error, JournalError::Malformed { .. }), "{error}");
}

pub(super) async fn a_batch_over_the_limit_is_too_large(on: &dyn Installation) {
    let given = opened(on).await;
    let bytes = Bytes::from(vec![0; BATCH_BYTES_MAX]);
    let events = Events { first_seq: 1, count: 1, bytes };
    let large = Entry { events, ..entry(1, 1, 1) };
    let error = given.append(vec![large]).await.unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { .. }), "{error}");
    given.appended(vec![entry(1, 1, 1)]).await;
}

pub(super) async fn a_batch_of_a_megabyte_is_read_back(on: &dyn Installation) {
    let given = opened(on).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let events = Events { first_seq: 1, count: 1, bytes: Bytes::from(bytes) };
    let large = Entry { events, ..entry(1, 1, 1) };
    given.appended(vec![large.clone()]).await;
    let records = given.replayed(Position::START).await;
    assert_eq!(records[0].batches[0].entries, [large]);
}

pub(super) async fn appends_of_many_shards_at_once_are_all_there(on: &dyn Installation) {
    let given = opened(on).await;
    let journal = &given.store.journal;
    let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
    for shard in 10..42 {
        under_way.push(Box::pin(async move {
            let shard = ShardId(shard);
            let epoch = journal.acquire(shard).await.unwrap();
            for seq in 1..=5 {
                let entries = vec![entry(shard.0.into(), seq, 1)];
                journal.append(Batch { shard, epoch, entries }).await.unwrap();
            }
        }));
    }
    std::future::poll_fn(|context| {
        under_way.retain_mut(|append| append.as_mut().poll(context).is_pending());
        if under_way.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let records = given.replayed(Position::START).await;
    let batches = records.iter().flat_map(|record| &record.batches);
    for shard in 10..42 {
        let of_shard = batches.clone().filter(|batch| batch.shard == ShardId(shard));
        let seqs: Vec<u64> =
            of_shard.flat_map(|batch| &batch.entries).map(|e| e.events.first_seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5]);
    }
}

pub(super) async fn a_closed_journal_says_so(on: &dyn Installation) {
    let given = opened(on).await;
    given.store.close().await;
    assert_eq!(given.append(vec![entry(1, 1, 1)]).await, Err(JournalError::Closed));
    assert_eq!(given.store.journal.replay(Position::START).await, Err(JournalError::Closed));
}

pub(super) async fn size_grows_with_what_is_held(on: &dyn Installation) {
    let given = opened(on).await;
    assert_eq!(given.store.journal.size().records, 0);
    let last = given.appended(vec![entry(1, 1, 1)]).await;
    let one = given.store.journal.size();
    assert_eq!((one.records, one.last), (1, last));
    let last = given.appended(vec![entry(1, 2, 50)]).await;
    let two = given.store.journal.size();
    assert_eq!((two.records, two.last), (2, last));
    assert!(two.bytes > one.bytes && one.bytes > 0);
}
