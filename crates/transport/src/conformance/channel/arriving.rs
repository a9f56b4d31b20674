//! What arrives, and in which order.

use std::collections::BTreeMap;

use amends_wire::Headers;
use bytes::Bytes;

use super::Broker;
use super::ends::{
    filled_by, message, next, number, numbered, numbered_for, publish, quiet, saga, taken,
};
use crate::channel::{ChannelError, End, Kind, Message, Received};

/// Body byte for byte, attributes, and headers beside them.
pub async fn a_message_arrives_whole(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let sent = whole(Kind::Command);
    publish(&engine, &sent).await;
    is_whole(&taken(&service).await, &sent);
}

/// A body that is not the same once it was read and written, attributes, and headers beside them.
pub(super) fn whole(kind: Kind) -> Message {
    let body = "{ \"n\": 1.500,\n\"n\":12345678901234567890, \"t\":\"é\\u0000\"}";
    let mut sent = message(kind, 1, "whole/1", body);
    sent.attributes.push(("causationid".to_owned(), "5% \"é\"/7".to_owned()));
    sent.attributes.push(("traceparent".to_owned(), "00-0af7-b7ad-01".to_owned()));
    sent.attributes.push(("amends-reply-to".to_owned(), "http://h/v1/replies/a-_".to_owned()));
    sent
}

/// As it was sent, and brought for the first time.
pub(super) fn is_whole(received: &Received, sent: &Message) {
    assert_eq!(received.body, sent.body);
    assert_eq!(received.deliveries, 1);
    for (name, value) in &sent.attributes {
        let name = amends_wire::envelope::header_name("ce-", name);
        assert_eq!(received.value(&name), Some(&**value), "{name}");
    }
}

/// As large as the broker takes, up to what a definition allows twice over.
pub async fn a_large_body_arrives_whole(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let bytes = broker.capabilities().body_bytes_max.min(600 * 1024);
    let body = Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2)));
    publish(&engine, &message(Kind::Command, 1, "large", body.clone())).await;
    assert!(taken(&service).await.body == body, "another body came");
}

/// It is told as what it is, and what comes after it leaves.
pub async fn what_is_too_large_is_refused_and_holds_up_nothing(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let bytes = broker.capabilities().body_bytes_max;
    if bytes != usize::MAX {
        let body = format!("\"{}\"", "x".repeat(bytes * 2));
        let refused = engine.publish(&message(Kind::Command, 1, "too large", body)).await;
        assert!(matches!(refused, Err(ChannelError::Refused(_))), "{refused:?}");
    }
    publish(&engine, &numbered(1, 7)).await;
    assert_eq!(number(&taken(&service).await), 7);
}

/// A service without a kit may send plain JSON.
pub async fn a_message_without_an_envelope_arrives_as_it_is(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    let mut plain = message(Kind::Reply, 1, "plain", "{\"type\":\"SagaStepCompleted\"}");
    plain.attributes.clear();
    publish(&service, &plain).await;
    let received = taken(&engine).await;
    assert_eq!(received.body, plain.body);
    assert_eq!(received.value("ce-type"), None);
}

/// A reply never comes to a service, a command never to an engine, an event to neither.
pub async fn commands_and_replies_go_their_own_ways(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    publish(&engine, &message(Kind::Command, 1, "c", "\"command\"")).await;
    publish(&service, &message(Kind::Reply, 1, "r", "\"reply\"")).await;
    publish(&service, &message(Kind::Event, 1, "e", "\"event\"")).await;
    assert_eq!(taken(&service).await.body, "\"command\"");
    assert_eq!(taken(&engine).await.body, "\"reply\"");
    quiet(&service).await;
    quiet(&engine).await;
}

/// Of each saga for itself; between sagas there is no order.
pub async fn messages_of_a_saga_arrive_in_their_order(broker: &dyn Broker) {
    arrive_in_their_order(broker, End::Service).await;
}

/// The same of what this end takes.
pub(super) async fn arrive_in_their_order(broker: &dyn Broker, takes: End) {
    const SAGAS: u32 = 5;
    const EACH: u32 = 20;
    let place = broker.place().await;
    let taker = place.end(takes.clone()).await;
    let publisher = place.end(filled_by(&takes)).await;
    for number in 0..SAGAS * EACH {
        let message = numbered_for(&takes, u128::from(number % SAGAS), number);
        publish(&publisher, &message).await;
    }
    let mut arrived: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for _ in 0..SAGAS * EACH {
        let received = taken(&taker).await;
        arrived.entry(saga(&received)).or_default().push(number(&received));
    }
    assert_eq!(arrived.len(), SAGAS as usize);
    for numbers in arrived.values_mut() {
        if !broker.capabilities().keeps_order {
            numbers.sort_unstable();
        }
        assert!(numbers.windows(2).all(|two| two[0] + SAGAS == two[1]), "{numbers:?}");
    }
}

/// Where the broker knows ids it drops the second. Where not, it comes, and is a duplicate.
pub async fn a_message_that_is_published_again_is_known(broker: &dyn Broker) {
    let place = broker.place().await;
    let (engine, service) = (place.engine().await, place.service().await);
    for _ in 0..2 {
        publish(&engine, &numbered(1, 1)).await;
    }
    publish(&engine, &numbered(1, 2)).await;
    let mut numbers = Vec::new();
    while !numbers.contains(&2) {
        let received = next(&service).await;
        service.acknowledge(received.tag).await.expect("the broker is there");
        numbers.push(number(&received));
    }
    if broker.capabilities().knows_ids {
        assert_eq!(numbers, [1, 2]);
    } else {
        assert!(numbers.contains(&1), "{numbers:?}");
    }
}
