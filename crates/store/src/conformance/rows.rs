//! A row comes back as it was written.

use super::Installation;
use super::given::*;
use crate::{
    AttentionFilter, CatalogError, Checkpointed, Count, Entry, Events, Quarantine, Query, SagaRow,
    StuckFilter,
};
use bytes::Bytes;

pub(super) async fn every_column_comes_back(on: &dyn Installation) {
    let given = opened(on).await;
    let full = SagaRow {
        saga: u128::MAX - 1,
        saga_type: "Überweisung".into(),
        definition_version: u32::MAX,
        definition_hash: hash(99),
        state: 200,
        paused: true,
        live: true,
        created_at: NOW + 1,
        updated_at: NOW + 2,
        ended_at: Some(NOW + 3),
        due_at: Some(NOW + 4),
        close_at: Some(NOW + 5),
        expires_at: Some(NOW + 6),
        business_key: Some("order-17 \u{0} 'x'".into()),
        attention: u32::MAX,
        stuck_at: Some(NOW + 7),
        error: Some("OUT_OF_STOCK: none left".into()),
        quarantined: Some("event 7 is not legal".into()),
        ..row(1, 3)
    };
    given.archived(vec![full.clone()]).await;
    let given = given.reopened().await;
    assert_eq!(given.store.catalog.read(full.saga).await.unwrap().unwrap().row, full);
    assert_eq!(given.store.catalog.list(Query::default()).await.unwrap().rows, [full]);
}

pub(super) async fn a_row_without_options_comes_back(on: &dyn Installation) {
    let given = opened(on).await;
    let bare = SagaRow { live: false, created_at: 0, updated_at: 0, state: 0, ..row(0, 1) };
    given.archived(vec![bare.clone()]).await;
    assert_eq!(given.store.catalog.read(0).await.unwrap().unwrap().row, bare);
}

pub(super) async fn a_saga_that_is_not_there_is_none(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1), row(3, 1)]).await;
    given.appended(vec![entry(2, 1, 1)]).await;
    assert_eq!(given.store.catalog.read(2).await, Ok(None));
}

pub(super) async fn counts_follow_the_states(on: &dyn Installation) {
    let given = opened(on).await;
    let trip = SagaRow { saga_type: "Trip".into(), ..row(4, 1) };
    given.archived(vec![row(1, 1), row(2, 1), over(3, 1, NOW), trip]).await;
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    given.checkpointed(position, vec![brought(over(1, 2, NOW), 2)]).await;
    let count = |saga_type: &str, state, sagas| Count { saga_type: saga_type.into(), state, sagas };
    let expected = [count("Order", 1, 1), count("Order", 3, 2), count("Trip", 1, 1)];
    assert_eq!(given.store.catalog.counts().await.unwrap(), expected);
    given.store.catalog.expire(NOW, 10).await.unwrap();
    let given = given.reopened().await;
    let expected = [count("Order", 1, 1), count("Trip", 1, 1)];
    assert_eq!(given.store.catalog.counts().await.unwrap(), expected);
}

pub(super) async fn a_row_of_many_kilobytes_comes_back(on: &dyn Installation) {
    let given = opened(on).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let events = Events { first_seq: 1, count: 1, bytes: Bytes::from(bytes) };
    let large = Entry { events: events.clone(), ..entry(1, 1, 1) };
    let position = given.appended(vec![large]).await;
    let large = Checkpointed { row: row(1, 1), events: events.clone() };
    given.checkpointed(position, vec![large]).await;
    assert_eq!(given.store.catalog.read(1).await.unwrap().unwrap().events, events);
}

pub(super) async fn a_quarantined_saga_is_found_and_not_recovered(on: &dyn Installation) {
    let given = opened(on).await;
    let due = SagaRow { due_at: Some(NOW), ..row(2, 1) };
    given.archived(vec![row(1, 1), due]).await;
    for saga in [1, 2] {
        given.store.catalog.quarantine(saga, illegal()).await.unwrap();
    }
    let given = given.reopened().await;
    let catalog = &given.store.catalog;
    assert_eq!(catalog.live(SHARD, None, 10).await, Ok(vec![]));
    assert_eq!(catalog.due(SHARD, u64::MAX, None, 10).await, Ok(vec![]));
    let saga = catalog.read(1).await.unwrap().unwrap();
    assert_eq!(saga.row.quarantined.as_deref(), Some("event 7 is not legal"));
    assert_eq!(given.listed(Query::default()).await, [2, 1]);
}

fn illegal() -> Quarantine {
    let reason = "event 7 is not legal".to_owned();
    Quarantine { reason, attention: 1 << 31, stuck_at: Some(NOW) }
}

pub(super) async fn a_quarantined_saga_needs_a_person_and_is_stuck(on: &dyn Installation) {
    let given = opened(on).await;
    let troubled = SagaRow { attention: 0b10, stuck_at: Some(NOW - 5), ..row(2, 1) };
    given.archived(vec![row(1, 1), troubled, row(3, 1)]).await;
    for saga in [1, 2] {
        given.store.catalog.quarantine(saga, illegal()).await.unwrap();
    }
    let given = given.reopened().await;
    let unreadable = Some(AttentionFilter::AnyOf(1 << 31));
    let unreadable = Query { attention: unreadable, ..Query::default() };
    assert_eq!(given.listed(unreadable).await, [2, 1]);
    // What was said of it before stays.
    let before = Query { attention: Some(AttentionFilter::AnyOf(0b10)), ..Query::default() };
    assert_eq!(given.listed(before).await, [2]);
    let stuck = |by| Query { stuck: Some(StuckFilter::By(by)), ..Query::default() };
    assert_eq!(given.listed(stuck(NOW)).await, [2, 1]);
    assert_eq!(given.listed(stuck(NOW - 1)).await, [2]);
}

pub(super) async fn a_quarantined_saga_does_not_expire(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![over(1, 1, NOW), over(2, 1, NOW)]).await;
    let of_ended = Quarantine { stuck_at: None, ..illegal() };
    given.store.catalog.quarantine(1, of_ended).await.unwrap();
    assert_eq!(given.store.catalog.expire(NOW, 10).await, Ok(vec![2]));
}

pub(super) async fn those_that_are_stuck_are_counted(on: &dyn Installation) {
    let given = opened(on).await;
    let stuck = |saga, at| SagaRow { stuck_at: Some(at), ..row(saga, 1) };
    let trip = SagaRow { saga_type: "Trip".into(), state: 2, ..stuck(3, NOW + 2) };
    given.archived(vec![stuck(1, NOW), stuck(2, NOW + 1), trip, row(4, 1)]).await;
    let count = |saga_type: &str, state, sagas| Count { saga_type: saga_type.into(), state, sagas };
    let catalog = &given.store.catalog;
    assert_eq!(catalog.stuck(NOW - 1).await.unwrap(), []);
    assert_eq!(catalog.stuck(NOW).await.unwrap(), [count("Order", 1, 1)]);
    let all = [count("Order", 1, 2), count("Trip", 2, 1)];
    assert_eq!(catalog.stuck(NOW + 2).await.unwrap(), all);
    // What happens to it brings another row.
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    given.checkpointed(position, vec![brought(row(1, 2), 2)]).await;
    let all = [count("Order", 1, 1), count("Trip", 2, 1)];
    assert_eq!(given.store.catalog.stuck(NOW + 2).await.unwrap(), all);
}

pub(super) async fn a_quarantine_of_nothing_says_so(on: &dyn Installation) {
    let given = opened(on).await;
    let error = given.store.catalog.quarantine(9, illegal()).await;
    assert_eq!(error, Err(CatalogError::NoSuchSaga { saga: 9 }));
}

pub(super) async fn a_quarantined_row_may_come_by_checkpoint(on: &dyn Installation) {
    let given = opened(on).await;
    let bad = SagaRow { quarantined: Some("event 1 is not legal".into()), ..row(1, 1) };
    given.archived(vec![bad.clone()]).await;
    assert_eq!(given.store.catalog.live(SHARD, None, 10).await, Ok(vec![]));
    assert_eq!(given.store.catalog.read(1).await.unwrap().unwrap().row, bad);
}
