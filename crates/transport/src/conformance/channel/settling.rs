//! What becomes of a message that arrived.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::stage::within;
use super::Broker;
use super::ends::{aside, filled_by, next, number, numbered, numbered_for, publish, quiet, taken};
use crate::channel::End;

/// Neither to the same end, nor to one that comes after it.
pub async fn what_is_acknowledged_comes_no_more(broker: &dyn Broker) {
    let place = broker.place().await;
    let engine = place.engine().await;
    let service = place.service().await;
    for number in 0..20 {
        publish(&engine, &numbered(number.into(), number)).await;
    }
    for _ in 0..20 {
        taken(&service).await;
    }
    within(service.close()).await;
    let after = place.service().await;
    publish(&engine, &numbered(1, 99)).await;
    assert_eq!(number(&taken(&after).await), 99);
    quiet(&after).await;
}

/// To whoever comes next, whether the end said that it leaves or not.
pub async fn what_is_not_acknowledged_comes_again(broker: &dyn Broker) {
    comes_again(broker, End::Service).await;
}

/// The same of what this end takes.
pub(super) async fn comes_again(broker: &dyn Broker, takes: End) {
    let place = broker.place().await;
    let publisher = place.end(filled_by(&takes)).await;
    for says_goodbye in [true, false] {
        let taker = place.end(takes.clone()).await;
        for number in 0..10 {
            let number = number + 100 * u32::from(says_goodbye);
            // Of one saga, unless one that is open holds up its next.
            let saga = if broker.capabilities().one_at_a_time { number } else { 1 };
            publish(&publisher, &numbered_for(&takes, saga.into(), number)).await;
        }
        let mut open = BTreeSet::new();
        for _ in 0..10 {
            let received = next(&taker).await;
            let number = number(&received);
            if number.is_multiple_of(2) {
                taker.acknowledge(received.tag).await.expect("the broker is there");
            } else {
                open.insert(number);
            }
        }
        if says_goodbye {
            within(taker.close()).await;
        }
        drop(taker);
        let after = place.end(takes.clone()).await;
        while !open.is_empty() {
            let number = number(&taken(&after).await);
            let was_open = open.remove(&number);
            let alone = broker.capabilities().settles_alone;
            assert!(was_open || !alone, "{number} was acknowledged, and came again");
        }
        within(after.close()).await;
    }
}

/// The others go on meanwhile.
pub async fn what_is_given_back_comes_again_and_no_sooner(broker: &dyn Broker) {
    comes_no_sooner(broker, End::Service).await;
}

/// The same of what this end takes.
pub(super) async fn comes_no_sooner(broker: &dyn Broker, takes: End) {
    const AFTER: Duration = Duration::from_secs(1);
    let place = broker.place().await;
    let taker = place.end(takes.clone()).await;
    let publisher = place.end(filled_by(&takes)).await;
    publish(&publisher, &numbered_for(&takes, 1, 1)).await;
    let received = next(&taker).await;
    let given_back = Instant::now();
    taker.give_back(received.tag, AFTER).await.expect("the broker is there");
    publish(&publisher, &numbered_for(&takes, 2, 2)).await;
    assert_eq!(number(&taken(&taker).await), 2);
    let again = next(&taker).await;
    assert!(given_back.elapsed() >= AFTER, "it came after {:?}", given_back.elapsed());
    assert_eq!(number(&again), 1);
    assert_eq!(again.deliveries, if broker.capabilities().counts_deliveries { 2 } else { 1 });
    taker.acknowledge(again.tag).await.expect("the broker is there");
    quiet(&taker).await;
}

/// What cannot be taken is kept where people look, and holds up nothing.
pub async fn what_is_put_aside_is_kept_with_its_reason(broker: &dyn Broker) {
    const WHY: &str = "no JSON at byte 3; 5% \"of é\"";
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    for number in 1..=3 {
        publish(&engine, &numbered(1, number)).await;
    }
    for _ in 1..=3 {
        let received = next(&service).await;
        match number(&received) {
            2 => service.dead_letter(received.tag, WHY).await,
            _ => service.acknowledge(received.tag).await,
        }
        .expect("the broker is there");
    }
    assert_eq!(aside(&*place, End::Service).await, [("2".into(), WHY.to_owned())]);
    within(service.close()).await;
    quiet(&place.service().await).await;
}

/// Twice, or after its end has left.
pub async fn what_is_no_longer_held_can_be_settled(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    publish(&engine, &numbered(1, 1)).await;
    let received = next(&service).await;
    for _ in 0..2 {
        let done = within(service.acknowledge(received.tag)).await;
        done.expect("nothing happens at the second");
    }
    let late = within(service.give_back(received.tag, Duration::ZERO)).await;
    late.expect("nothing happens");
    within(service.dead_letter(received.tag, "late")).await.expect("nothing happens");
    quiet(&service).await;
    assert_eq!(place.dead_letters(End::Service).await, []);
}
