//! The journal forgets only what is safe elsewhere.

use super::Installation;
use super::given::*;
use crate::Position;

const END: Position = Position(u64::MAX);

pub(super) async fn what_the_catalog_does_not_hold_is_not_cut(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let held = given.store.catalog.position();
    given.appended(vec![entry(2, 1, 1)]).await;
    assert_eq!(given.store.journal.cut(END).await, Ok(held));
    assert_eq!(given.replayed(held).await.len(), 1);
}

pub(super) async fn what_the_catalog_holds_is_cut(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let first = given.store.catalog.position();
    given.archived(vec![row(2, 1)]).await;
    assert_eq!(given.store.journal.cut(first).await, Ok(first));
    assert_eq!(given.store.journal.size().cut, first);
    assert_eq!(given.replayed(first).await.len(), 1);
}

pub(super) async fn a_cut_never_goes_back(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let held = given.store.catalog.position();
    assert_eq!(given.store.journal.cut(held).await, Ok(held));
    assert_eq!(given.store.journal.cut(Position::START).await, Ok(held));
}

pub(super) async fn positions_go_on_after_everything_is_cut(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let held = given.store.catalog.position();
    given.store.journal.cut(END).await.unwrap();
    let given = given.reopened().await;
    assert_eq!(given.store.journal.size().last, held);
    let next = given.appended(vec![entry(1, 2, 1)]).await;
    assert_eq!(next, held.next());
    let given = given.reopened().await;
    assert_eq!(given.replayed(held).await.len(), 1);
}

pub(super) async fn a_cut_makes_the_journal_smaller(on: &dyn Installation) {
    let given = opened(on).await;
    for saga in 1..=100 {
        given.archived(vec![row(saga, 50)]).await;
    }
    let before = given.store.journal.size();
    given.store.journal.cut(Position(before.last.0 - 1)).await.unwrap();
    let after = given.store.journal.size();
    assert_eq!((before.records, after.records), (100, 1));
    assert!(after.bytes * 50 < before.bytes, "{} of {}", after.bytes, before.bytes);
}
