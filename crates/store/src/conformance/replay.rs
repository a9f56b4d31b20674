//! Records are read back in order and whole.

use super::Installation;
use super::given::*;
use crate::{Entry, Events, JournalError, Position, REPLAY_BYTES};
use bytes::Bytes;

pub(super) async fn nothing_is_replayed_from_an_empty_journal(on: &dyn Installation) {
    let given = opened(on).await;
    assert_eq!(given.store.journal.replay(Position::START).await, Ok(vec![]));
}

pub(super) async fn records_come_in_order_and_without_a_gap(on: &dyn Installation) {
    let given = opened(on).await;
    for seq in 1..=20 {
        given.appended(vec![entry(1, seq, 1)]).await;
    }
    let records = given.replayed(Position::START).await;
    let mut expected = Position::START;
    for (record, seq) in records.iter().zip(1..) {
        expected = expected.next();
        assert_eq!(record.position, expected);
        assert_eq!(record.batches[0].entries, [entry(1, seq, 1)]);
    }
    assert_eq!(records.len(), 20);
}

pub(super) async fn replay_starts_after_the_place_asked(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended(vec![entry(1, 1, 1)]).await;
    let second = given.appended(vec![entry(1, 2, 1)]).await;
    let third = given.appended(vec![entry(1, 3, 1)]).await;
    let records = given.replayed(second).await;
    assert_eq!(records.iter().map(|r| r.position).collect::<Vec<_>>(), [third]);
    assert_eq!(given.replayed(third).await, []);
    assert_eq!(given.replayed(Position(third.0 + 100)).await, []);
}

pub(super) async fn rejected_entries_are_not_replayed(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    let batch = vec![start(1, &[&key]), start(2, &[&key]), entry(3, 1, 1)];
    given.append(batch).await.unwrap();
    let records = given.replayed(Position::START).await;
    let sagas: Vec<u128> = records[0].batches[0].entries.iter().map(|e| e.saga).collect();
    assert_eq!(sagas, [1, 3]);
}

pub(super) async fn claims_and_releases_are_replayed(on: &dyn Installation) {
    let given = opened(on).await;
    let (key, other) = (business("k"), idempotency("ключ"));
    let entries = vec![start(1, &[&key, &other]), ending(1, 2, &[&key])];
    given.appended(entries.clone()).await;
    let given = given.reopened().await;
    assert_eq!(given.replayed(Position::START).await[0].batches[0].entries, entries);
}

pub(super) async fn a_long_journal_is_read_in_pages(on: &dyn Installation) {
    const RECORDS: u64 = 10;
    let given = opened(on).await;
    for seq in 1..=RECORDS {
        let bytes = Bytes::from(vec![seq as u8; REPLAY_BYTES / 4]);
        let events = Events { first_seq: seq, count: 1, bytes };
        given.appended(vec![Entry { events, ..entry(1, seq, 1) }]).await;
    }
    let page = given.store.journal.replay(Position::START).await.unwrap();
    assert!((1..RECORDS as usize).contains(&page.len()), "{} records at once", page.len());
    let all = given.replayed(Position::START).await;
    let seqs: Vec<u64> = all.iter().map(|r| r.batches[0].entries[0].events.first_seq).collect();
    assert_eq!(seqs, (1..=RECORDS).collect::<Vec<_>>());
}

pub(super) async fn replay_before_the_cut_says_so(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1)]).await;
    let cut = given.store.journal.cut(Position(u64::MAX)).await.unwrap();
    let error = given.store.journal.replay(Position::START).await.unwrap_err();
    assert_eq!(error, JournalError::Cut { asked: Position::START, cut });
    assert_eq!(given.replayed(cut).await, []);
}
