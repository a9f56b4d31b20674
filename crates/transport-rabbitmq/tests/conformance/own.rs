//! What this broker alone can get wrong.

use std::sync::Arc;
use std::time::Duration;

use amends_transport::{
    Channel, ChannelError, End, Events, HELD_BYTES_MAX, Kind, Listener, Message, Queues, Received,
};
use amends_transport_rabbitmq::{ConnectError, Place, Server, connect, examine};
use amends_wire::Headers;
use lapin::BasicProperties;
use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::timeout;

use crate::stand::{client, dead_letters, new_place, shared};

/// Long, so that only what never comes fails.
const WITHIN: Duration = Duration::from_secs(60);

/// How long it is waited to see that nothing comes.
const QUIET: Duration = Duration::from_secs(2);

async fn service(server: &Server, place: &Place) -> Arc<dyn Channel> {
    let connected = connect(server, place.clone(), End::Service, true).await;
    Arc::new(connected.expect("it is there").0)
}

async fn next(end: &Arc<dyn Channel>) -> Received {
    let received = timeout(WITHIN, end.receive()).await;
    received.expect("something comes").expect("the server is there")
}

fn queues(place: &Place) -> &Queues {
    place.queues.as_ref().expect("both are there")
}

fn message(kind: Kind, id: &str) -> Message {
    Message {
        id: id.to_owned(),
        saga_id: "s".to_owned(),
        kind,
        name: "Acted".to_owned(),
        attributes: Vec::new(),
        body: "{}".into(),
    }
}

fn arguments(said: &[(&str, AMQPValue)]) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in said {
        arguments.insert((*name).into(), value.clone());
    }
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_without_the_password() {
    let url = shared().await.url.replace("amqp://", "amqp://nobody:s3cr3t@");
    let error = connect(&Server::new(&url), new_place(), End::Engine, true).await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{said}");
    assert!(said.contains("ACCESS_REFUSED") && said.contains("amqp://127.0.0.1:"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_and_made_when_it_may_be() {
    let (server, place) = (shared().await, new_place().with_exchange("ex.missing"));
    let events = place.events.clone().unwrap().at;
    let all = [
        "exchange ex.missing".to_owned(),
        format!("queue {}", place.dead_letters(&End::Service).unwrap()),
        format!("queue {}", queues(&place).commands),
        format!("queue {}", place.dead_letters(&End::Engine).unwrap()),
        format!("queue {}", queues(&place).replies),
        format!("exchange {events}"),
        format!("queue {events}"),
    ];
    assert_eq!(examine(&server, &place).await.unwrap().missing, all);
    let error = connect(&server, place.clone(), End::Service, false).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("RabbitMQ has no {}, no ", all[0])), "{said}");
    assert!(said.ends_with("make it, or allow it to be made"), "{said}");
    let (channel, made) = connect(&server, place.clone(), End::Service, true).await.unwrap();
    assert_eq!((made.created, made.missing, made.weak), (all.to_vec(), vec![], vec![]));
    channel.close().await;
    let found = examine(&server, &place).await.unwrap();
    assert_eq!((found.there, found.missing, found.weak), (all.to_vec(), vec![], vec![]));
    // And an end that is to make nothing finds what it needs.
    connect(&server, place, End::Engine, false).await.unwrap().0.close().await;
}

/// An exchange keeps nothing: what is published before one who listens first comes is lost to it unless
/// its queue is there.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_makes_the_queues_of_those_who_listen() {
    let (server, at) = (shared().await, new_place().events.unwrap().at);
    let listeners = ["PayService", "amends"].map(|name| Listener::named(name).unwrap());
    let place = Place::events_only(Events::at(&at).heard_by(listeners.clone()));
    let mut all = vec![format!("exchange {at}")];
    for listener in ["PayService", "amends"] {
        all.push(format!("queue {at}.{listener}.dead-letters"));
        all.push(format!("queue {at}.{listener}"));
    }
    assert_eq!(examine(&server, &place).await.unwrap().missing, all);
    let error = connect(&server, place.clone(), End::Service, false).await.unwrap_err();
    assert!(error.to_string().contains(&all[4]), "{error}");
    let (service, made) = connect(&server, place.clone(), End::Service, true).await.unwrap();
    assert_eq!((made.created, made.missing, made.weak), (all.clone(), vec![], vec![]));
    let found = examine(&server, &place).await.unwrap();
    assert_eq!((found.there, found.missing, found.weak), (all, vec![], vec![]));
    service.publish(&message(Kind::Event, "1")).await.unwrap();
    for listener in listeners {
        let end = End::Listener(listener);
        let (heard, _) = connect(&server, place.clone(), end, false).await.unwrap();
        let heard: Arc<dyn Channel> = Arc::new(heard);
        assert_eq!(next(&heard).await.body, "{}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_where_there_are_no_events() {
    let (server, listener) = (shared().await, Listener::named("amends").unwrap());
    let place = Place { events: None, ..new_place() };
    let error = connect(&server, place, End::Listener(listener), true).await.unwrap_err();
    assert!(error.to_string().contains("no events at the place: say their exchange"), "{error}");
}

/// Nobody may make what begins with `amq.`.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_made_is_told() {
    let place = Place::new("amq.commands", "not.made");
    let error = connect(&shared().await, place, End::Service, true).await.unwrap_err().to_string();
    let (no, why) = ("has no queue amq.commands", "this user may not make it");
    assert!(
        error.contains(no) && error.contains(why) && error.contains("ACCESS_REFUSED"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_settings_are_found_one_behind_the_other() {
    let (server, place) = (shared().await, new_place().with_exchange("ex.weak"));
    let other = client(&server).await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let fanout = lapin::ExchangeKind::Fanout;
    other.exchange_declare("ex.weak".into(), fanout, durable, FieldTable::default()).await.unwrap();
    let said = arguments(&[
        ("x-message-ttl", AMQPValue::LongInt(60_000)),
        ("x-max-length", AMQPValue::LongInt(100)),
    ]);
    let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    other.queue_declare(queues(&place).commands.as_str().into(), options, said).await.unwrap();
    let said = arguments(&[
        ("x-queue-type", AMQPValue::LongString("quorum".into())),
        ("x-delivery-limit", AMQPValue::LongInt(3)),
    ]);
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    other.queue_declare(queues(&place).replies.as_str().into(), options, said).await.unwrap();

    let weak = examine(&server, &place).await.unwrap().weak;
    for (what, why) in [
        ("exchange ex.weak", "its type is fanout"),
        (&*queues(&place).commands, "it is no quorum queue"),
        (&*queues(&place).commands, "make it durable"),
        (&*queues(&place).commands, "auto_delete off"),
        (&*queues(&place).commands, "x-message-ttl"),
        (&*queues(&place).commands, "the oldest message is dropped"),
        (&*queues(&place).replies, "after 3 deliveries"),
    ] {
        let is_named = weak.iter().any(|weak| weak.contains(what) && weak.contains(why));
        assert!(is_named, "{what}: {why}: {weak:#?}");
    }
    assert_eq!(weak.len(), 7, "{weak:#?}");
}

/// Neither lost nor taken for another's.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_queue_takes_comes_back_and_the_others_go_on() {
    let (server, place) = (shared().await, new_place().with_exchange("ex.unrouted"));
    let service = service(&server, &place).await;
    let other = client(&server).await;
    let (queue, key) = (queues(&place).replies.as_str(), queues(&place).replies.as_str());
    other
        .queue_unbind(queue.into(), "ex.unrouted".into(), key.into(), FieldTable::default())
        .await
        .unwrap();
    // Side by side with others: each is told of its own.
    let publishing = (0..40).map(|number| {
        let kind = if number % 2 == 0 { Kind::Reply } else { Kind::Event };
        let (service, message) = (Arc::clone(&service), message(kind, &number.to_string()));
        tokio::spawn(async move { (kind, service.publish(&message).await) })
    });
    for published in publishing.collect::<Vec<_>>() {
        match published.await.unwrap() {
            (Kind::Event, told) => told.unwrap(),
            (_, told) => {
                let Err(ChannelError::Refused(why)) = told else { panic!("{told:?}") };
                assert!(why.contains(&queues(&place).replies) && why.contains("NO_ROUTE"), "{why}");
            }
        }
    }
    let bind = QueueBindOptions::default();
    other
        .queue_bind(queue.into(), "ex.unrouted".into(), key.into(), bind, FieldTable::default())
        .await
        .unwrap();
    service.publish(&message(Kind::Reply, "again")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_gone_is_told() {
    let (server, place) = (shared().await, new_place().with_exchange("ex.gone"));
    let service = service(&server, &place).await;
    let other = client(&server).await;
    other.exchange_delete("ex.gone".into(), Default::default()).await.unwrap();
    let told = service.publish(&message(Kind::Reply, "1")).await;
    let Err(ChannelError::Refused(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("no exchange 'ex.gone'"), "{why}");
    service.publish(&message(Kind::Event, "2")).await.unwrap();
}

/// The queue's reader waits until it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_gone_is_told_and_waited_for() {
    let (server, place) = (shared().await, new_place().with_exchange(""));
    let service = service(&server, &place).await;
    let other = client(&server).await;
    let queue = queues(&place).commands.as_str();
    other.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    let told = timeout(WITHIN, service.receive()).await.unwrap();
    assert!(matches!(told, Err(ChannelError::Away(_))), "{told:?}");
    // Made again by whoever may.
    connect(&server, place.clone(), End::Engine, true).await.unwrap().0.close().await;
    publish(&other, queue, b"{}", BasicProperties::default()).await;
    let received = async {
        loop {
            if let Ok(received) = service.receive().await {
                return received;
            }
        }
    };
    assert_eq!(timeout(WITHIN, received).await.unwrap().body, "{}");
}

async fn publish(other: &lapin::Channel, queue: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    let sent = other.basic_publish("".into(), queue.into(), options, body, properties).await;
    sent.unwrap().await.unwrap();
}

/// Bytes that are no text, headers of every sort and size, from somebody who knows nothing of us.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_is_put_aside_and_the_rest_moves_on() {
    let (server, place) = (shared().await, new_place());
    let service = service(&server, &place).await;
    let other = client(&server).await;
    let headers = arguments(&[
        ("x-own", AMQPValue::Boolean(true)),
        ("large", AMQPValue::LongString("x".repeat(120_000).into())),
        ("bytes", AMQPValue::LongString(vec![0xff, 0xfe].into())),
    ]);
    let foreign =
        BasicProperties::default().with_headers(headers).with_content_type("text/plain".into());
    publish(&other, &queues(&place).commands, &[0xff, 0x00, 0xfe], foreign).await;
    publish(&other, &queues(&place).commands, b"", BasicProperties::default()).await;
    publish(&other, &queues(&place).commands, b"{\"last\":1}", BasicProperties::default()).await;
    for number in 0..2 {
        let received = next(&service).await;
        assert_eq!((received.deliveries, received.value("bytes")), (1, None));
        service.dead_letter(received.tag, &format!("no JSON, {number}")).await.unwrap();
    }
    let last = next(&service).await;
    assert_eq!(last.body, "{\"last\":1}");
    service.acknowledge(last.tag).await.unwrap();
    let dead = dead_letters(&server, place.dead_letters(&End::Service)).await;
    let expected = [(&[0xff, 0x00, 0xfe][..], "no JSON, 0"), (&[], "no JSON, 1")];
    assert_eq!(dead.len(), 2);
    for ((body, reason), expected) in dead.iter().zip(expected) {
        assert_eq!((&body[..], &**reason), expected);
    }
}

/// However often a message is given back, the server keeps bringing it, and counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_back_many_times_is_not_given_up() {
    const TIMES: u32 = 100;
    let (server, place) = (shared().await, new_place());
    let service = service(&server, &place).await;
    publish(&client(&server).await, &queues(&place).commands, b"1", BasicProperties::default())
        .await;
    for time in 1..=TIMES {
        let received = next(&service).await;
        assert_eq!(received.deliveries, time);
        let after = if time % 10 == 0 { Duration::from_millis(10) } else { Duration::ZERO };
        service.give_back(received.tag, after).await.unwrap();
    }
    let received = next(&service).await;
    service.acknowledge(received.tag).await.unwrap();
    assert!(dead_letters(&server, place.dead_letters(&End::Service)).await.is_empty());
}

/// As many as may wait, while others come and go.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_holds_up_nobody() {
    const WAITING: usize = amends_transport::UNSETTLED_MAX;
    let (server, place) = (shared().await, new_place());
    let service = service(&server, &place).await;
    let other = client(&server).await;
    for _ in 0..WAITING {
        publish(&other, &queues(&place).commands, b"\"waits\"", BasicProperties::default()).await;
        let received = next(&service).await;
        service.give_back(received.tag, Duration::from_secs(3_600)).await.unwrap();
    }
    publish(&other, &queues(&place).commands, b"\"goes on\"", BasicProperties::default()).await;
    let received = next(&service).await;
    assert_eq!(received.body, "\"goes on\"");
    service.acknowledge(received.tag).await.unwrap();
    // With its end gone, what waited for it comes to others.
    service.close().await;
    let after = self::service(&server, &place).await;
    for _ in 0..WAITING {
        let received = next(&after).await;
        assert_eq!((&received.body[..], received.deliveries), (&b"\"waits\""[..], 2));
        after.acknowledge(received.tag).await.unwrap();
    }
}

/// Also where small ones came before, and as many large ones were asked for as of those.
#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_asked_for_as_there_is_memory() {
    const SMALL: usize = 100;
    const LARGE: usize = 150;
    const BYTES: usize = 900 * 1024;
    let (server, place) = (shared().await, new_place());
    let service = service(&server, &place).await;
    let (other, queue) = (client(&server).await, &queues(&place).commands);
    for _ in 0..SMALL {
        publish(&other, queue, b"1", BasicProperties::default()).await;
        let received = next(&service).await;
        service.acknowledge(received.tag).await.unwrap();
    }
    let body = format!("\"{}\"", "x".repeat(BYTES - 2));
    for _ in 0..LARGE {
        publish(&other, queue, body.as_bytes(), BasicProperties::default()).await;
    }
    let mut held = Vec::new();
    while let Ok(received) = timeout(QUIET, next(&service)).await {
        held.push(received);
    }
    let fit = HELD_BYTES_MAX / BYTES + 1;
    assert!((fit - 1..=fit).contains(&held.len()), "{} are held, and {fit} fit", held.len());
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = other.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
    let left = found.unwrap().message_count() as usize;
    assert!(left >= LARGE - 2 * fit, "{left} of {LARGE} are left to the server");
    for _ in 0..LARGE {
        let received = match held.pop() {
            Some(held) => held,
            None => next(&service).await,
        };
        assert_eq!(received.body.len(), BYTES);
        service.acknowledge(received.tag).await.unwrap();
    }
}
