//! The stream and the consumers of a place: looked at, and made where that is wanted.

use std::time::Duration;

use amends_transport::{End, Queues, Topology, UNSETTLED_MAX, without_login};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{Context as JetStream, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};

use crate::place::{self, ConnectError, Place, Server};

/// How many messages all copies of an end together may hold: each has its own limit, and this one
/// must not be what stops the next copy.
const COPIES_MAX: i64 = 64;

/// How long the server knows a message by its id. An engine publishes a command again at its next
/// attempt, which has another id; what comes again with the same is a publisher that lost the
/// server's word.
const KNOWN_FOR: Duration = Duration::from_secs(2 * 60);

/// How long events stay for whoever listens.
const EVENTS_STAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Looks at what the server has of a place, for either end, and makes nothing.
///
/// # Errors
///
/// The server cannot be reached.
pub async fn examine(server: &Server, place: &Place) -> Result<Topology, ConnectError> {
    let client = server.options().await?.connect(server.addresses()).await;
    let client = client.map_err(|error| ConnectError::Unreachable {
        url: without_login(&server.url),
        why: error.to_string(),
    })?;
    let context = jetstream::new(client);
    let mut topology = Topology::default();
    let stream = streams(&context, place, false, &mut topology).await?;
    if let (Some(stream), Some(queues)) = (stream, &place.queues) {
        for end in [End::Engine, End::Service] {
            consumer(&stream, server, queues.taken_by(end), false, &mut topology).await?;
        }
    }
    Ok(topology)
}

/// The consumer of an end, with the stream under it; none at a place where nothing is taken. What is
/// missing is made with `create`, and is an error otherwise.
pub(crate) async fn prepare(
    context: &JetStream,
    server: &Server,
    place: &Place,
    end: End,
    create: bool,
) -> Result<(Option<PullConsumer>, Topology), ConnectError> {
    let mut topology = Topology::default();
    let stream = streams(context, place, create, &mut topology).await?;
    let Some(queues) = &place.queues else { return Ok((None, topology)) };
    let consumer = match &stream {
        Some(stream) => {
            consumer(stream, server, queues.taken_by(end), create, &mut topology).await?
        }
        None => None,
    };
    match consumer {
        Some(consumer) => Ok((Some(consumer), topology)),
        None => Err(ConnectError::Missing {
            what: topology.missing.join(", no "),
            way: "make it, or allow it to be made".to_owned(),
        }),
    }
}

/// Looks at the streams of a place. Answers that of its queues, where it is there by now.
async fn streams(
    context: &JetStream,
    place: &Place,
    create: bool,
    topology: &mut Topology,
) -> Result<Option<Stream>, ConnectError> {
    let found = match &place.queues {
        Some(queues) => {
            let config = own(&place.stream, queues);
            one_stream(context, place, &place.stream, create, config, topology).await?
        }
        None => None,
    };
    if let Some(events) = &place.events {
        let (name, config) = of_events(place, events);
        one_stream(context, place, &name, create, config, topology).await?;
    }
    Ok(found)
}

async fn one_stream(
    context: &JetStream,
    place: &Place,
    name: &str,
    create: bool,
    config: Config,
    topology: &mut Topology,
) -> Result<Option<Stream>, ConnectError> {
    let what = format!("stream {name}");
    let refused = |why: String| ConnectError::Topology { what: what.clone(), why };
    match context.get_stream(name).await {
        Ok(stream) => {
            let found = &stream.cached_info().config;
            for subject in &config.subjects {
                if !found.subjects.iter().any(|held| takes(held, subject)) {
                    let why =
                        format!("{what}: it does not take {subject}: add that to its subjects");
                    topology.weak.push(why);
                }
            }
            if name == place.stream {
                weaknesses(place, found, topology);
            }
            topology.there.push(what);
            Ok(Some(stream))
        }
        Err(error) if is_missing(&error.kind()) => {
            if !create {
                topology.missing.push(what);
                return Ok(None);
            }
            let made = context.get_or_create_stream(config).await;
            let made = made.map_err(|error| refused(error.to_string()))?;
            topology.created.push(what);
            Ok(Some(made))
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Whether a stream whose subject this is, perhaps with wildcards, takes all that the other one means.
fn takes(held: &str, subject: &str) -> bool {
    let (mut held, mut said) = (held.split('.'), subject.split('.'));
    loop {
        match (held.next(), said.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(said)) if said != ">" => {}
            (Some(held), Some(said)) if held == said => {}
            _ => return false,
        }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Commands and replies go when they are acknowledged, dead letters when a person takes them out.
fn own(stream: &str, Queues { commands, replies }: &Queues) -> Config {
    let dead_letters = [commands, replies].map(|subject| place::dead_letters(subject));
    let subjects = [commands.clone(), replies.clone()].into_iter().chain(dead_letters);
    Config {
        name: stream.to_owned(),
        description: Some("Commands and replies of sagas, and what could not be taken".to_owned()),
        subjects: subjects.collect(),
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        duplicate_window: KNOWN_FOR,
        ..Config::default()
    }
}

/// Events stay for a time, whoever has read them.
fn of_events(place: &Place, events: &str) -> (String, Config) {
    let name = format!("{}_EVENTS", place.stream);
    let config = Config {
        name: name.clone(),
        description: Some("Events of a service".to_owned()),
        subjects: vec![format!("{events}.>")],
        retention: RetentionPolicy::Limits,
        max_age: EVENTS_STAY,
        storage: StorageType::File,
        duplicate_window: KNOWN_FOR,
        ..Config::default()
    };
    (name, config)
}

/// What of an existing stream is weaker than the promise that a confirmed message is not lost.
fn weaknesses(place: &Place, config: &Config, topology: &mut Topology) {
    let name = &place.stream;
    let mut weak = |why: &str| topology.weak.push(format!("stream {name}: {why}"));
    if config.storage == StorageType::Memory {
        weak("it is kept in memory and lost with the server: set its storage to file");
    }
    if config.max_age > Duration::ZERO {
        weak("messages go after its max_age whether they were taken or not: set none");
    }
    if config.max_messages > 0 || config.max_bytes > 0 {
        let drops = config.discard == async_nats::jetstream::stream::DiscardPolicy::Old;
        if drops {
            weak("when it is full the oldest message is dropped: set its discard to new");
        }
    }
    if config.no_ack {
        weak("it confirms nothing: turn no_ack off");
    }
    if config.num_replicas == 1 {
        weak(
            "it has one replica, and the server syncs its disk every two minutes unless \
             sync_interval says otherwise: where a machine may lose its power, set \
             sync_interval to always, or three replicas",
        );
    }
}

async fn consumer(
    stream: &Stream,
    server: &Server,
    subject: &str,
    create: bool,
    topology: &mut Topology,
) -> Result<Option<PullConsumer>, ConnectError> {
    let name = place::consumer(subject);
    let what = format!("consumer {name}");
    if let Ok(found) = stream.get_consumer::<pull::Config>(&name).await {
        let config = &found.cached_info().config;
        let mut weak = |why: &str| topology.weak.push(format!("{what}: {why}"));
        if config.ack_policy != AckPolicy::Explicit {
            weak("it acknowledges by itself: set its ack_policy to explicit");
        }
        if config.max_deliver > 0 {
            weak("it gives a message up after max_deliver tries: set it to -1");
        }
        topology.there.push(what);
        return Ok(Some(found));
    }
    if !create {
        topology.missing.push(what);
        return Ok(None);
    }
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: subject.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: server.ack_wait,
        max_ack_pending: UNSETTLED_MAX as i64 * COPIES_MAX,
        ..pull::Config::default()
    };
    let made = stream.get_or_create_consumer(&name, config).await;
    let made = made
        .map_err(|error| ConnectError::Topology { what: what.clone(), why: error.to_string() })?;
    topology.created.push(what);
    Ok(Some(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_what_its_subjects_say() {
        for held in ["a.b", "a.*", "*.b", "a.>", ">"] {
            assert!(takes(held, "a.b"), "{held}");
        }
        for held in ["a", "a.b.c", "a.c", "a.b.>", "*", "b.>"] {
            assert!(!takes(held, "a.b"), "{held}");
        }
        assert!(takes("a.>", "a.>") && takes("a.>", "a.b.>") && !takes("a.*", "a.>"));
    }
}
