//! What is told on every disk: sagas that complete, that are refused and undone, that wait and are
//! paused; checkpoints, cuts, and the deletion of what has been kept long enough.

use std::time::Duration;

use amends_core::saga::State;
use amends_engine::{Ask, SagaVerb};
use amends_store::Query;

use crate::world::{RETENTION, World};

/// A few checkpoints come in this time, and a cut behind each.
const CHECKPOINTS: Duration = Duration::from_secs(2);

/// Tells all of it. Whatever fails, the client asks until it is served.
pub async fn tell(world: &mut World) {
    let refused = r#"{"order_id": "o-1", "refused": "Shipping.Create"}"#;
    assert_eq!(order(world, "refused", refused).await, State::Failed);
    assert_eq!(order(world, "plain", r#"{"order_id": "o-2"}"#).await, State::Completed);
    tokio::time::sleep(CHECKPOINTS).await;
    // The business key is free again.
    assert_eq!(order(world, "again", r#"{"order_id": "o-1"}"#).await, State::Completed);
    let (left, _) = world.start("left", r#"{"order_id": "o-3"}"#).await;
    tokio::time::sleep(CHECKPOINTS).await;
    world.ask(left, "left", verb(SagaVerb::Pause)).await;
    world.ask(left, "left", verb(SagaVerb::Resume)).await;
    (world.may_expire, world.expiring_from) = (true, Some(world.disk.acts()));
    tokio::time::sleep(RETENTION + CHECKPOINTS).await;
    // Those that had ended are gone, and their idempotency keys with them.
    world
        .until(async |handle| {
            let mut listed = Vec::new();
            for _ in 0..5 {
                let page = handle.list(Query::default(), Some(handle.position())).await;
                let page = page.map_err(|error| error.to_string())?;
                listed = page.rows.iter().map(|row| row.saga).collect();
                if listed[..] == [left.0] {
                    return Ok(());
                }
                // A process that was started again has its own clock.
                tokio::time::sleep(RETENTION).await;
            }
            Err(format!("the list still has {} sagas, which cannot be right", listed.len()))
        })
        .await;
    assert_eq!(order(world, "refused", refused).await, State::Failed);
    world.stop().await;
}

/// Starts a saga, approves it, and waits for its end.
async fn order(world: &mut World, key: &str, data: &str) -> State {
    let (saga, _) = world.start(key, data).await;
    world.ask(saga, key, approval()).await;
    world.ended(saga, key).await
}

/// The signal that every saga waits for.
pub fn approval() -> Ask {
    Ask::Signal { name: "approval".into(), body: "{}".into() }
}

/// A verb of an operator's.
pub fn verb(verb: SagaVerb) -> Ask {
    Ask::Verb { verb, by: "me".into(), reason: "test".into() }
}
