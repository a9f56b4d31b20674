//! A key has one holder at a time.

use super::Installation;
use super::given::*;
use crate::{ClaimKey, ClaimKind, Position, Rejection, SagaRow};

fn claimed(kind: ClaimKind, by: u128) -> Rejection {
    Rejection::Claimed { kind, saga: by, payload_hash: hash(by) }
}

async fn refused_by(given: &Given<'_>, saga: u128, key: &ClaimKey) -> Option<u128> {
    let appended = given.append(vec![start(saga, &[key])]).await.unwrap();
    appended.rejected.first().map(|(_, Rejection::Claimed { saga, .. })| *saga)
}

pub(super) async fn a_key_is_held_by_the_saga_that_claimed_it(on: &dyn Installation) {
    let given = opened(on).await;
    let key = idempotency("k");
    assert_eq!(given.holder(&key).await, None);
    given.appended(vec![start(1, &[&key])]).await;
    let holder = given.store.journal.claim_holder(key).await.unwrap().unwrap();
    assert_eq!((holder.saga, holder.payload_hash), (1, hash(1)));
}

pub(super) async fn a_second_start_is_told_the_first(on: &dyn Installation) {
    let given = opened(on).await;
    let key = idempotency("k");
    given.appended(vec![start(1, &[&key])]).await;
    let appended = given.append(vec![start(2, &[&key])]).await.unwrap();
    assert_eq!(appended.rejected, [(0, claimed(ClaimKind::Idempotency, 1))]);
    assert_eq!(given.replayed(Position::START).await.len(), 1);
    // Nothing of it was written: the saga may still start without the key.
    given.appended(vec![entry(2, 1, 1)]).await;
}

pub(super) async fn a_rejected_entry_leaves_the_others_in(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    given.appended(vec![start(1, &[&key])]).await;
    let batch = vec![entry(2, 1, 1), start(3, &[&key]), entry(4, 1, 1)];
    let appended = given.append(batch).await.unwrap();
    assert_eq!(appended.rejected, [(1, claimed(ClaimKind::Business, 1))]);
    given.appended(vec![entry(2, 2, 1), entry(4, 2, 1)]).await;
}

pub(super) async fn two_starts_in_one_batch_cannot_share_a_key(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    let appended = given.append(vec![start(1, &[&key]), start(2, &[&key])]).await.unwrap();
    assert_eq!(appended.rejected, [(1, claimed(ClaimKind::Business, 1))]);
    assert_eq!(given.holder(&key).await, Some(1));
}

pub(super) async fn later_entries_of_a_rejected_saga_are_left_out_too(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    given.appended(vec![start(1, &[&key])]).await;
    let batch = vec![start(2, &[&key]), entry(2, 2, 1), entry(3, 1, 1)];
    let appended = given.append(batch).await.unwrap();
    let rejection = claimed(ClaimKind::Business, 1);
    assert_eq!(appended.rejected, [(0, rejection.clone()), (1, rejection)]);
}

pub(super) async fn all_claims_of_an_entry_or_none(on: &dyn Installation) {
    let given = opened(on).await;
    let (taken, free) = (business("taken"), idempotency("free"));
    given.appended(vec![start(1, &[&taken])]).await;
    let appended = given.append(vec![start(2, &[&free, &taken])]).await.unwrap();
    assert_eq!(appended.rejected.len(), 1);
    assert_eq!(given.holder(&free).await, None);
}

pub(super) async fn kinds_and_scopes_do_not_meet(on: &dyn Installation) {
    let given = opened(on).await;
    let other_scope = ClaimKey { scope: "Trip".into(), ..business("k") };
    // A scope and a key that together read the same.
    let shifted = ClaimKey { scope: "Orde".into(), key: "rk".into(), ..business("k") };
    let keys = [business("k"), idempotency("k"), other_scope, shifted];
    for (saga, key) in (1..).zip(&keys) {
        given.appended(vec![start(saga, &[key])]).await;
    }
    let rows = (1..=4).map(|saga| brought(row(saga, 1), 1)).collect();
    given.checkpointed(given.store.journal.size().last, rows).await;
    for (saga, key) in (1..).zip(&keys) {
        assert_eq!(given.holder(key).await, Some(saga));
    }
}

pub(super) async fn a_business_key_is_free_after_its_release(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    given.appended(vec![start(1, &[&key])]).await;
    given.appended(vec![ending(1, 2, &[&key])]).await;
    assert_eq!(given.holder(&key).await, None);
    given.appended(vec![start(2, &[&key])]).await;
    assert_eq!(given.holder(&key).await, Some(2));
}

pub(super) async fn an_idempotency_key_is_not_released(on: &dyn Installation) {
    let given = opened(on).await;
    let key = idempotency("k");
    given.appended(vec![start(1, &[&key])]).await;
    given.appended(vec![ending(1, 2, &[&key])]).await;
    assert_eq!(refused_by(&given, 2, &key).await, Some(1));
}

pub(super) async fn a_release_of_a_key_that_another_holds_changes_nothing(on: &dyn Installation) {
    let given = opened(on).await;
    let (young, old) = (business("young"), business("old"));
    let first = given.appended(vec![start(1, &[&old])]).await;
    given.checkpointed(first, vec![brought(row(1, 1), 1)]).await;
    given.appended(vec![start(2, &[&young]), entry(3, 1, 1)]).await;
    given.appended(vec![ending(3, 2, &[&young, &old])]).await;
    assert_eq!(given.holder(&young).await, Some(2));
    assert_eq!(given.holder(&old).await, Some(1));
    let given = given.reopened().await;
    assert_eq!(given.holder(&young).await, Some(2));
    assert_eq!(given.holder(&old).await, Some(1));
}

pub(super) async fn a_saga_may_claim_and_release_in_one_entry(on: &dyn Installation) {
    let given = opened(on).await;
    let (key, kept) = (business("k"), idempotency("kept"));
    let mut whole = start(1, &[&key, &kept]);
    whole.releases = vec![key.clone()];
    given.appended(vec![whole]).await;
    assert_eq!(given.holder(&key).await, None);
    assert_eq!(given.holder(&kept).await, Some(1));
}

pub(super) async fn a_claim_outlives_its_checkpoint(on: &dyn Installation) {
    let given = opened(on).await;
    let (key, kept) = (business("k"), idempotency("k"));
    let position = given.appended(vec![start(1, &[&key, &kept])]).await;
    given.checkpointed(position, vec![brought(row(1, 1), 1)]).await;
    assert_eq!(refused_by(&given, 2, &key).await, Some(1));
    let appended = given.append(vec![start(2, &[&kept])]).await.unwrap();
    assert_eq!(appended.rejected, [(0, claimed(ClaimKind::Idempotency, 1))]);
}

pub(super) async fn a_release_after_the_checkpoint_frees_the_key(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    let position = given.appended(vec![start(1, &[&key])]).await;
    given.checkpointed(position, vec![brought(row(1, 1), 1)]).await;
    let position = given.appended(vec![ending(1, 2, &[&key])]).await;
    assert_eq!(given.holder(&key).await, None);
    given.checkpointed(position, vec![brought(row(1, 2), 2)]).await;
    assert_eq!(given.holder(&key).await, None);
    assert_eq!(refused_by(&given, 2, &key).await, None);
}

pub(super) async fn a_release_in_the_tail_outlives_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    let position = given.appended(vec![start(1, &[&key])]).await;
    given.checkpointed(position, vec![brought(row(1, 1), 1)]).await;
    given.appended(vec![ending(1, 2, &[&key])]).await;
    let given = given.reopened().await;
    assert_eq!(given.holder(&key).await, None);
    assert_eq!(refused_by(&given, 2, &key).await, None);
}

pub(super) async fn a_claim_outlives_checkpoint_cut_and_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    let (key, kept) = (business("k"), idempotency("k"));
    let position = given.appended(vec![start(1, &[&key, &kept])]).await;
    let order = SagaRow { business_key: Some("k".into()), ..row(1, 1) };
    given.checkpointed(position, vec![brought(order, 1)]).await;
    assert_eq!(given.store.journal.cut(position).await, Ok(position));
    let given = given.reopened().await;
    assert_eq!(given.holder(&key).await, Some(1));
    assert_eq!(given.holder(&kept).await, Some(1));
    assert_eq!(refused_by(&given, 2, &key).await, Some(1));
}

pub(super) async fn a_claim_in_the_tail_outlives_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    given.appended(vec![start(1, &[&key])]).await;
    let given = given.reopened().await;
    assert_eq!(given.holder(&key).await, Some(1));
    assert_eq!(refused_by(&given, 2, &key).await, Some(1));
}

pub(super) async fn a_key_that_went_from_saga_to_saga_is_the_last_ones(on: &dyn Installation) {
    let given = opened(on).await;
    let key = business("k");
    for saga in 1..=3 {
        given.appended(vec![start(saga, &[&key])]).await;
        if saga < 3 {
            given.appended(vec![ending(saga, 2, &[&key])]).await;
        }
    }
    // The catalog takes in a part: the rows of the first two, and no new place.
    let part = vec![brought(row(1, 2), 1), brought(row(2, 2), 1)];
    given.checkpointed(Position::START, part).await;
    assert_eq!(given.holder(&key).await, Some(3));
    let given = given.reopened().await;
    assert_eq!(given.holder(&key).await, Some(3));
    given.checkpointed(given.store.journal.size().last, vec![brought(row(3, 1), 1)]).await;
    let given = given.reopened().await;
    assert_eq!(given.holder(&key).await, Some(3));
}
