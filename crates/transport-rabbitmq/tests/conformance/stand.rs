//! Places on real servers: one that all share, and one of its own for what kills it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::conformance::channel::{Broker, Capabilities, Mortal, Place};
use amends_transport::{Channel, End};
use amends_transport_rabbitmq::{REASON, RabbitChannel, Server, connect};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lapin::options::{BasicGetOptions, BasicNackOptions};
use lapin::types::AMQPValue;
use tokio::sync::Mutex;

/// What the testbed's server takes, without the envelope.
pub const BODY_BYTES_MAX: usize = 1024 * 1024 - 4096;

/// When a queue that was just made outlives its server: it is written down only once no other is made
/// for a moment. What is killed before that has no leader when it is back (3.10).
const QUEUE_KEPT_AFTER: Duration = Duration::from_secs(2);

static PLACES: AtomicU32 = AtomicU32::new(0);

pub struct Rabbit;

/// The server of all cases that leave it alive.
static SHARED: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::rabbitmq()).expect("RabbitMQ starts"));

/// Where the shared server is.
pub async fn shared() -> Server {
    let url = tokio::task::spawn_blocking(|| SHARED.url()).await.expect("it starts");
    Server::new(url)
}

/// A place that no other case uses. Every other one has an exchange of its own.
pub fn new_place() -> amends_transport_rabbitmq::Place {
    let number = PLACES.fetch_add(1, Ordering::Relaxed);
    let exchange = if number.is_multiple_of(2) { format!("place.{number}") } else { String::new() };
    let [commands, replies, events] =
        ["commands", "replies", "events"].map(|of| format!("place.{number}.{of}"));
    let place = amends_transport_rabbitmq::Place::new(commands, replies);
    place.with_exchange(exchange).with_events(events)
}

struct Own {
    server: Server,
    place: amends_transport_rabbitmq::Place,
    process: Option<Arc<Mutex<testbed::Server>>>,
}

impl Own {
    fn at(server: Server, process: Option<testbed::Server>) -> Arc<Self> {
        let process = process.map(|process| Arc::new(Mutex::new(process)));
        Arc::new(Self { server, place: new_place(), process })
    }

    async fn connected(&self, end: End) -> Arc<dyn Channel> {
        let (channel, topology): (RabbitChannel, _) =
            connect(&self.server, self.place.clone(), end, true).await.expect("it is there");
        if self.process.is_some() && !topology.created.is_empty() {
            tokio::time::sleep(QUEUE_KEPT_AFTER).await;
        }
        Arc::new(channel)
    }
}

impl Broker for Rabbit {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: true,
            one_at_a_time: false,
            settles_alone: true,
            knows_ids: false,
            counts_deliveries: true,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }

    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>> {
        async { Own::at(shared().await, None) as Arc<dyn Place> }.boxed()
    }

    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>> {
        async {
            let started = || testbed::Server::start(testbed::rabbitmq());
            let process = tokio::task::spawn_blocking(started).await.expect("it starts");
            let process = process.expect("RabbitMQ starts");
            Own::at(Server::new(process.url()), Some(process)) as Arc<dyn Mortal>
        }
        .boxed()
    }
}

impl Place for Own {
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>> {
        self.connected(end).boxed()
    }

    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>> {
        dead_letters(&self.server, self.place.dead_letters(&end)).boxed()
    }
}

/// What an end has put aside, into the queue of this name. It stays there.
pub async fn dead_letters(server: &Server, queue: Option<String>) -> Vec<(Bytes, String)> {
    let channel = client(server).await;
    let queue = queue.expect("the end takes something");
    let (mut dead, mut held) = (Vec::new(), Vec::new());
    loop {
        let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await;
        let Some(message) = got.expect("it was made") else { break };
        let headers = message.properties.headers().clone().unwrap_or_default();
        let reason = match headers.inner().get(REASON) {
            Some(AMQPValue::LongString(reason)) => reason.to_string(),
            _ => String::new(),
        };
        let body = Bytes::copy_from_slice(&message.data);
        let (_, body) = amends_wire::envelope::open([], &body);
        dead.push((body, reason));
        held.push(message);
    }
    for message in held {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        message.nack(options).await.expect("it is there");
    }
    channel.close(200, "OK".into()).await.expect("it is there");
    dead
}

/// Somebody else's way to the server.
pub async fn client(server: &Server) -> lapin::Channel {
    let properties = lapin::ConnectionProperties::default();
    let connection = lapin::Connection::connect(&server.url, properties).await;
    connection.expect("it is there").create_channel().await.expect("it is there")
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
