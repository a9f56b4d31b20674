//! Recovery finds what is live, and what is due.

use super::Installation;
use super::given::*;
use crate::{DueCursor, SagaRow, ShardId, StoredSaga};

fn due_at(saga: u128, at: u64) -> SagaRow {
    SagaRow { due_at: Some(at), ..row(saga, 1) }
}

fn ids(sagas: &[StoredSaga]) -> Vec<u128> {
    sagas.iter().map(|saga| saga.row.saga).collect()
}

pub(super) async fn what_is_due_comes_in_order(on: &dyn Installation) {
    let given = opened(on).await;
    let rows = vec![due_at(1, 300), due_at(2, 100), due_at(3, 200), due_at(4, 200), row(5, 1)];
    given.archived(rows).await;
    let due = given.store.catalog.due(SHARD, 200, None, 10).await.unwrap();
    assert_eq!(ids(&due), [2, 3, 4]);
    assert_eq!(given.store.catalog.due(SHARD, 99, None, 10).await, Ok(vec![]));
    assert_eq!(
        ids(&given.store.catalog.due(SHARD, u64::MAX, None, 10).await.unwrap()),
        [2, 3, 4, 1]
    );
}

pub(super) async fn what_is_due_is_read_in_pages(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived((1..=20).map(|saga| due_at(saga, 100 + saga as u64 / 5)).collect()).await;
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let page = given.store.catalog.due(SHARD, 103, after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        assert!(after < Some(DueCursor::after(&last.row)), "it begins again after {after:?}");
        after = Some(DueCursor::after(&last.row));
        all.extend(ids(&page));
    }
    assert_eq!(all, (1..=19).collect::<Vec<_>>());
}

pub(super) async fn live_sagas_come_with_those_without_a_time_first(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![due_at(1, 300), row(2, 1), due_at(3, 100), row(4, 1)]).await;
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let page = given.store.catalog.live(SHARD, after, 1).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(after < Some(DueCursor::after(&last.row)), "it begins again after {after:?}");
        after = Some(DueCursor::after(&last.row));
        all.extend(ids(&page));
    }
    assert_eq!(all, [2, 4, 3, 1]);
}

pub(super) async fn shards_are_apart(on: &dyn Installation) {
    let given = opened(on).await;
    let elsewhere = SagaRow { shard: ShardId(9), ..due_at(2, 100) };
    given.archived(vec![due_at(1, 100), elsewhere]).await;
    let catalog = &given.store.catalog;
    assert_eq!(ids(&catalog.due(SHARD, 100, None, 10).await.unwrap()), [1]);
    assert_eq!(ids(&catalog.live(ShardId(9), None, 10).await.unwrap()), [2]);
    assert_eq!(catalog.live(ShardId(1), None, 10).await, Ok(vec![]));
}

pub(super) async fn a_saga_that_is_over_is_not_live(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![due_at(1, 100), over(2, 1, NOW)]).await;
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    given.checkpointed(position, vec![brought(over(1, 2, NOW), 2)]).await;
    assert_eq!(given.store.catalog.live(SHARD, None, 10).await, Ok(vec![]));
    assert_eq!(given.store.catalog.due(SHARD, u64::MAX, None, 10).await, Ok(vec![]));
}

pub(super) async fn a_due_time_that_moved_counts_once(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![due_at(1, 100)]).await;
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    let later = SagaRow { seq: 2, ..due_at(1, 500) };
    given.checkpointed(position, vec![brought(later, 2)]).await;
    assert_eq!(given.store.catalog.due(SHARD, 499, None, 10).await, Ok(vec![]));
    assert_eq!(ids(&given.store.catalog.due(SHARD, 500, None, 10).await.unwrap()), [1]);
    assert_eq!(ids(&given.store.catalog.live(SHARD, None, 10).await.unwrap()), [1]);
}

pub(super) async fn live_sagas_come_with_their_history(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![due_at(1, 100)]).await;
    let position = given.appended(vec![entry(1, 2, 4)]).await;
    let moved = SagaRow { seq: 5, ..due_at(1, 200) };
    given.checkpointed(position, vec![brought(moved.clone(), 2)]).await;
    let expected = StoredSaga { row: moved, events: events(1, 1, 5) };
    let catalog = &given.store.catalog;
    assert_eq!(catalog.live(SHARD, None, 10).await, Ok(vec![expected.clone()]));
    assert_eq!(catalog.due(SHARD, 200, None, 10).await, Ok(vec![expected]));
}
