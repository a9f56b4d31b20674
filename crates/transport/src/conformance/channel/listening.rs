//! Who listens: each by a subscription of its own, which outlives its copies.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::stage::within;
use super::arriving::{arrive_in_their_order, is_whole, whole};
use super::ends::{aside, listener, next, number, numbered_for, publish, quiet, taken, taken_by};
use super::settling::{comes_again, comes_no_sooner};
use super::{Broker, LISTENERS};
use crate::channel::{Channel, End, Kind, UNSETTLED_MAX};

/// The two that listen.
fn both() -> [End; 2] {
    LISTENERS.map(listener)
}

/// These numbers arrive, in whatever order, and are done with.
async fn arrive(end: &Arc<dyn Channel>, numbers: impl IntoIterator<Item = u32>) {
    let mut missing: BTreeSet<u32> = numbers.into_iter().collect();
    while !missing.is_empty() {
        missing.remove(&number(&taken(end).await));
    }
}

/// As commands come: body byte for byte, attributes, and headers beside them. What one has
/// acknowledged still comes to the others, and not to services or engines.
pub async fn every_listener_hears_each_event_whole(broker: &dyn Broker) {
    let place = broker.place().await;
    let [one, other] = both();
    let (engine, service) = (place.engine().await, place.service().await);
    let (first, second) = (place.end(one).await, place.end(other).await);
    let sent = whole(Kind::Event);
    publish(&service, &sent).await;
    is_whole(&taken(&first).await, &sent);
    is_whole(&taken(&second).await, &sent);
    quiet(&first).await;
    quiet(&engine).await;
    quiet(&service).await;
}

/// What it says is what the others hear, itself included: so it has the events of a saga in one order
/// with them.
pub async fn a_listener_hears_its_own_events(broker: &dyn Broker) {
    let place = broker.place().await;
    let [one, other] = both();
    let (first, second) = (place.end(one.clone()).await, place.end(other.clone()).await);
    for number in 0..4 {
        let (end, from) = if number % 2 == 0 { (&one, &first) } else { (&other, &second) };
        publish(from, &numbered_for(end, number.into(), number)).await;
    }
    arrive(&first, 0..4).await;
    arrive(&second, 0..4).await;
}

/// At one copy, of each saga for itself.
pub async fn events_of_a_saga_arrive_in_their_order(broker: &dyn Broker) {
    let [one, _] = both();
    arrive_in_their_order(broker, one).await;
}

/// Each comes to one of the copies, and to the other listener all the same.
pub async fn copies_of_a_listener_share_its_events(broker: &dyn Broker) {
    const SENT: u32 = 200;
    let place = broker.place().await;
    let [one, other] = both();
    let service = place.service().await;
    let copies = [place.end(one.clone()).await, place.end(one.clone()).await];
    let apart = place.end(other).await;
    let mut numbers = taken_by(&copies);
    for number in 0..SENT {
        publish(&service, &numbered_for(&one, (number % 40).into(), number)).await;
    }
    let (mut missing, mut came): (BTreeSet<u32>, u32) = ((0..SENT).collect(), 0);
    while !missing.is_empty() {
        missing.remove(&within(numbers.recv()).await.expect("both read"));
        came += 1;
    }
    arrive(&apart, 0..SENT).await;
    // By now all that is to come to both has come, but for a few that come twice.
    while numbers.try_recv().is_ok() {
        came += 1;
    }
    assert!(came < SENT * 3 / 2, "{came} of {SENT} came: each copy hears all of them");
}

/// From when its subscription was made, also where it has heard nothing before it left.
pub async fn what_is_published_while_a_listener_is_away_waits_for_it(broker: &dyn Broker) {
    let place = broker.place().await;
    let [one, _] = both();
    let service = place.service().await;
    for round in 0..3 {
        within(place.end(one.clone()).await.close()).await;
        let numbers = round * 10..round * 10 + 10;
        for number in numbers.clone() {
            publish(&service, &numbered_for(&one, number.into(), number)).await;
        }
        let back = place.end(one.clone()).await;
        arrive(&back, numbers).await;
        quiet(&back).await;
        within(back.close()).await;
    }
}

/// To whoever comes next under its name, whether the end said that it leaves or not.
pub async fn an_event_that_is_not_acknowledged_comes_again(broker: &dyn Broker) {
    let [one, _] = both();
    comes_again(broker, one).await;
}

/// The others go on meanwhile.
pub async fn an_event_that_is_given_back_comes_again_and_no_sooner(broker: &dyn Broker) {
    let [one, _] = both();
    comes_no_sooner(broker, one).await;
}

/// Where people look it is that listener's, and nobody hears of it as of an event.
pub async fn an_event_that_one_puts_aside_comes_to_the_others(broker: &dyn Broker) {
    const WHY: &str = "no event of ours";
    let place = broker.place().await;
    let [one, other] = both();
    let service = place.service().await;
    let (first, second) = (place.end(one.clone()).await, place.end(other.clone()).await);
    publish(&service, &numbered_for(&one, 1, 1)).await;
    let received = next(&first).await;
    first.dead_letter(received.tag, WHY).await.expect("the broker is there");
    assert_eq!(aside(&*place, one).await, [("1".into(), WHY.to_owned())]);
    assert_eq!(place.dead_letters(other).await, []);
    arrive(&second, [1]).await;
    quiet(&first).await;
    quiet(&second).await;
}

/// It holds as much as an end may, and the other has all.
pub async fn a_slow_listener_holds_up_no_other(broker: &dyn Broker) {
    let place = broker.place().await;
    let [one, other] = both();
    let service = place.service().await;
    let (slow, quick) = (place.end(one.clone()).await, place.end(other).await);
    let sent = UNSETTLED_MAX as u32 + 20;
    for number in 0..sent {
        publish(&service, &numbered_for(&one, number.into(), number)).await;
    }
    let mut held = Vec::new();
    while held.len() < UNSETTLED_MAX {
        held.push(next(&slow).await);
    }
    quiet(&slow).await;
    arrive(&quick, 0..sent).await;
    for received in &held {
        slow.acknowledge(received.tag).await.expect("the broker is there");
    }
    let before: BTreeSet<u32> = held.iter().map(number).collect();
    arrive(&slow, (0..sent).filter(|number| !before.contains(number))).await;
}

/// A confirmation means that each listener has it on disk, whether it is there or not.
pub async fn events_outlive_the_broker(broker: &dyn Broker) {
    const SENT: u32 = 50;
    let place = broker.mortal().await;
    let [one, other] = both();
    let service = place.service().await;
    let stays = place.end(one.clone()).await;
    within(place.end(other.clone()).await.close()).await;
    for number in 0..SENT {
        publish(&service, &numbered_for(&one, number.into(), number)).await;
    }
    place.kill().await;
    place.start_again().await;
    arrive(&stays, 0..SENT).await;
    arrive(&place.end(other).await, 0..SENT).await;
}
