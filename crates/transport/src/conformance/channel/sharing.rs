//! Many copies of one end, and how much each holds.

use std::collections::BTreeSet;

use tokio::time::timeout;

use super::super::stage::within;
use super::Broker;
use super::ends::{QUIET, next, number, numbered, publish, taken, taken_by};
use crate::channel::UNSETTLED_MAX;

/// What is not settled is bounded, and one that is settled makes room for one.
pub async fn a_slow_reader_is_not_flooded(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let sent = UNSETTLED_MAX as u32 + 20;
    for number in 0..sent {
        publish(&engine, &numbered(number.into(), number)).await;
    }
    let mut held = Vec::new();
    while held.len() < UNSETTLED_MAX {
        held.push(next(&service).await);
    }
    assert!(timeout(QUIET, next(&service)).await.is_err(), "one more than it may hold");
    for received in &held {
        service.acknowledge(received.tag).await.expect("the broker is there");
    }
    let mut numbers: BTreeSet<u32> = held.iter().map(number).collect();
    while numbers.len() < sent as usize {
        numbers.insert(number(&taken(&service).await));
    }
}

/// Nothing is lost between them.
pub async fn two_copies_share_what_comes(broker: &dyn Broker) {
    const SENT: u32 = 200;
    let place = broker.place().await;
    let engine = place.engine().await;
    let copies = [place.service().await, place.service().await];
    let mut numbers = taken_by(&copies);
    for number in 0..SENT {
        publish(&engine, &numbered((number % 40).into(), number)).await;
    }
    let mut missing: BTreeSet<u32> = (0..SENT).collect();
    while !missing.is_empty() {
        missing.remove(&within(numbers.recv()).await.expect("both read"));
    }
}

/// Also where it had read ahead.
pub async fn a_copy_that_leaves_leaves_what_it_holds(broker: &dyn Broker) {
    const SENT: u32 = 50;
    let place = broker.place().await;
    let engine = place.engine().await;
    let leaves = place.service().await;
    for number in 0..SENT {
        publish(&engine, &numbered(number.into(), number)).await;
    }
    let mut missing: BTreeSet<u32> = (0..SENT).collect();
    for _ in 0..5 {
        missing.remove(&number(&taken(&leaves).await));
    }
    next(&leaves).await; // and is never heard of again
    let stays = place.service().await;
    within(leaves.close()).await;
    while !missing.is_empty() {
        missing.remove(&number(&taken(&stays).await));
    }
}
