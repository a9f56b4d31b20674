//! Publishers hold back what they have not had acknowledged.

use super::Installation;
use super::given::*;
use crate::{Cursor, JournalError, Position};

const END: Position = Position(u64::MAX);

async fn with_three_records(on: &dyn Installation) -> (Given<'_>, [Position; 3]) {
    let given = opened(on).await;
    let mut positions = [Position::START; 3];
    for (position, saga) in positions.iter_mut().zip(1..) {
        given.archived(vec![row(saga, 1)]).await;
        *position = given.store.catalog.position();
    }
    (given, positions)
}

pub(super) async fn a_cursor_holds_back_the_cut(on: &dyn Installation) {
    let (given, [first, _, third]) = with_three_records(on).await;
    let journal = &given.store.journal;
    assert_eq!(journal.cursor("kafka").await, Ok(Position::START));
    assert_eq!(journal.cut(END).await, Ok(Position::START));
    journal.advance("kafka", first).await.unwrap();
    assert_eq!(journal.cut(END).await, Ok(first));
    journal.advance("kafka", third).await.unwrap();
    assert_eq!(journal.cut(END).await, Ok(third));
}

pub(super) async fn the_slowest_cursor_counts(on: &dyn Installation) {
    let (given, [first, second, third]) = with_three_records(on).await;
    let journal = &given.store.journal;
    journal.advance("fast", third).await.unwrap();
    journal.advance("slow", first).await.unwrap();
    journal.advance("middle", second).await.unwrap();
    assert_eq!(journal.cut(END).await, Ok(first));
    let expected = [("fast", third), ("middle", second), ("slow", first)]
        .map(|(name, position)| Cursor { name: name.into(), position });
    assert_eq!(journal.cursors().await.unwrap(), expected);
}

pub(super) async fn a_cursor_outlives_reopening(on: &dyn Installation) {
    let (given, [first, second, _]) = with_three_records(on).await;
    given.store.journal.advance("kafka", second).await.unwrap();
    given.store.journal.advance("audit", first).await.unwrap();
    let given = given.reopened().await;
    assert_eq!(given.store.journal.cursor("kafka").await, Ok(second));
    assert_eq!(given.store.journal.cut(END).await, Ok(first));
}

pub(super) async fn a_cursor_does_not_go_back(on: &dyn Installation) {
    let (given, [first, second, last]) = with_three_records(on).await;
    let journal = &given.store.journal;
    journal.advance("kafka", second).await.unwrap();
    let error = journal.advance("kafka", first).await.unwrap_err();
    let (name, held, asked) = ("kafka".to_owned(), second, first);
    assert_eq!(error, JournalError::CursorMisplaced { name, held, asked, last });
    journal.advance("kafka", second).await.unwrap();
    assert_eq!(journal.cursor("kafka").await, Ok(second));
}

pub(super) async fn a_cursor_does_not_pass_the_end(on: &dyn Installation) {
    let (given, [.., third]) = with_three_records(on).await;
    let error = given.store.journal.advance("kafka", third.next()).await.unwrap_err();
    assert!(matches!(error, JournalError::CursorMisplaced { .. }), "{error}");
}

pub(super) async fn a_new_cursor_stands_at_the_cut(on: &dyn Installation) {
    let (given, [first, ..]) = with_three_records(on).await;
    given.store.journal.cut(first).await.unwrap();
    assert_eq!(given.store.journal.cursor("kafka").await, Ok(first));
    let given = given.reopened().await;
    assert_eq!(given.store.journal.cut(END).await, Ok(first));
}

pub(super) async fn a_forgotten_cursor_holds_back_nothing(on: &dyn Installation) {
    let (given, [.., third]) = with_three_records(on).await;
    given.store.journal.cursor("kafka").await.unwrap();
    given.store.journal.forget("kafka").await.unwrap();
    assert_eq!(given.store.journal.cursors().await, Ok(vec![]));
    assert_eq!(given.store.journal.cut(END).await, Ok(third));
}
