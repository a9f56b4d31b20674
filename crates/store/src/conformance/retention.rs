//! What has expired goes, with all that is its own.

use super::Installation;
use super::given::*;
use crate::{Query, SagaRow};

pub(super) async fn an_expired_saga_is_deleted_with_its_history(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 1), over(2, 2, NOW + 10)]).await;
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    given.checkpointed(position, vec![brought(over(1, 2, NOW + 10), 2)]).await;
    let catalog = &given.store.catalog;
    assert_eq!(catalog.expire(NOW + 9, 10).await, Ok(vec![]));
    assert_eq!(catalog.expire(NOW + 10, 10).await, Ok(vec![1, 2]));
    assert_eq!(catalog.read(1).await, Ok(None));
    assert_eq!(given.listed(Query::default()).await, []);
    assert_eq!(catalog.expire(NOW + 10, 10).await, Ok(vec![]));
}

pub(super) async fn a_saga_that_is_not_closed_stays(on: &dyn Installation) {
    let given = opened(on).await;
    let open = SagaRow { close_at: Some(NOW + 50), ..over(1, 1, NOW + 10) };
    let kept = SagaRow { expires_at: None, ..over(2, 1, 0) };
    given.archived(vec![open, kept]).await;
    assert_eq!(given.store.catalog.expire(NOW + 20, 10).await, Ok(vec![]));
    assert_eq!(given.store.catalog.expire(NOW + 50, 10).await, Ok(vec![1]));
}

pub(super) async fn a_live_saga_stays(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![SagaRow { live: true, ..over(1, 1, NOW) }]).await;
    assert_eq!(given.store.catalog.expire(NOW + 20, 10).await, Ok(vec![]));
}

pub(super) async fn the_longest_expired_go_first(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![over(1, 1, NOW + 3), over(2, 1, NOW + 1), over(3, 1, NOW + 2)]).await;
    let catalog = &given.store.catalog;
    assert_eq!(catalog.expire(NOW + 9, 2).await, Ok(vec![2, 3]));
    assert_eq!(catalog.expire(NOW + 9, 2).await, Ok(vec![1]));
}

pub(super) async fn claims_go_with_their_saga(on: &dyn Installation) {
    let given = opened(on).await;
    let (key, other) = (idempotency("k"), idempotency("other"));
    let position = given.appended(vec![start(1, &[&key]), start(2, &[&other])]).await;
    let rows = vec![brought(over(1, 1, NOW), 1), brought(row(2, 1), 1)];
    given.checkpointed(position, rows).await;
    assert_eq!(given.holder(&key).await, Some(1));
    assert_eq!(given.store.catalog.expire(NOW, 10).await, Ok(vec![1]));
    assert_eq!(given.holder(&key).await, None);
    assert_eq!(given.holder(&other).await, Some(2));
    given.appended(vec![start(3, &[&key])]).await;
}

pub(super) async fn a_saga_that_moved_after_the_checkpoint_stays(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![over(1, 1, NOW)]).await;
    let position = given.appended(vec![entry(1, 2, 1)]).await;
    assert_eq!(given.store.catalog.expire(NOW, 10).await, Ok(vec![]));
    let given = given.reopened().await;
    assert_eq!(given.store.catalog.expire(NOW, 10).await, Ok(vec![]));
    given.checkpointed(position, vec![brought(over(1, 2, NOW), 2)]).await;
    assert_eq!(given.store.catalog.expire(NOW, 10).await, Ok(vec![1]));
}

pub(super) async fn an_id_may_start_anew_after_its_deletion(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![over(1, 3, NOW)]).await;
    given.store.catalog.expire(NOW, 10).await.unwrap();
    assert!(given.append(vec![entry(1, 4, 1)]).await.is_err());
    given.archived(vec![row(1, 2)]).await;
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!(saga.events, events(1, 1, 2));
}
