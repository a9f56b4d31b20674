//! What SQS alone can get wrong.

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{
    Channel, ChannelError, End, Events, Kind, Listener, Message, Queues, Received, UNSETTLED_MAX,
};
use amends_transport_sqs::{ConnectError, Place, Server, SqsChannel, connect, examine};
use amends_wire::Headers;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName as Setting};
use tokio::time::timeout;

use crate::stand::{at, client, dead_letters, new_place, shared, url};

/// Long, so that only what never comes fails.
const WITHIN: Duration = Duration::from_secs(60);

/// How long it is waited to see that nothing comes.
const QUIET: Duration = Duration::from_millis(500);

fn queues(place: &Place) -> &Queues {
    place.queues.as_ref().expect("both are there")
}

async fn end(server: &Server, place: &Place, end: End) -> SqsChannel {
    connect(server, place.clone(), end, true).await.expect("it is there").0
}

async fn next(end: &SqsChannel) -> Received {
    let received = async {
        loop {
            if let Ok(received) = end.receive().await {
                return received;
            }
        }
    };
    timeout(WITHIN, received).await.expect("a message comes")
}

fn message(kind: Kind, id: &str, body: &str) -> Message {
    Message {
        id: id.to_owned(),
        saga_id: "s".to_owned(),
        kind,
        name: "Acted".to_owned(),
        attributes: Vec::new(),
        body: body.to_owned().into(),
    }
}

async fn put(client: &Client, queue: &str, body: &str) {
    let url = url(client, queue).await;
    client.send_message().queue_url(url).message_body(body).send().await.expect("it is taken");
}

async fn logins() -> (Arc<testbed::Server>, String) {
    let started = || testbed::Server::start(testbed::sqs_with_logins()).expect("it starts");
    let server = tokio::task::spawn_blocking(started).await.expect("it starts");
    let url = server.url();
    (Arc::new(server), url)
}

fn as_who(url: &str, (key, secret): (&str, &str)) -> Server {
    Server::new(url).with_login(key, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_wrong_is_told_without_its_secret() {
    let (_process, url) = logins().await;
    let place = new_place(false);
    let (owner, guest) = (testbed::SQS_OWNER, testbed::SQS_GUEST);
    for (who, code) in [
        ((owner.0, "s3cr3t-that-is-wrong"), "SignatureDoesNotMatch"),
        (("AKIANOBODY0000000000", "s3cr3t-of-nobody"), "InvalidClientTokenId"),
    ] {
        let error = connect(&as_who(&url, who), place.clone(), End::Engine, true).await;
        let error = error.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        let said = format!("{error} {error:?}");
        assert!(said.contains(&url) && said.contains(code), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    // Who may make queues makes them, and who may not is told which.
    let as_guest = as_who(&url, guest);
    let error = connect(&as_guest, place.clone(), End::Service, true).await.unwrap_err();
    assert!(matches!(error, ConnectError::Missing { .. }), "{error:?}");
    let error = error.to_string();
    let (what, why) =
        (format!("no queue {}", queues(&place).commands), "this login may not make it");
    assert!(error.contains(&what) && error.contains(why), "{error}");
    let as_owner = as_who(&url, owner);
    let (engine, made) = connect(&as_owner, place.clone(), End::Engine, true).await.unwrap();
    assert_eq!(made.created.len(), 4, "{made:?}");
    engine.publish(&message(Kind::Command, "1", "1")).await.expect("it is kept");
    let (_other, _) = connect(&as_owner, place.clone(), End::Service, true).await.unwrap();
    // What we may no longer do is not the message's fault.
    let (guest, _) = connect(&as_guest, place, End::Service, true).await.unwrap();
    let told = guest.publish(&message(Kind::Reply, "1", "1")).await;
    let Err(ChannelError::Away(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("AccessDenied"), "{why}");
    let told = timeout(WITHIN, guest.receive()).await.unwrap();
    assert!(matches!(told, Err(ChannelError::Away(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_told_with_its_address() {
    let server = at("http://127.0.0.1:1".to_owned());
    let error =
        connect(&server, new_place(false), End::Engine, true).await.unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:1") && error.contains("refused"), "{error}");
}

/// A queue gives a message to one alone: each who listens has its own, and an event goes to all of them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_makes_the_queues_of_those_who_listen() {
    let (server, at) = (shared().await, new_place(true).events.unwrap().at);
    let listeners = ["PayService", "amends"].map(|name| Listener::named(name).unwrap());
    let place = Place::events_only(Events::at(&at).heard_by(listeners.clone()));
    let bare = at.strip_suffix(".fifo").unwrap();
    let queues = ["PayService", "amends"].map(|listener| format!("queue {bare}-{listener}.fifo"));
    let dead_letters = queues.clone().map(|queue| queue.replace(".fifo", "-dead-letters.fifo"));
    let all = [queues.clone(), dead_letters].concat();
    assert_eq!(examine(&server, &place).await.unwrap().missing, all);
    let error = connect(&server, place.clone(), End::Service, false).await.unwrap_err();
    assert!(error.to_string().contains(&queues.join(", no ")), "{error}");
    let (service, made) = connect(&server, place.clone(), End::Service, true).await.unwrap();
    assert_eq!((made.created, made.weak), (queues.to_vec(), vec![]));
    service.publish(&message(Kind::Event, "1", "{}")).await.expect("both keep it");
    for listener in listeners {
        let heard = end(&server, &place, End::Listener(listener)).await;
        assert_eq!(next(&heard).await.body, "{}");
    }
    let found = examine(&server, &place).await.unwrap();
    assert_eq!((found.there, found.missing, found.weak), (all, vec![], vec![]));
    // One that nobody named hears itself alone: there is no queue to which others would send.
    let stranger = End::Listener(Listener::named("Stranger").unwrap());
    let stranger = end(&server, &Place::events_only(at), stranger).await;
    service.publish(&message(Kind::Event, "2", "\"of others\"")).await.expect("both keep it");
    stranger.publish(&message(Kind::Event, "3", "\"its own\"")).await.expect("it is kept");
    assert_eq!(next(&stranger).await.body, "\"its own\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_where_there_are_no_events() {
    let (server, listener) = (shared().await, Listener::named("amends").unwrap());
    let place = Place { events: None, ..new_place(false) };
    let error = connect(&server, place, End::Listener(listener), true).await.unwrap_err();
    assert!(error.to_string().contains("no events at the place: say what"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_and_made_when_it_may_be() {
    let (server, place) = (shared().await, new_place(true));
    let queue = |name: &str| format!("queue {name}");
    let dead_letters =
        [End::Service, End::Engine].map(|end| queue(&place.dead_letters(&end).unwrap()));
    let events = queue(&place.events.as_ref().unwrap().at);
    let mut all = vec![queue(&queues(&place).commands), queue(&queues(&place).replies), events];
    let ours = [&all[..2], &dead_letters[..1], &all[2..]].concat();
    all.extend(dead_letters);
    assert_eq!(examine(&server, &place).await.unwrap().missing, all);
    let error = connect(&server, place.clone(), End::Service, false).await.unwrap_err();
    assert!(matches!(error, ConnectError::Missing { .. }), "{error:?}");
    assert!(ours.iter().all(|queue| error.to_string().contains(queue)), "{error}");
    let (_, made) = connect(&server, place.clone(), End::Service, true).await.unwrap();
    assert_eq!(made.created, ours);
    let (_, found) = connect(&server, place.clone(), End::Service, false).await.unwrap();
    assert_eq!((found.there, found.weak, found.created), (ours, vec![], vec![]));

    let client = client(&server);
    let url = url(&client, &queues(&place).commands).await;
    let settings = client.get_queue_attributes().queue_url(&url).attribute_names(Setting::All);
    let settings = settings.send().await.unwrap().attributes.unwrap();
    assert_eq!(settings[&Setting::MessageRetentionPeriod], "1209600");
    assert_eq!(settings[&Setting::FifoThroughputLimit], "perMessageGroupId");
    assert_eq!(settings.get(&Setting::RedrivePolicy), None, "it gives no message up by itself");
}

/// A queue that somebody else has made, said by its URL.
#[tokio::test(flavor = "multi_thread")]
async fn weak_settings_are_found_and_a_url_says_a_queue_that_is_not_made() {
    let (server, place) = (shared().await, new_place(false));
    let client = client(&server);
    let dead = client.create_queue().queue_name(place.dead_letters(&End::Service).unwrap());
    let dead = dead.send().await.unwrap().queue_url.unwrap();
    let arn = client.get_queue_attributes().queue_url(dead).attribute_names(Setting::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap()[&Setting::QueueArn].clone();
    let policy = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": 3});
    let weak = client
        .create_queue()
        .queue_name(&queues(&place).commands)
        .attributes(Setting::RedrivePolicy, policy.to_string())
        .attributes(Setting::MaximumMessageSize, "262144");
    let commands = weak.send().await.unwrap().queue_url.unwrap();

    let weak = examine(&server, &place).await.unwrap().weak;
    for (what, why) in [
        (&queues(&place).commands, "messages go after 96 h"),
        (&queues(&place).commands, "after 3 deliveries"),
        (&queues(&place).commands, "messages of 262144 bytes"),
        (&place.dead_letters(&End::Service).unwrap(), "messages go after 96 h"),
    ] {
        let is_named = weak.iter().any(|weak| weak.contains(what) && weak.contains(why));
        assert!(is_named, "{what}: {why}: {weak:#?}");
    }
    assert_eq!(weak.len(), 4, "{weak:#?}");

    let missing = commands.replace("-commands", "-nowhere");
    let replies = queues(&place).replies.clone();
    let by_url = Place::new(commands, &replies);
    let engine = end(&server, &by_url, End::Engine).await;
    let too_large = message(Kind::Command, "1", &format!("\"{}\"", "x".repeat(262_144)));
    let told = engine.publish(&too_large).await;
    let Err(ChannelError::Refused(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("takes 262144"), "{why}");
    let by_url = Place::new(missing, replies);
    let error = connect(&server, by_url, End::Engine, true).await.unwrap_err().to_string();
    assert!(error.contains("-nowhere"), "{error}");
}

/// Side by side, each with times of its own: one makes them, the others find them.
#[tokio::test(flavor = "multi_thread")]
async fn ends_that_make_the_same_queues_at_once_all_connect() {
    let place = new_place(true);
    let connecting = (1..=6).map(|seconds| {
        let place = place.clone();
        tokio::spawn(async move {
            let mut server = shared().await;
            server.held_for = Duration::from_secs(seconds);
            connect(&server, place, End::Service, true).await.map(|(end, _)| end)
        })
    });
    for connected in futures_util::future::join_all(connecting).await {
        connected.unwrap().expect("they are there");
    }
}

/// The queue's reader waits until it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_gone_is_told_and_waited_for() {
    let (server, place) = (shared().await, new_place(false));
    let (engine, service) =
        tokio::join!(end(&server, &place, End::Engine), end(&server, &place, End::Service));
    let client = client(&server);
    let queue = url(&client, &queues(&place).commands).await;
    client.delete_queue().queue_url(queue).send().await.unwrap();
    let told = engine.publish(&message(Kind::Command, "1", "1")).await;
    let Err(ChannelError::Refused(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("queue"), "{why}");
    let told = timeout(WITHIN, service.receive()).await.unwrap();
    assert!(matches!(told, Err(ChannelError::Away(_))), "{told:?}");
    // Made again by whoever may.
    let (_again, made) = connect(&server, place.clone(), End::Engine, true).await.unwrap();
    assert_eq!(made.created, [format!("queue {}", queues(&place).commands)]);
    engine.publish(&message(Kind::Command, "2", "2")).await.unwrap();
    assert_eq!(next(&service).await.body, "2");
}

/// From somebody who knows nothing of us: no JSON, bytes as headers, ten of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_is_put_aside_and_the_rest_moves_on() {
    let (server, place) = (shared().await, new_place(false));
    let service = end(&server, &place, End::Service).await;
    let client = client(&server);
    let queue = url(&client, &queues(&place).commands).await;
    let mut foreign = client.send_message().queue_url(&queue).message_body("<no json=\"é\"/>");
    for number in 0..10 {
        let value = MessageAttributeValue::builder();
        let value = match number {
            0 => value.data_type("Binary").binary_value(aws_sdk_sqs::primitives::Blob::new([0xff])),
            1 => value.data_type("Number.int").string_value("7"),
            _ => value.data_type("String").string_value("x"),
        };
        foreign = foreign.message_attributes(format!("x-{number}"), value.build().unwrap());
    }
    foreign.send().await.unwrap();
    put(&client, &queues(&place).commands, "{\"last\":1}").await;
    for _ in 0..2 {
        let received = next(&service).await;
        if received.body == "{\"last\":1}" {
            service.acknowledge(received.tag).await.unwrap();
            continue;
        }
        assert_eq!(received.body, "<no json=\"é\"/>");
        assert_eq!((received.value("x-0"), received.value("x-1")), (None, Some("7")));
        service.dead_letter(received.tag, "no JSON").await.unwrap();
    }
    let dead = dead_letters(&server, place.dead_letters(&End::Service)).await;
    assert_eq!(dead, [("<no json=\"é\"/>".into(), "no JSON".to_owned())]);
}

/// The server takes them; Amazon's does not.
#[tokio::test(flavor = "multi_thread")]
async fn characters_that_sqs_does_not_take_are_not_sent_and_arrive() {
    let (server, place) = (shared().await, new_place(false));
    let (engine, service) =
        tokio::join!(end(&server, &place, End::Engine), end(&server, &place, End::Service));
    let body = "{\"t\":\"\u{ffff}\u{fffe}\\uffff\u{10ffff}é\\u0000\"}";
    let told = engine.publish(&message(Kind::Command, "0", "\"\u{0}\"")).await;
    assert!(matches!(told, Err(ChannelError::Refused(_))), "{told:?}");
    engine.publish(&message(Kind::Command, "1", body)).await.unwrap();
    let received = next(&service).await;
    assert_eq!(received.body, body);
    // As it lies there.
    service.close().await;
    let client = client(&server);
    let queue = url(&client, &queues(&place).commands).await;
    let raw = async {
        loop {
            let asked = client.receive_message().queue_url(&queue).send().await.unwrap();
            if let Some(message) = asked.messages.unwrap_or_default().pop() {
                return message.body.unwrap();
            }
        }
    };
    let raw = timeout(WITHIN, raw).await.unwrap();
    assert!(!raw.contains(['\u{ffff}', '\u{fffe}']), "{raw}");
    let read: [serde_json::Value; 2] =
        [&*raw, body].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(read[0], read[1], "whoever reads JSON reads the same");
}

/// For longer than it was hidden at first, without being brought to anybody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_hidden() {
    let (server, place) = (shared().await, new_place(false));
    let (engine, holds, waits) = tokio::join!(
        end(&server, &place, End::Engine),
        end(&server, &place, End::Service),
        end(&server, &place, End::Engine),
    );
    engine.publish(&message(Kind::Command, "1", "1")).await.unwrap();
    let received = next(&holds).await;
    let other = end(&server, &place, End::Service).await;
    let longer = server.held_for * 3;
    assert!(timeout(longer, other.receive()).await.is_err(), "it was brought to another");
    holds.acknowledge(received.tag).await.unwrap();
    assert!(timeout(longer, other.receive()).await.is_err(), "it came after it was settled");
    waits.close().await;
}

/// However often it is given back.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_back_many_times_is_not_given_up() {
    const TIMES: u32 = 30;
    let (server, place) = (shared().await, new_place(true));
    let service = end(&server, &place, End::Service).await;
    let engine = end(&server, &place, End::Engine).await;
    engine.publish(&message(Kind::Command, "1", "1")).await.unwrap();
    for time in 1..=TIMES {
        let received = next(&service).await;
        assert_eq!(received.deliveries, time);
        service.give_back(received.tag, Duration::ZERO).await.unwrap();
    }
    let received = next(&service).await;
    service.acknowledge(received.tag).await.unwrap();
    assert!(dead_letters(&server, place.dead_letters(&End::Service)).await.is_empty());
}

/// A group's next message waits for the one before it, whatever becomes of that; others do not.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_queue_that_keeps_order_what_was_given_back_holds_up_its_saga_alone() {
    let (server, place) = (shared().await, new_place(true));
    let (engine, service) =
        tokio::join!(end(&server, &place, End::Engine), end(&server, &place, End::Service));
    engine.publish(&message(Kind::Command, "1", "1")).await.unwrap();
    let first = next(&service).await;
    engine.publish(&message(Kind::Command, "2", "2")).await.unwrap();
    let mut other = message(Kind::Command, "3", "3");
    other.saga_id = "another".to_owned();
    engine.publish(&other).await.unwrap();
    service.give_back(first.tag, Duration::from_secs(2)).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let received = next(&service).await;
        service.acknowledge(received.tag).await.unwrap();
        bodies.push(received.body);
    }
    assert_eq!(bodies, ["3", "1", "2"]);
}

/// At once, also while a question for messages is open.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_leaves_while_it_asks() {
    let (mut server, place) = (shared().await, new_place(false));
    server.asked_for = Duration::from_secs(20);
    let service = end(&server, &place, End::Service).await;
    assert!(timeout(QUIET, service.receive()).await.is_err());
    timeout(server.asked_for / 2, service.close()).await.expect("it does not wait for its answer");
}

/// What the server did not hear is not sent; what it may have heard is unknown; what it has no time for
/// is not sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_kept_is_unknown_and_what_was_not_is_away() {
    let started = || testbed::Server::start(testbed::sqs()).expect("it starts");
    let process = tokio::task::spawn_blocking(started).await.unwrap();
    let mut door = testbed::Door::before(process.port()).unwrap();
    let (server, place) = (at(format!("http://127.0.0.1:{}", door.port())), new_place(false));
    let engine = end(&server, &place, End::Engine).await;
    let answer = |status: &str, code: &str| {
        let body =
            format!("{{\"__type\":\"com.amazonaws.sqs#{code}\",\"message\":\"for a test\"}}");
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let command = message(Kind::Command, "1", "1");
    door.lose_answers();
    let told = engine.publish(&command).await;
    assert!(matches!(told, Err(ChannelError::Unknown(_))), "{told:?}");
    for (status, code) in [
        ("500 Internal Server Error", "InternalFailure"),
        ("503 Service Unavailable", "ServiceUnavailable"),
    ] {
        door.say(answer(status, code));
        let told = engine.publish(&command).await;
        let Err(ChannelError::Unknown(why)) = told else { panic!("{told:?}") };
        assert!(why.contains(code), "{why}");
    }
    for (status, code) in [
        ("400 Bad Request", "RequestThrottled"),
        ("400 Bad Request", "ThrottlingException"),
        ("403 Forbidden", "ExpiredToken"),
    ] {
        door.say(answer(status, code));
        let told = engine.publish(&command).await;
        let Err(ChannelError::Away(why)) = told else { panic!("{told:?}") };
        assert!(why.contains(code), "{why}");
    }
    let door = tokio::task::spawn_blocking(move || {
        door.shut();
        door
    });
    let mut door = door.await.unwrap();
    let told = engine.publish(&command).await;
    let Err(ChannelError::Away(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("refused"), "{why}");
    door.let_through();
    door.open().unwrap();
    engine.publish(&command).await.unwrap();
}

/// As many as may be held, settled side by side: what is told of each is its own.
#[tokio::test(flavor = "multi_thread")]
async fn many_are_published_and_settled_side_by_side() {
    let (server, place) = (shared().await, new_place(false));
    let (engine, service) =
        tokio::join!(end(&server, &place, End::Engine), end(&server, &place, End::Service));
    let messages: Vec<_> = (0..UNSETTLED_MAX)
        .map(|number| message(Kind::Command, &number.to_string(), &number.to_string()))
        .collect();
    let published = messages.iter().map(|message| engine.publish(message));
    assert!(futures_util::future::join_all(published).await.iter().all(Result::is_ok));
    let mut bodies = std::collections::BTreeSet::new();
    let mut held = Vec::new();
    while bodies.len() < UNSETTLED_MAX {
        let received = next(&service).await;
        bodies.insert(received.body);
        held.push(received.tag);
    }
    let settled = held.iter().map(|tag| service.acknowledge(*tag));
    assert!(futures_util::future::join_all(settled).await.iter().all(Result::is_ok));
    let settings = client(&server);
    let queue = url(&settings, &queues(&place).commands).await;
    let left = settings.get_queue_attributes().queue_url(queue).attribute_names(Setting::All);
    let left = left.send().await.unwrap().attributes.unwrap();
    let none =
        [Setting::ApproximateNumberOfMessages, Setting::ApproximateNumberOfMessagesNotVisible];
    assert!(none.iter().all(|count| left[count] == "0"), "{left:?}");
}
