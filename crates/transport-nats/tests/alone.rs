//! What NATS alone can get wrong: consumers that others made, messages that leave no room, and
//! headers that tell the server what to do.

use std::sync::LazyLock;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, ChannelError, End, Events, Kind, Listener, Message, Received};
use amends_transport_nats::{NatsChannel, Place, Server, connect, examine};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use tokio::time::timeout;

/// Long, so that only what never happens fails.
const WITHIN: Duration = Duration::from_secs(60);

/// What the server takes in one message, with its headers.
const BYTES_MAX: usize = 1024 * 1024;

static SERVER: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::nats()).expect("a NATS server starts"));

async fn server() -> Server {
    Server::new(tokio::task::spawn_blocking(|| SERVER.url()).await.expect("it starts"))
}

fn place(name: &str) -> Place {
    let of = |what: &str| format!("{name}.{what}");
    Place::new(name.to_uppercase(), of("commands"), of("replies"))
}

async fn end(server: &Server, name: &str, end: End) -> NatsChannel {
    connect(server, place(name), end, true).await.expect("it is there").0
}

/// Around our own end.
async fn foreign(server: &Server) -> Context {
    jetstream::new(async_nats::connect(&server.url).await.expect("it is there"))
}

async fn next(end: &NatsChannel) -> Received {
    let received = async {
        loop {
            if let Ok(received) = end.receive().await {
                return received;
            }
        }
    };
    timeout(WITHIN, received).await.expect("a message comes")
}

/// What was put aside last.
async fn dead_letter(server: &Server, name: &str) -> (HeaderMap, usize) {
    let stream = foreign(server).await.get_stream(name.to_uppercase()).await.expect("it was made");
    let subject = place(name).dead_letters(&End::Service).expect("commands are taken there");
    let dead = stream.get_last_raw_message_by_subject(&subject).await.expect("it is there");
    (dead.headers, dead.payload.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_said_to_be_at_work_as_often_as_its_consumer_wants_it() {
    const HASTY: Duration = Duration::from_secs(1);
    let mut hasty = server().await;
    hasty.ack_wait = HASTY;
    end(&hasty, "hasty", End::Service).await.close().await;

    let server = server().await;
    let (engine, service) =
        (end(&server, "hasty", End::Engine).await, end(&server, "hasty", End::Service).await);
    let message = Message {
        id: "1".to_owned(),
        saga_id: "saga".to_owned(),
        kind: Kind::Command,
        name: "Desk.Write".to_owned(),
        attributes: Vec::new(),
        body: "{}".into(),
    };
    engine.publish(&message).await.expect("it is kept");
    let held = next(&service).await;
    assert!(
        timeout(3 * HASTY, service.receive()).await.is_err(),
        "it came again while it was held"
    );
    service.acknowledge(held.tag).await.expect("it is there");
}

/// Whoever made it did not know of dead letters: they would be put aside nowhere, and come for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_others_that_lacks_a_subject_is_named() {
    let server = server().await;
    let made = jetstream::stream::Config {
        name: "LACKS".to_owned(),
        subjects: ["lacks.commands", "lacks.replies.>"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    foreign(&server).await.create_stream(made).await.expect("it is made");
    let found = examine(&server, &place("lacks")).await.expect("it is there");
    let lacking = found.weak.iter().filter(|weak| weak.contains("add that to its subjects"));
    let lacking: Vec<_> = lacking.collect();
    let of =
        |subject| format!("stream LACKS: it does not take {subject}: add that to its subjects");
    assert_eq!(lacking, [&of("lacks.replies"), &of("lacks.commands.dead-letters")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fills_a_message_is_put_aside_with_as_much_of_the_reason_as_fits() {
    let server = server().await;
    let service = end(&server, "full", End::Service).await;
    let context = foreign(&server).await;
    let (id, headers) = ("foreign", "NATS/1.0\r\nNats-Msg-Id: \r\n\r\n".len());
    // Room for nothing, for an id that says where it is now, and for a part of the reason.
    for (number, left) in [0, "/dead-letter".len(), 50].into_iter().enumerate() {
        let id = format!("{id}{number}");
        let body = "x".repeat(BYTES_MAX - headers - id.len() - left);
        let mut said = HeaderMap::new();
        said.insert("Nats-Msg-Id", id.as_str());
        let kept = context.publish_with_headers("full.commands", said, body.clone().into()).await;
        kept.expect("it is sent").await.expect("it is kept");
        let received = next(&service).await;
        service.dead_letter(received.tag, "NOT_JSON: it is none").await.expect("it is kept");
        let (headers, bytes) = dead_letter(&server, "full").await;
        assert_eq!(bytes, body.len());
        let value = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let expected = match left {
            0 => (None, None),
            50 => (Some("NOT_JSON:"), Some(format!("{id}/dead-letter"))),
            _ => (None, Some(format!("{id}/dead-letter"))),
        };
        let found = (value("amends-dead-letter-reason"), value("Nats-Msg-Id"));
        assert_eq!((found.0.as_deref(), found.1), expected, "{left}");
    }
}

/// The server would refuse it for ever where it is put aside.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_told_the_server_is_not_told_again_where_it_is_put_aside() {
    let server = server().await;
    let service = end(&server, "told", End::Service).await;
    let context = foreign(&server).await;
    let kept = context.publish("told.commands", "first".into()).await.expect("it is sent").await;
    let last = kept.expect("it is kept").sequence;
    let mut said = HeaderMap::new();
    said.insert("Nats-Expected-Last-Sequence", last.to_string().as_str());
    said.insert("Said", "to us");
    let kept = context.publish_with_headers("told.commands", said, "second".into()).await;
    kept.expect("it is sent").await.expect("it is kept");
    for _ in 0..2 {
        let received = next(&service).await;
        service.dead_letter(received.tag, "NOT_JSON").await.expect("it is kept");
    }
    let (headers, bytes) = dead_letter(&server, "told").await;
    assert_eq!((bytes, headers.len()), ("second".len(), 2), "{headers:?}");
    assert_eq!(headers.get("Said").map(|value| value.as_str()), Some("to us"));
}

fn event(id: &str, name: &str) -> Message {
    Message {
        id: id.to_owned(),
        saga_id: "saga".to_owned(),
        kind: Kind::Event,
        name: name.to_owned(),
        attributes: Vec::new(),
        body: "{}".into(),
    }
}

/// What of a listener is there, and that it hears what was published before it first came.
#[tokio::test(flavor = "multi_thread")]
async fn what_of_a_listener_is_missing_is_named_and_made_when_it_may_be() {
    let server = server().await;
    let listener = Listener::named("PayService").expect("it can be said");
    let events = Events::at("heard.events").heard_by([listener.clone()]);
    let place = Place::events_only("HEARD", events);
    let streams = ["stream HEARD_EVENTS", "stream HEARD_EVENTS_DEAD_LETTERS"];
    assert_eq!(examine(&server, &place).await.expect("it is there").missing, streams);
    let (service, made) =
        connect(&server, place.clone(), End::Service, true).await.expect("it may be made");
    assert_eq!(made.created, [streams[0]]);
    service.publish(&event("1", "Paid")).await.expect("it is kept");
    let consumer = "consumer amends-heard-events-PayService";
    let found = examine(&server, &place).await.expect("it is there");
    assert_eq!(found.missing, [streams[1], consumer]);
    let end = End::Listener(listener);
    let error = connect(&server, place.clone(), end.clone(), false).await.unwrap_err().to_string();
    assert!(error.contains(consumer) && error.contains("allow it to be made"), "{error}");
    let (heard, made) = connect(&server, place.clone(), end, true).await.expect("it may be made");
    assert_eq!(made.created, [streams[1], consumer]);
    assert_eq!(next(&heard).await.body, "{}");
    assert_eq!(examine(&server, &place).await.expect("it is there").missing, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_where_there_are_no_events() {
    let listener = End::Listener(Listener::named("amends").expect("it can be said"));
    let error = connect(&server().await, place("silent"), listener, true).await.unwrap_err();
    assert!(error.to_string().contains("no events at the place: say what"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_others_that_brings_a_listener_less_than_all_is_named() {
    let server = server().await;
    let place = Place::events_only("LESS", "less.events");
    connect(&server, place.clone(), End::Service, true).await.expect("it is made").0.close().await;
    let theirs = jetstream::consumer::pull::Config {
        durable_name: Some("amends-less-events-PayService".to_owned()),
        filter_subject: "less.events.Paid".to_owned(),
        inactive_threshold: WITHIN,
        max_deliver: 5,
        ..Default::default()
    };
    let stream = foreign(&server).await.get_stream("LESS_EVENTS").await.expect("it was made");
    stream.create_consumer(theirs).await.expect("it is made");
    let listener = Listener::named("PayService").expect("it can be said");
    let place = Place::events_only("LESS", Events::at("less.events").heard_by([listener]));
    let weak = examine(&server, &place).await.expect("it is there").weak;
    for named in ["bring less.events.>", "inactive_threshold", "max_deliver"] {
        let is_named = |weak: &&String| weak.starts_with("consumer") && weak.contains(named);
        assert!(weak.iter().any(|weak| is_named(&weak)), "{named}: {weak:?}");
    }
}

fn reply(id: &str) -> Message {
    Message { kind: Kind::Reply, ..event(id, "SagaStepCompleted") }
}

/// By the server's own word, and soon: it answers no request that it refuses.
#[tokio::test(flavor = "multi_thread")]
async fn what_we_may_not_publish_is_refused_and_what_does_not_fit_waits() {
    let started = || testbed::Server::start(testbed::nats_with_rights());
    let process = tokio::task::spawn_blocking(started).await.expect("it starts");
    let process = process.expect("a NATS server starts");
    let at = |(name, password)| {
        Server::new(process.url().replace("nats://", &format!("nats://{name}:{password}@")))
    };
    let (keeper, guest) = (at(testbed::NATS_KEEPER), at(testbed::NATS_GUEST));
    let place = Place::new("RIGHTS", "rights.commands", "denied.replies");
    let made = connect(&keeper, place.clone(), End::Service, true).await.expect("it is made");
    made.0.close().await;
    let (service, _) = connect(&guest, place, End::Service, false).await.expect("it is there");
    for _ in 0..2 {
        let told = service.publish(&reply("1")).await;
        let Err(ChannelError::Refused(why)) = told else { panic!("{told:?}") };
        assert!(why.contains("denied.replies"), "{why}");
    }

    let full = jetstream::stream::Config {
        name: "FULL".to_owned(),
        subjects: ["full.>", "none"].map(str::to_owned).to_vec(),
        max_messages: 1,
        discard: jetstream::stream::DiscardPolicy::New,
        ..Default::default()
    };
    let (name, password) = testbed::NATS_KEEPER;
    let options = async_nats::ConnectOptions::with_user_and_password(name.into(), password.into());
    let client = options.connect(process.url()).await.expect("it is there");
    jetstream::new(client).create_stream(full).await.expect("it is made");
    let place = Place::new("FULL", "full.commands", "full.replies");
    let (service, _) = connect(&keeper, place, End::Service, true).await.expect("it is there");
    service.publish(&reply("1")).await.expect("there is room for one");
    let told = service.publish(&reply("2")).await;
    let Err(ChannelError::Away(why)) = told else { panic!("{told:?}") };
    assert!(why.contains("maximum messages"), "{why}");
}

/// By whoever may make it, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_an_end_is_there_is_made_again() {
    let server = server().await;
    let place = self::place("gone").with_events("gone.events");
    let (service, _) = connect(&server, place, End::Service, true).await.expect("it is made");
    let context = foreign(&server).await;
    let through = |subject: &'static str| {
        let context = &context;
        timeout(WITHIN, async move {
            loop {
                // Kept once the stream is there again.
                if let Ok(sent) = context.publish(subject, "{}".into()).await
                    && sent.await.is_ok()
                {
                    return;
                }
            }
        })
    };
    let stream = context.get_stream("GONE").await.expect("it was made");
    stream.delete_consumer("amends-gone-commands").await.expect("it was made");
    through("gone.commands").await.expect("the stream is there");
    let received = next(&service).await;
    service.acknowledge(received.tag).await.expect("it is there");

    context.delete_stream("GONE").await.expect("it was made");
    through("gone.commands").await.expect("the stream is made again");
    let received = next(&service).await;
    service.acknowledge(received.tag).await.expect("it is there");

    context.delete_stream("GONE_EVENTS").await.expect("it was made");
    let told = service.publish(&event("1", "Gone")).await;
    assert!(matches!(told, Err(ChannelError::Away(_))), "{told:?}");
    service.publish(&event("1", "Gone")).await.expect("the stream is made again");
}
