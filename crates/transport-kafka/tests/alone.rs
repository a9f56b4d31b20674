//! What Kafka alone can get wrong: logins, topics that are missing or too weak, foreign messages, and
//! partitions that move while messages of theirs are held.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use amends_testbed::{self as testbed, KAFKA_GUEST, KAFKA_OWNER};
use amends_transport::{
    BODY_BYTES_MAX, Channel, ChannelError, End, Events, Kind, Listener, Message, Received,
    UNSETTLED_MAX,
};
use amends_transport_kafka::{ConnectError, KafkaChannel, Place, Server, connect, examine};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::timeout;

/// Long, so that only what never happens fails.
const WITHIN: Duration = Duration::from_secs(60);

/// How long it is waited to see that nothing comes.
const QUIET: Duration = Duration::from_millis(500);

static OPEN: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::kafka()).expect("a Kafka starts"));

static WITH_LOGINS: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::kafka_with_logins()).expect("a Kafka starts"));

async fn url(server: &'static LazyLock<testbed::Server>) -> String {
    tokio::task::spawn_blocking(|| server.url()).await.expect("it starts")
}

fn place(name: &str) -> Place {
    Place::new(format!("{name}.commands"), format!("{name}.replies"))
}

async fn end(url: &str, name: &str, end: End) -> KafkaChannel {
    connect(&Server::new(url), place(name), end, true).await.expect("it is there").0
}

fn command(saga: &str, body: &str) -> Message {
    Message {
        id: format!("{saga}/{body}"),
        saga_id: saga.to_owned(),
        kind: Kind::Command,
        name: "Desk.Write".to_owned(),
        attributes: vec![("id".to_owned(), format!("{saga}/{body}"))],
        body: body.to_owned().into(),
    }
}

async fn next(end: &KafkaChannel) -> Received {
    let received = async {
        loop {
            if let Ok(received) = end.receive().await {
                return received;
            }
        }
    };
    timeout(WITHIN, received).await.expect("a message comes")
}

fn text(received: &Received) -> String {
    String::from_utf8_lossy(&received.body).into_owned()
}

fn as_who(url: &str, (name, password): (&str, &str)) -> Server {
    Server::new(url)
        .with("security.protocol", "SASL_PLAINTEXT")
        .with("sasl.mechanism", "PLAIN")
        .with("sasl.username", name)
        .with("sasl.password", password)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_wrong_is_told_without_its_password() {
    let url = url(&WITH_LOGINS).await;
    let server = as_who(&url, (KAFKA_OWNER.0, "s3cr3t-that-is-wrong"));
    let began = Instant::now();
    let error = connect(&server, place("login"), End::Engine, true).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains(&url) && error.contains("Authentication failed"), "{error}");
    assert!(!error.contains("s3cr3t"), "{error}");
    // Not only when it has been tried for as long as a server that is away is waited for.
    assert!(began.elapsed() < WITHIN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_topics_makes_them_and_who_may_not_is_told() {
    let url = url(&WITH_LOGINS).await;
    let guest = as_who(&url, KAFKA_GUEST);
    let error = connect(&guest, place("rights"), End::Service, true).await.unwrap_err().to_string();
    assert!(error.contains("topic rights.commands") && error.contains("uthoriz"), "{error}");
    let owner = as_who(&url, KAFKA_OWNER);
    let (engine, made) = connect(&owner, place("rights"), End::Engine, true).await.unwrap();
    assert_eq!(made.created.len(), 3, "{made:?}");
    let (service, _) = connect(&owner, place("rights"), End::Service, true).await.unwrap();
    engine.publish(&command("a", "1")).await.expect("it is kept");
    assert_eq!(text(&next(&service).await), "1");
    let error = connect(&guest, place("rights"), End::Service, true).await.unwrap_err().to_string();
    assert!(error.contains("topic rights.commands"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_with_its_address() {
    let error = connect(&Server::new("127.0.0.1:1"), place("away"), End::Engine, true).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_missing_and_not_to_be_made_are_named() {
    let url = url(&OPEN).await;
    let server = Server::new(&url);
    let error = connect(&server, place("missing"), End::Engine, false).await.unwrap_err();
    let error = error.to_string();
    let topics = ["missing.commands", "missing.replies", "missing.replies.dead-letters"];
    assert!(topics.iter().all(|topic| error.contains(topic)), "{error}");
    let found = examine(&server, &place("missing")).await.unwrap();
    assert_eq!((found.missing.len(), found.there.len()), (4, 0), "{found:?}");
    connect(&server, place("missing"), End::Engine, true).await.expect("it is made");
    let found = examine(&server, &place("missing")).await.unwrap();
    assert_eq!(found.missing, ["topic missing.commands.dead-letters"]);
    assert_eq!(found.there.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_weak_is_named_and_a_topic_that_takes_less_refuses_alone() {
    let url = url(&OPEN).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &url);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let weak = NewTopic::new("weak.commands", 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact,delete")
        .set("retention.ms", "3600000")
        .set("retention.bytes", "1000000")
        .set("unclean.leader.election.enable", "true")
        .set("max.message.bytes", "2000");
    let sound = NewTopic::new("weak.replies", 1, TopicReplication::Fixed(1))
        .set("flush.messages", "1")
        .set("retention.ms", "-1");
    let made = admin.create_topics([&weak, &sound], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    // That they were made is known to who made them a moment before it is to others.
    let found = loop {
        let found = examine(&Server::new(&url), &place("weak")).await.unwrap();
        let lacks = |topic: &&str| found.missing.iter().any(|missing| missing.ends_with(topic));
        if !["weak.commands", "weak.replies"].iter().any(lacks) {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let of_weak = found.weak.iter().filter(|weak| weak.starts_with("topic weak.commands:"));
    let of_weak = of_weak.cloned().collect::<String>();
    let fixes = ["flush.messages", "cleanup.policy", "retention.ms", "retention.bytes", "unclean"];
    assert!(fixes.iter().all(|fix| of_weak.contains(fix)), "{of_weak}");
    assert_eq!(found.weak.len(), fixes.len(), "of the sound one nothing is said: {:?}", found.weak);

    let (engine, service) =
        (end(&url, "weak", End::Engine).await, end(&url, "weak", End::Service).await);
    // Under what the other topic takes, so that only the broker knows.
    let large = "x".repeat(4000);
    let refused = engine.publish(&command("a", &large)).await;
    assert!(matches!(refused, Err(ChannelError::Refused(_))), "{refused:?}");
    engine.publish(&command("a", "small")).await.expect("it is kept");
    assert_eq!(text(&next(&service).await), "small");
}

/// Without a key, without a body, with a header that is no text, and one that stands twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_is_put_aside_as_it_came_and_the_rest_moves_on() {
    let url = url(&OPEN).await;
    let (engine, service) =
        (end(&url, "foreign", End::Engine).await, end(&url, "foreign", End::Service).await);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &url);
    let foreign: FutureProducer = config.create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "bytes", value: Some(&b"\xff\xfe"[..]) })
        .insert(Header { key: "CE_Type", value: Some("once") })
        .insert(Header { key: "twice", value: Some("a") })
        .insert(Header { key: "twice", value: Some("b") })
        .insert(Header { key: "nothing", value: None::<&str> });
    let record: FutureRecord<'_, str, str> =
        FutureRecord::to("foreign.commands").partition(0).headers(headers);
    foreign.send(record, WITHIN).await.expect("it is kept");
    let received = next(&service).await;
    assert_eq!((text(&received), received.deliveries), (String::new(), 1));
    let of = |name: &str| received.headers.iter().filter(|(known, _)| known == name).count();
    assert_eq!((of("ce-type"), of("twice"), of("bytes"), of("nothing")), (1, 2, 0, 1));
    service.dead_letter(received.tag, "no JSON").await.expect("it is kept");

    // What was put aside is a message like any other: an end that takes from there has it.
    let dead = Place::new("foreign.commands.dead-letters", "foreign.replies");
    let (dead, _) = connect(&Server::new(&url), dead, End::Service, true).await.unwrap();
    let received = next(&dead).await;
    let reason = received.headers.iter().find(|(name, _)| name == "amends-dead-letter-reason");
    assert_eq!(reason.map(|(_, why)| &**why), Some("no JSON"));
    assert_eq!(received.headers.len(), 5, "{:?}", received.headers);

    engine.publish(&command("a", "1")).await.expect("it is kept");
    assert_eq!(text(&next(&service).await), "1");
}

/// How much a topic takes that takes little.
const BYTES_MAX: usize = 2000;

/// Makes topics that take little.
async fn small_topics(config: &ClientConfig, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let bytes_max = BYTES_MAX.to_string();
    let small = |topic| {
        NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &bytes_max)
    };
    let made: Vec<_> = topics.iter().map(|topic| small(topic)).collect();
    let made = admin.create_topics(&made, &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// Bytes that nobody can compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Also where only the broker knows how much its topic takes.
#[tokio::test(flavor = "multi_thread")]
async fn what_fills_a_message_is_put_aside_without_its_reason() {
    let url = url(&OPEN).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &url);
    let (commands, dead_letters) = ("filled.commands", "filled.commands.dead-letters");
    small_topics(&config, &[commands, dead_letters]).await;
    let service = end(&url, "filled", End::Service).await;

    let foreign: FutureProducer = config.create().unwrap();
    let mut largest = BYTES_MAX;
    loop {
        let body = noise(largest);
        let record: FutureRecord<'_, str, [u8]> = FutureRecord::to(commands).payload(&body);
        match foreign.send(record, WITHIN).await {
            Ok(_) => break,
            Err(_) => largest -= 1,
        }
    }
    let received = next(&service).await;
    assert_eq!(received.body.len(), largest);
    service.dead_letter(received.tag, "NOT_JSON").await.expect("it is kept");
    let dead = Place::new(dead_letters, "filled.replies");
    let (dead, _) = connect(&Server::new(&url), dead, End::Service, true).await.unwrap();
    let received = next(&dead).await;
    assert_eq!((received.body.len(), received.headers.len()), (largest, 0));
}

/// Whoever published it compressed it, and it is larger than any topic takes without that.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_takes_only_compressed_is_put_aside_compressed() {
    let url = url(&OPEN).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &url);
    let (commands, dead_letters) = ("pressed.commands", "pressed.commands.dead-letters");
    small_topics(&config, &[commands, dead_letters, "pressed.replies"]).await;
    let service = end(&url, "pressed", End::Service).await;

    let foreign: FutureProducer = config.set("compression.type", "gzip").create().unwrap();
    let body = "x".repeat(50 * BYTES_MAX);
    let record: FutureRecord<'_, str, str> = FutureRecord::to(commands).payload(&body);
    foreign.send(record, WITHIN).await.expect("it is kept");
    let received = next(&service).await;
    assert_eq!(received.body, body);
    service.dead_letter(received.tag, "NOT_JSON").await.expect("it is kept");
    let dead = Place::new(dead_letters, "pressed.replies");
    let (dead, _) = connect(&Server::new(&url), dead, End::Service, true).await.unwrap();
    let received = next(&dead).await;
    assert_eq!(received.body, body);
    let reason = ("amends-dead-letter-reason".to_owned(), "NOT_JSON".to_owned());
    assert_eq!(received.headers, [reason]);
}

/// Nobody reads it: it is put aside before anyone is told of it, and what is behind it comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_anyone_reads_is_put_aside_at_once() {
    let url = url(&OPEN).await;
    let service = end(&url, "huge", End::Service).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &url).set("compression.type", "gzip");
    let foreign: FutureProducer =
        config.set("message.max.bytes", "100000000").create().expect("it is made");
    for body in ["x".repeat(BODY_BYTES_MAX + 1), "2".to_owned()] {
        let record: FutureRecord<'_, str, str> = FutureRecord::to("huge.commands").payload(&body);
        foreign.send(record, WITHIN).await.expect("it is kept");
    }
    assert_eq!(next(&service).await.body, "2");
    // They may lie in two partitions, so it may come later.
    assert!(timeout(10 * QUIET, service.receive()).await.is_err(), "it is not told of");
    let (config, dead) = (config.clone(), "huge.commands.dead-letters");
    let lie = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = config.create().expect("it is made");
        let known = client.fetch_metadata(Some(dead), WITHIN).expect("it is there");
        let partitions = known.topics()[0].partitions().iter().map(|partition| partition.id());
        let last = |partition| client.fetch_watermarks(dead, partition, WITHIN).expect("it is").1;
        partitions.map(last).sum::<i64>()
    });
    assert_eq!(lie.await.expect("it is asked"), 1);
}

/// Also where the one before it comes late.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_what_was_given_back_of_its_saga() {
    let url = url(&OPEN).await;
    let (engine, service) =
        (end(&url, "order", End::Engine).await, end(&url, "order", End::Service).await);
    engine.publish(&command("a", "1")).await.expect("it is kept");
    let first = next(&service).await;
    service.give_back(first.tag, Duration::from_secs(2)).await.expect("it is taken back");
    for body in ["2", "3"] {
        engine.publish(&command("a", body)).await.expect("it is kept");
    }
    engine.publish(&command("b", "of another")).await.expect("it is kept");
    let mut came = Vec::new();
    for _ in 0..4 {
        let received = next(&service).await;
        service.acknowledge(received.tag).await.expect("it is there");
        came.push(text(&received));
    }
    assert_eq!(came, ["of another", "1", "2", "3"]);
}

/// What another copy has now is settled there, and a late word here does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_of_a_partition_that_moves_comes_to_whoever_has_it() {
    const SENT: usize = 30;
    let url = url(&OPEN).await;
    let (engine, first) =
        (end(&url, "moves", End::Engine).await, end(&url, "moves", End::Service).await);
    for number in 0..SENT {
        let body = number.to_string();
        engine.publish(&command(&format!("saga {number}"), &body)).await.expect("it is kept");
    }
    let mut held = Vec::new();
    while held.len() < SENT {
        held.push(next(&first).await);
    }
    let second = end(&url, "moves", End::Service).await;
    let moved = next(&second).await;
    assert!(held.iter().any(|held| held.body == moved.body));
    let mut missing: BTreeSet<String> = held.iter().map(text).collect();
    // What moved is still missing when the first has settled all that it ever held.
    for received in &held {
        first.acknowledge(received.tag).await.expect("it is taken, or does nothing");
    }
    first.close().await;
    second.close().await;
    let third = end(&url, "moves", End::Service).await;
    engine.publish(&command("last", "last")).await.expect("it is kept");
    let mut came = BTreeSet::new();
    while !came.contains("last") || !came.contains(&text(&moved)) {
        let received = next(&third).await;
        third.acknowledge(received.tag).await.expect("it is there");
        came.insert(text(&received));
    }
    missing.retain(|body| !came.contains(body));
    assert!(!missing.is_empty(), "what stayed with the first was settled there: {came:?}");
}

/// An end that is full for so long that its partitions pause goes on where it was: each
/// message comes once.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_full_for_long_goes_on_where_it_was() {
    const MORE: usize = 100;
    /// Longer than a full end asks for nothing without pausing.
    const FULL_FOR: Duration = Duration::from_millis(2500);
    let url = url(&OPEN).await;
    let (engine, first) =
        (end(&url, "full", End::Engine).await, end(&url, "full", End::Service).await);
    for number in 0..UNSETTLED_MAX + MORE {
        let saga = format!("saga {number}");
        engine.publish(&command(&saga, &number.to_string())).await.expect("it is kept");
    }
    let mut held = Vec::new();
    while held.len() < UNSETTLED_MAX {
        held.push(next(&first).await);
    }
    assert!(timeout(FULL_FOR, first.receive()).await.is_err(), "one more than it may hold");
    let mut came = Vec::new();
    for received in held.drain(..) {
        first.acknowledge(received.tag).await.expect("it is there");
        came.push(text(&received));
    }
    while came.len() < UNSETTLED_MAX + MORE {
        let received = next(&first).await;
        first.acknowledge(received.tag).await.expect("it is there");
        came.push(text(&received));
    }
    assert!(timeout(QUIET, first.receive()).await.is_err(), "more came than was sent");
    came.sort();
    came.dedup();
    assert_eq!(came.len(), UNSETTLED_MAX + MORE, "each once");
}

/// What of a listener is there, and that it hears what was published before it first came.
#[tokio::test(flavor = "multi_thread")]
async fn what_of_a_listener_is_missing_is_named_and_made_when_it_may_be() {
    let server = Server::new(url(&OPEN).await);
    let listener = Listener::named("PayService").unwrap();
    let place = Place::events_only(Events::at("heard.events").heard_by([listener.clone()]));
    let topics = ["topic heard.events", "topic heard.events.PayService.dead-letters"];
    assert_eq!(examine(&server, &place).await.unwrap().missing, topics);
    let (service, made) = connect(&server, place.clone(), End::Service, true).await.unwrap();
    assert_eq!(made.created, topics[..1]);
    let event = Message { kind: Kind::Event, ..command("a", "1") };
    service.publish(&event).await.expect("it is kept");
    let end = End::Listener(listener);
    let error = connect(&server, place.clone(), end.clone(), false).await.unwrap_err().to_string();
    assert!(error.contains(topics[1]) && error.contains("allow it to be made"), "{error}");
    let (heard, made) = connect(&server, place.clone(), end.clone(), true).await.unwrap();
    assert_eq!(made.created, topics[1..]);
    assert_eq!(next(&heard).await.body, "1");
    assert_eq!(examine(&server, &place).await.unwrap().missing, [""; 0]);
    let silent = self::place("silent");
    let error = connect(&server, silent, end, true).await.unwrap_err().to_string();
    assert!(error.contains("no events at the place: say their topic"), "{error}");
}
