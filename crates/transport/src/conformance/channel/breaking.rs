//! The broker dies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::stage::within;
use super::Broker;
use super::ends::{number, numbered, publish, publish_through, taken};

/// A confirmation means that it is on disk.
pub async fn what_is_confirmed_outlives_the_broker(broker: &dyn Broker) {
    const SENT: u32 = 50;
    let place = broker.mortal().await;
    let engine = place.engine().await;
    for number in 0..SENT {
        publish(&engine, &numbered(number.into(), number)).await;
    }
    place.kill().await;
    place.start_again().await;
    let service = place.service().await;
    let mut missing: BTreeSet<u32> = (0..SENT).collect();
    while !missing.is_empty() {
        missing.remove(&number(&taken(&service).await));
    }
}

/// Nobody waits for ever, and nobody has to start anything again.
pub async fn a_broker_that_is_away_is_told_and_waited_for(broker: &dyn Broker) {
    let place = broker.mortal().await;
    let (engine, service) = (place.engine().await, place.service().await);
    publish(&engine, &numbered(1, 1)).await;
    assert_eq!(number(&taken(&service).await), 1);
    place.kill().await;
    let away = timeout(Duration::from_secs(30), engine.publish(&numbered(1, 2))).await;
    assert!(away.expect("it is told in time").is_err(), "a dead broker confirmed a message");
    place.start_again().await;
    publish_through(&engine, &numbered(1, 3)).await;
    // The second may have been on its way.
    let mut numbers = BTreeSet::new();
    while !numbers.contains(&3) {
        numbers.insert(number(&taken(&service).await));
    }
}

/// Every message that was confirmed arrives, in whatever state the broker died.
pub async fn nothing_is_lost_when_the_broker_dies_under_load(broker: &dyn Broker) {
    const SENT: u32 = 400;
    let place = broker.mortal().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let publishing = tokio::spawn(async move {
        for number in 0..SENT {
            publish_through(&engine, &numbered((number % 20).into(), number)).await;
        }
    });
    let mut missing: BTreeSet<u32> = (0..SENT).collect();
    let mut killed = false;
    while !missing.is_empty() {
        missing.remove(&number(&taken(&service).await));
        if !killed && missing.len() < SENT as usize * 2 / 3 {
            killed = true;
            let place = Arc::clone(&place);
            tokio::spawn(async move {
                place.kill().await;
                place.start_again().await;
            });
        }
    }
    within(publishing).await.expect("all were published");
}
