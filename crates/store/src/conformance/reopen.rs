//! What was acknowledged outlives the process.

use super::Installation;
use super::given::*;
use crate::{Position, Query};

pub(super) async fn everything_acknowledged_is_there(on: &dyn Installation) {
    let mut given = opened(on).await;
    let mut expected = Vec::new();
    for seq in 1..=10 {
        expected.push(given.appended(vec![entry(1, seq, 1)]).await);
        given = given.reopened().await;
    }
    let records = given.replayed(Position::START).await;
    assert_eq!(records.iter().map(|record| record.position).collect::<Vec<_>>(), expected);
}

pub(super) async fn the_tail_is_what_the_catalog_does_not_hold(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let tail = given.appended(vec![entry(2, 1, 1)]).await;
    let given = given.reopened().await;
    let records = given.replayed(given.store.catalog.position()).await;
    assert_eq!(records.iter().map(|record| record.position).collect::<Vec<_>>(), [tail]);
}

pub(super) async fn a_checkpoint_after_reopening_takes_in_the_tail(on: &dyn Installation) {
    let given = opened(on).await;
    let key = idempotency("k");
    let position = given.appended(vec![start(1, &[&key]), entry(2, 1, 3)]).await;
    let given = given.reopened().await;
    given.checkpointed(position, vec![brought(row(1, 1), 1), brought(row(2, 3), 1)]).await;
    given.store.journal.cut(position).await.unwrap();
    let given = given.reopened().await;
    assert_eq!(given.listed(Query::default()).await, [2, 1]);
    assert_eq!(given.holder(&key).await, Some(1));
    assert_eq!(given.replayed(position).await, []);
}

pub(super) async fn an_empty_store_reopens(on: &dyn Installation) {
    let given = opened(on).await.reopened().await.reopened().await;
    assert_eq!(given.store.journal.size().last, Position::START);
    assert_eq!(given.store.catalog.position(), Position::START);
}

pub(super) async fn closing_twice_is_closing_once(on: &dyn Installation) {
    let given = opened(on).await;
    given.store.close().await;
    given.store.close().await;
    assert!(given.store.catalog.read(1).await.is_err());
}
