//! The catalog takes in what the journal said, no more and no less, once.

use super::Installation;
use super::given::*;
use crate::{CatalogError, Checkpoint, Checkpointed, Position, SagaRow};

async fn refused(given: &Given<'_>, position: Position, sagas: Vec<Checkpointed>) -> CatalogError {
    given.store.catalog.checkpoint(Checkpoint { position, sagas }).await.unwrap_err()
}

pub(super) async fn a_checkpoint_moves_the_catalogs_place(on: &dyn Installation) {
    let given = opened(on).await;
    assert_eq!(given.store.catalog.position(), Position::START);
    let position = given.appended(vec![entry(1, 1, 1)]).await;
    let checkpoint = Checkpoint { position, sagas: vec![brought(row(1, 1), 1)] };
    assert_eq!(given.store.catalog.checkpoint(checkpoint).await, Ok(position));
    assert_eq!(given.store.catalog.position(), position);
    let given = given.reopened().await;
    assert_eq!(given.store.catalog.position(), position);
}

pub(super) async fn a_checkpoint_twice_is_a_checkpoint_once(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    let mut first = start(1, &[&key]);
    first.events = events(1, 1, 3);
    let position = given.appended(vec![first]).await;
    for _ in 0..2 {
        given.checkpointed(position, vec![brought(row(1, 3), 1)]).await;
    }
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!(saga.events, events(1, 1, 3));
    assert_eq!(given.store.catalog.counts().await.unwrap()[0].sagas, 1);
    assert_eq!(given.holder(&key).await, Some(1));
}

pub(super) async fn an_older_row_changes_nothing(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 5)]).await;
    let before = given.store.catalog.read(1).await;
    let older = SagaRow { state: 0, ..row(1, 3) };
    given.checkpointed(given.store.catalog.position(), vec![brought(older, 1)]).await;
    assert_eq!(given.store.catalog.read(1).await, before);
    assert_eq!(given.store.catalog.counts().await.unwrap()[0].state, 1);
}

pub(super) async fn a_row_of_the_same_seq_replaces_the_row_alone(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 5)]).await;
    let other = SagaRow { paused: true, due_at: Some(NOW), ..row(1, 5) };
    given.checkpointed(given.store.catalog.position(), vec![brought(other.clone(), 1)]).await;
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!((saga.row, saga.events), (other, events(1, 1, 5)));
}

pub(super) async fn a_part_of_a_checkpoint_leaves_the_place(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(9, 1)]).await;
    let before = given.store.catalog.position();
    let position = given.appended(vec![entry(1, 1, 1), entry(2, 1, 1)]).await;
    given.checkpointed(before, vec![brought(row(1, 1), 1)]).await;
    assert_eq!(given.store.catalog.position(), before);
    assert!(given.store.catalog.read(1).await.unwrap().is_some());
    given.checkpointed(Position::START, vec![]).await;
    assert_eq!(given.store.catalog.position(), before);
    given.checkpointed(position, vec![brought(row(2, 1), 1)]).await;
    assert_eq!(given.store.catalog.position(), position);
}

pub(super) async fn a_checkpoint_ahead_of_the_journal_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    let position = given.appended(vec![entry(1, 1, 1)]).await;
    let error = refused(&given, position.next(), vec![brought(row(1, 1), 1)]).await;
    assert!(matches!(error, CatalogError::Ahead { .. }), "{error}");
}

pub(super) async fn a_row_ahead_of_the_journal_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    let position = given.appended(vec![entry(1, 1, 1)]).await;
    let error = refused(&given, position, vec![brought(row(1, 2), 1)]).await;
    assert!(matches!(error, CatalogError::Ahead { .. }), "{error}");
    let unheard_of = vec![brought(row(1, 1), 1), brought(row(2, 1), 1)];
    let error = refused(&given, position, unheard_of).await;
    assert!(matches!(error, CatalogError::Ahead { .. }), "{error}");
    given.checkpointed(position, vec![brought(row(1, 1), 1)]).await;
    let error = refused(&given, position, vec![brought(row(1, 2), 2)]).await;
    assert!(matches!(error, CatalogError::Ahead { .. }), "{error}");
}

pub(super) async fn a_checkpoint_that_leaves_a_saga_out_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    let position = given.appended(vec![entry(1, 1, 2), entry(2, 1, 2)]).await;
    let error = refused(&given, position, vec![brought(row(1, 2), 1)]).await;
    assert_eq!(error, CatalogError::Incomplete { position, saga: 2, seq: 2 });
    let error = refused(&given, position, vec![brought(row(1, 2), 1), brought(row(2, 1), 1)]).await;
    assert_eq!(error, CatalogError::Incomplete { position, saga: 2, seq: 2 });
    let given = given.reopened().await;
    let error = refused(&given, position, vec![brought(row(2, 2), 1)]).await;
    assert_eq!(error, CatalogError::Incomplete { position, saga: 1, seq: 2 });
    given.checkpointed(position, vec![brought(row(1, 2), 1), brought(row(2, 2), 1)]).await;
}

pub(super) async fn a_checkpoint_that_leaves_out_a_saga_that_moved_again_is_refused(
    on: &dyn Installation,
) {
    let given = opened(on).await;
    let first = given.appended(vec![entry(1, 1, 2)]).await;
    let second = given.appended(vec![entry(1, 3, 1)]).await;
    let last = given.appended(vec![entry(1, 4, 1)]).await;
    let incomplete = |position, seq| CatalogError::Incomplete { position, saga: 1, seq };
    // After it the journal would be read from the fourth event on, and the first are nowhere.
    assert_eq!(refused(&given, first, vec![]).await, incomplete(first, 2));
    assert_eq!(refused(&given, second, vec![brought(row(1, 1), 1)]).await, incomplete(second, 2));
    let given = given.reopened().await;
    assert_eq!(refused(&given, first, vec![]).await, incomplete(first, 2));
    given.checkpointed(first, vec![brought(row(1, 2), 1)]).await;
    given.checkpointed(first, vec![]).await;
    assert_eq!(refused(&given, last, vec![]).await, incomplete(last, 4));
    given.checkpointed(last, vec![brought(row(1, 4), 3)]).await;
}

pub(super) async fn a_row_newer_than_the_checkpoint_need_not_come_again(on: &dyn Installation) {
    let given = opened(on).await;
    let first = given.appended(vec![entry(1, 1, 1)]).await;
    let second = given.appended(vec![entry(1, 2, 1)]).await;
    given.checkpointed(first, vec![brought(row(1, 2), 1)]).await;
    let given = given.reopened().await;
    assert_eq!(given.replayed(given.store.catalog.position()).await.len(), 1);
    given.checkpointed(second, vec![]).await;
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!(saga.events, events(1, 1, 2));
    given.appended(vec![entry(1, 3, 1)]).await;
}

pub(super) async fn events_that_do_not_follow_are_refused(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 3)]).await;
    let position = given.appended(vec![entry(1, 4, 3)]).await;
    let refusal = |first_seq| CatalogError::OutOfSequence { saga: 1, held: 3, first_seq, seq: 6 };
    for first_seq in [3, 5] {
        let error = refused(&given, position, vec![brought(row(1, 6), first_seq)]).await;
        assert_eq!(error, refusal(first_seq));
    }
    let short = Checkpointed { row: row(1, 6), events: events(1, 4, 2) };
    assert_eq!(refused(&given, position, vec![short]).await, refusal(4));
    given.checkpointed(position, vec![brought(row(1, 6), 4)]).await;
}

pub(super) async fn a_saga_twice_in_a_checkpoint_is_malformed(on: &dyn Installation) {
    let given = opened(on).await;
    let position = given.appended(vec![entry(1, 1, 2)]).await;
    let twice = vec![brought(row(1, 1), 1), brought(row(1, 2), 2)];
    let error = refused(&given, position, twice).await;
    assert!(matches!(error, CatalogError::Malformed { .. }), "{error}");
}

pub(super) async fn a_refused_checkpoint_leaves_nothing_behind(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(2, 3)]).await;
    let before = given.store.catalog.position();
    let position = given.appended(vec![entry(1, 1, 1), entry(2, 4, 1)]).await;
    refused(&given, position, vec![brought(row(1, 1), 1), brought(row(2, 4), 1)]).await;
    assert_eq!(given.store.catalog.read(1).await, Ok(None));
    assert_eq!(given.store.catalog.position(), before);
    assert_eq!(given.store.catalog.counts().await.unwrap()[0].sagas, 1);
    given.checkpointed(position, vec![brought(row(1, 1), 1), brought(row(2, 4), 4)]).await;
}
