//! A real server passes the suite of brokers, and commands over it that of transports.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::conformance::channel::{Broker, Capabilities, Commands, Mortal, Place};
use amends_transport::{Channel, End};
use amends_transport_nats::{NatsChannel, Server, connect};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// Short, so that what an end took to its grave comes soon.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// What NATS takes unless it is set otherwise, without the headers.
const BODY_BYTES_MAX: usize = 1024 * 1024 - 4096;

static PLACES: AtomicU32 = AtomicU32::new(0);

struct Nats;

/// The server of all cases that leave it alive.
static SHARED: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::nats()).expect("a NATS server starts"));

struct Own {
    server: Server,
    place: amends_transport_nats::Place,
    process: Option<Arc<Mutex<testbed::Server>>>,
}

impl Own {
    fn at(url: String, process: Option<testbed::Server>) -> Arc<Self> {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let mut server = Server::new(url);
        server.ack_wait = ACK_WAIT;
        let [commands, replies, events] =
            ["commands", "replies", "events"].map(|of| format!("place.{number}.{of}"));
        let place = amends_transport_nats::Place::new(format!("PLACE_{number}"), commands, replies)
            .with_events(events);
        Arc::new(Self { server, place, process: process.map(|p| Arc::new(Mutex::new(p))) })
    }

    async fn connected(&self, end: End) -> Arc<dyn Channel> {
        let (channel, _): (NatsChannel, _) =
            connect(&self.server, self.place.clone(), end, true).await.expect("it is there");
        Arc::new(channel)
    }
}

impl Broker for Nats {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: true,
            one_at_a_time: false,
            // The server of Debian 12 (2.9) brings the last message of a stream once more after
            // one before it was given back.
            settles_alone: false,
            knows_ids: true,
            counts_deliveries: true,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>> {
        async {
            let url = tokio::task::spawn_blocking(|| SHARED.url()).await.expect("it starts");
            Own::at(url, None) as Arc<dyn Place>
        }
        .boxed()
    }

    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>> {
        async {
            let started = || testbed::Server::start(testbed::nats());
            let process = tokio::task::spawn_blocking(started).await.expect("it starts");
            let process = process.expect("a NATS server starts");
            Own::at(process.url(), Some(process)) as Arc<dyn Mortal>
        }
        .boxed()
    }
}

impl Place for Own {
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>> {
        self.connected(end).boxed()
    }

    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>> {
        let of = if matches!(end, End::Listener(_)) { "_EVENTS_DEAD_LETTERS" } else { "" };
        async move {
            let client = async_nats::connect(&self.server.url).await.expect("it is there");
            let jetstream = async_nats::jetstream::new(client);
            let stream = format!("{}{of}", self.place.stream);
            let stream = jetstream.get_stream(&stream).await.expect("it was made");
            let last = stream.cached_info().state.last_sequence;
            let subject = self.place.dead_letters(&end);
            let mut dead = Vec::new();
            for sequence in 1..=last {
                let Ok(message) = stream.get_raw_message(sequence).await else { continue };
                if Some(message.subject.as_str()) == subject.as_deref() {
                    let reason = message.headers.get("amends-dead-letter-reason");
                    let reason = reason.map(|reason| reason.as_str()).unwrap_or_default();
                    let reason = amends_wire::envelope::header_text(reason).into_owned();
                    dead.push((message.payload, reason));
                }
            }
            dead
        }
        .boxed()
    }
}

impl Own {
    async fn with_process(&self, act: impl FnOnce(&mut testbed::Server) + Send + 'static) {
        let process = Arc::clone(self.process.as_ref().expect("it has a server of its own"));
        let acted = tokio::task::spawn_blocking(move || act(&mut process.blocking_lock()));
        acted.await.expect("the server does as it is told");
    }
}

impl Mortal for Own {
    fn kill(&self) -> BoxFuture<'_, ()> {
        self.with_process(|process| process.kill().expect("it dies")).boxed()
    }

    fn start_again(&self) -> BoxFuture<'_, ()> {
        self.with_process(|process| process.start_again().expect("it starts again")).boxed()
    }
}

mod as_a_broker {
    amends_transport::channel_tests!(super::Nats);
}

mod as_a_transport {
    amends_transport::conformance_tests!(super::Commands(super::Nats));
}
