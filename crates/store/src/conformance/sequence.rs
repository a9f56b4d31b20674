//! An entry is the next of its saga, or nothing.

use super::Installation;
use super::given::*;
use crate::{Batch, JournalError, Position, ShardId};

fn out_of_sequence(saga: u128, expected: u64, got: u64) -> JournalError {
    JournalError::OutOfSequence { saga, expected, got }
}

pub(super) async fn the_first_event_is_number_one(on: &dyn Installation) {
    let given = opened(on).await;
    assert_eq!(given.append(vec![entry(1, 2, 1)]).await, Err(out_of_sequence(1, 1, 2)));
    assert_eq!(given.append(vec![entry(1, 0, 1)]).await, Err(out_of_sequence(1, 1, 0)));
    given.appended(vec![entry(1, 1, 1)]).await;
}

pub(super) async fn a_gap_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended(vec![entry(1, 1, 3)]).await;
    assert_eq!(given.append(vec![entry(1, 5, 1)]).await, Err(out_of_sequence(1, 4, 5)));
    given.appended(vec![entry(1, 4, 1)]).await;
}

pub(super) async fn a_repeat_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended(vec![entry(1, 1, 3)]).await;
    assert_eq!(given.append(vec![entry(1, 1, 3)]).await, Err(out_of_sequence(1, 4, 1)));
    assert_eq!(given.append(vec![entry(1, 3, 2)]).await, Err(out_of_sequence(1, 4, 3)));
}

pub(super) async fn a_refused_batch_leaves_nothing_behind(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("order-1");
    let refused = given.append(vec![start(1, &[&key]), entry(2, 9, 1)]).await;
    assert_eq!(refused, Err(out_of_sequence(2, 1, 9)));
    assert_eq!(given.holder(&key).await, None);
    given.appended(vec![start(1, &[&key])]).await;
    let entries: usize =
        given.replayed(Position::START).await.iter().map(|r| r.batches[0].entries.len()).sum();
    assert_eq!(entries, 1);
}

pub(super) async fn two_entries_of_one_saga_follow_each_other_in_a_batch(on: &dyn Installation) {
    let given = opened(on).await;
    given.appended(vec![entry(1, 1, 2), entry(2, 1, 1), entry(1, 3, 1)]).await;
    let repeated = given.append(vec![entry(1, 4, 1), entry(1, 4, 1)]).await;
    assert_eq!(repeated, Err(out_of_sequence(1, 5, 4)));
    given.appended(vec![entry(1, 4, 1)]).await;
}

pub(super) async fn a_refused_batch_does_not_hold_up_others(on: &dyn Installation) {
    let given = opened(on).await;
    let other = ShardId(4);
    let epoch = given.store.journal.acquire(other).await.unwrap();
    let bad = given.append(vec![entry(1, 2, 1)]);
    let good =
        given.store.journal.append(Batch { shard: other, epoch, entries: vec![entry(2, 1, 1)] });
    // Both are handed over before either is waited for.
    let (mut bad, mut good) = (std::pin::pin!(bad), good);
    let mut answers = (None, None);
    std::future::poll_fn(|context| {
        use std::future::Future;
        use std::task::Poll::{Pending, Ready};
        if answers.0.is_none()
            && let Ready(answer) = bad.as_mut().poll(context)
        {
            answers.0 = Some(answer);
        }
        if answers.1.is_none()
            && let Ready(answer) = good.as_mut().poll(context)
        {
            answers.1 = Some(answer);
        }
        if answers.0.is_some() && answers.1.is_some() { Ready(()) } else { Pending }
    })
    .await;
    assert_eq!(answers.0, Some(Err(out_of_sequence(1, 1, 2))));
    assert!(answers.1.unwrap().is_ok());
}

pub(super) async fn a_saga_goes_on_after_its_checkpoint(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 4)]).await;
    assert_eq!(given.append(vec![entry(1, 1, 1)]).await, Err(out_of_sequence(1, 5, 1)));
    assert_eq!(given.append(vec![entry(1, 6, 1)]).await, Err(out_of_sequence(1, 5, 6)));
    given.appended(vec![entry(1, 5, 1)]).await;
}

pub(super) async fn a_saga_goes_on_after_its_checkpoint_and_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 4), row(2, 1)]).await;
    given.appended(vec![entry(2, 2, 2)]).await;
    let given = given.reopened().await;
    assert_eq!(given.append(vec![entry(1, 1, 1)]).await, Err(out_of_sequence(1, 5, 1)));
    assert_eq!(given.append(vec![entry(2, 2, 1)]).await, Err(out_of_sequence(2, 4, 2)));
    given.appended(vec![entry(1, 5, 1), entry(2, 4, 1)]).await;
}
