//! A shard has one owner at a time.

use super::Installation;
use super::given::*;
use crate::{Batch, Epoch, JournalError, ShardId, Store};

async fn append(store: &Store, shard: ShardId, epoch: Epoch, saga: u128) -> Option<JournalError> {
    let batch = Batch { shard, epoch, entries: vec![entry(saga, 1, 1)] };
    store.journal.append(batch).await.err()
}

pub(super) async fn a_shard_that_nobody_owns_is_not_written(on: &dyn Installation) {
    let store = on.open().await;
    let stale = Epoch(1);
    let expected = JournalError::StaleOwner { shard: ShardId(8), stale, current: Epoch(0) };
    assert_eq!(append(&store, ShardId(8), stale, 1).await, Some(expected));
}

pub(super) async fn a_newer_owner_fences_the_older(on: &dyn Installation) {
    let store = on.open().await;
    let older = store.journal.acquire(SHARD).await.unwrap();
    assert_eq!(append(&store, SHARD, older, 1).await, None);
    let newer = store.journal.acquire(SHARD).await.unwrap();
    assert!(newer > older);
    let expected = JournalError::StaleOwner { shard: SHARD, stale: older, current: newer };
    assert_eq!(append(&store, SHARD, older, 2).await, Some(expected));
    assert_eq!(append(&store, SHARD, newer, 2).await, None);
}

pub(super) async fn an_epoch_that_was_never_given_is_refused(on: &dyn Installation) {
    let store = on.open().await;
    let epoch = store.journal.acquire(SHARD).await.unwrap();
    let error = append(&store, SHARD, Epoch(epoch.0 + 1), 1).await;
    assert!(matches!(error, Some(JournalError::StaleOwner { .. })));
}

pub(super) async fn shards_have_owners_of_their_own(on: &dyn Installation) {
    let store = on.open().await;
    let one = store.journal.acquire(ShardId(1)).await.unwrap();
    let two = store.journal.acquire(ShardId(2)).await.unwrap();
    let two_again = store.journal.acquire(ShardId(2)).await.unwrap();
    assert_eq!(append(&store, ShardId(1), one, 1).await, None);
    assert!(append(&store, ShardId(2), two, 2).await.is_some());
    assert_eq!(append(&store, ShardId(2), two_again, 2).await, None);
}

pub(super) async fn an_epoch_outlives_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    let before = given.epoch;
    given.store.close().await;
    drop(given);
    let store = on.open().await;
    assert_eq!(append(&store, SHARD, before, 1).await, None);
    assert!(store.journal.acquire(SHARD).await.unwrap() > before);
    assert!(append(&store, SHARD, before, 2).await.is_some());
}

pub(super) async fn a_stale_owner_takes_no_claim(on: &dyn Installation) {
    let given = opened(on).await;
    let newer = given.store.journal.acquire(SHARD).await.unwrap();
    let key = business("order-1");
    assert!(given.append(vec![start(1, &[&key])]).await.is_err());
    assert_eq!(given.holder(&key).await, None);
    let batch = Batch { shard: SHARD, epoch: newer, entries: vec![start(2, &[&key])] };
    assert_eq!(given.store.journal.append(batch).await.unwrap().rejected, []);
}
