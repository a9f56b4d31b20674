//! The streams and the consumers of a place: looked at, and made where that is wanted.

mod streams;

use amends_transport::{End, Topology, UNSETTLED_MAX, without_login};
use async_nats::jetstream::consumer::{AckPolicy, Config, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{Context as JetStream, GetStreamErrorKind};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, ErrorCode};

use crate::place::{ConnectError, Place, Server, Taken};
use streams::{Needed, takes};

/// How many messages all copies of an end together may hold: each has its own limit, and this one
/// must not be what stops the next copy.
const COPIES_MAX: i64 = 64;

/// Looks at what the server has of a place, for every end that is known there, and makes nothing.
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
    let mut look = Look::new(&context, server, false);
    let listeners = place.events.iter().flat_map(|events| events.listeners.clone());
    let listening: Vec<End> = listeners.map(End::Listener).collect();
    let streams = look.streams(place, !listening.is_empty()).await?;
    for end in [End::Engine, End::Service].iter().chain(&listening) {
        look.consumer(&streams, place, end).await?;
    }
    Ok(look.topology)
}

/// The consumer of an end, with the stream under it; none at a place where nothing is taken. What is
/// missing is made with `create`, and is an error otherwise.
pub(crate) async fn prepare(
    context: &JetStream,
    server: &Server,
    place: &Place,
    end: &End,
    create: bool,
) -> Result<(Option<PullConsumer>, Topology), ConnectError> {
    let missing = |what, way: &str| Err(ConnectError::Missing { what, way: way.to_owned() });
    let is_listener = matches!(end, End::Listener(_));
    if is_listener && place.events.is_none() {
        return missing("events at the place".to_owned(), "say what stands before their names");
    }
    let mut look = Look::new(context, server, create);
    let streams = look.streams(place, is_listener).await?;
    let consumer = look.consumer(&streams, place, end).await?;
    if consumer.is_none() && place.taken_by(end).is_some() {
        return missing(look.topology.missing.join(", no "), "make it, or allow it to be made");
    }
    Ok((consumer, look.topology))
}

/// The streams of a place that are there by now.
struct Streams {
    queues: Option<Stream>,
    events: Option<Stream>,
}

/// A look at what there is, and what came of it so far.
struct Look<'a> {
    context: &'a JetStream,
    server: &'a Server,
    create: bool,
    topology: Topology,
}

impl<'a> Look<'a> {
    fn new(context: &'a JetStream, server: &'a Server, create: bool) -> Self {
        Self { context, server, create, topology: Topology::default() }
    }

    async fn streams(&mut self, place: &Place, is_heard: bool) -> Result<Streams, ConnectError> {
        let mut found = Streams { queues: None, events: None };
        if let Some(queues) = &place.queues {
            found.queues = self.stream(Needed::of_queues(place, queues)).await?;
        }
        if let Some(events) = &place.events {
            found.events = self.stream(Needed::of_events(place, events)).await?;
            if is_heard {
                self.stream(Needed::of_dead_events(place, events)).await?;
            }
        }
        Ok(found)
    }

    async fn stream(&mut self, needed: Needed) -> Result<Option<Stream>, ConnectError> {
        let name = &needed.config.name;
        let what = format!("stream {name}");
        let refused = |why: String| ConnectError::Topology { what: what.clone(), why };
        match self.context.get_stream(name).await {
            Ok(stream) => {
                let weak = needed.weaknesses(&stream.cached_info().config);
                self.topology.weak.extend(weak.iter().map(|why| format!("{what}: {why}")));
                self.topology.there.push(what);
                Ok(Some(stream))
            }
            Err(error) if is_missing(&error.kind()) => {
                if !self.create {
                    self.topology.missing.push(what);
                    return Ok(None);
                }
                let made = self.context.get_or_create_stream(needed.config).await;
                let made = made.map_err(|error| refused(error.to_string()))?;
                self.topology.created.push(what);
                Ok(Some(made))
            }
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// The consumer of an end, where it takes something; there by now, or else it is missing.
    async fn consumer(
        &mut self,
        streams: &Streams,
        place: &Place,
        end: &End,
    ) -> Result<Option<PullConsumer>, ConnectError> {
        let Some(taken) = place.taken_by(end) else { return Ok(None) };
        let stream = match end {
            End::Listener(_) => &streams.events,
            End::Engine | End::Service => &streams.queues,
        };
        let Some(stream) = stream else { return Ok(None) };
        let Taken { subject, consumer: name, .. } = taken;
        let what = format!("consumer {name}");
        if let Ok(found) = stream.get_consumer::<pull::Config>(&name).await {
            let weak = weaknesses(&found.cached_info().config, &subject);
            self.topology.weak.extend(weak.iter().map(|why| format!("{what}: {why}")));
            self.topology.there.push(what);
            return Ok(Some(found));
        }
        if !self.create {
            self.topology.missing.push(what);
            return Ok(None);
        }
        let config = pull::Config {
            durable_name: Some(name.clone()),
            // A listener has what its stream still has: so nothing is lost to it before it comes, or
            // with a consumer that is deleted and made again.
            deliver_policy: DeliverPolicy::All,
            filter_subject: subject,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.server.ack_wait,
            max_ack_pending: UNSETTLED_MAX as i64 * COPIES_MAX,
            ..pull::Config::default()
        };
        let made = stream.get_or_create_consumer(&name, config).await;
        let made = made.map_err(|error| ConnectError::Topology {
            what: what.clone(),
            why: error.to_string(),
        })?;
        self.topology.created.push(what);
        Ok(Some(made))
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What of an existing consumer, which has to bring this subject, is weaker than the promise that a
/// message comes until it is acknowledged.
fn weaknesses(config: &Config, subject: &str) -> Vec<String> {
    let mut weak = Vec::new();
    if config.ack_policy != AckPolicy::Explicit {
        weak.push("it acknowledges by itself: set its ack_policy to explicit".to_owned());
    }
    if config.max_deliver > 0 {
        weak.push("it gives a message up after max_deliver tries: set it to -1".to_owned());
    }
    if !config.filter_subject.is_empty() && !takes(&config.filter_subject, subject) {
        weak.push(format!("it does not bring {subject}: set its filter_subject to that"));
    }
    if !config.inactive_threshold.is_zero() {
        weak.push(
            "it goes when nobody has read for its inactive_threshold, and with it what it had not \
             brought: set none"
                .to_owned(),
        );
    }
    weak
}
