//! A real server passes the suite of brokers, and commands over it that of transports.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::conformance::channel::{Broker, Capabilities, Commands, Mortal, Place};
use amends_transport::{Channel, End};
use amends_transport_kafka::{KafkaChannel, Server, connect};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::sync::Mutex;

/// What Kafka takes unless it is set otherwise, without the headers.
const BODY_BYTES_MAX: usize = 1024 * 1024 - 4096;

static PLACES: AtomicU32 = AtomicU32::new(0);

struct Kafka;

/// The server of all cases that leave it alive.
static SHARED: LazyLock<testbed::Server> =
    LazyLock::new(|| testbed::Server::start(testbed::kafka()).expect("a Kafka starts"));

struct Own {
    server: Server,
    place: amends_transport_kafka::Place,
    process: Option<Arc<Mutex<testbed::Server>>>,
}

impl Own {
    fn at(url: String, process: Option<testbed::Server>) -> Arc<Self> {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let [commands, replies, events] =
            ["commands", "replies", "events"].map(|of| format!("place.{number}.{of}"));
        let place = amends_transport_kafka::Place::new(commands, replies).with_events(events);
        let process = process.map(|process| Arc::new(Mutex::new(process)));
        Arc::new(Self { server: Server::new(url), place, process })
    }

    async fn connected(&self, end: End) -> Arc<dyn Channel> {
        let (channel, _): (KafkaChannel, _) =
            connect(&self.server, self.place.clone(), end, true).await.expect("it is there");
        Arc::new(channel)
    }
}

impl Broker for Kafka {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: true,
            one_at_a_time: false,
            // It knows one mark a partition: what lies behind an open message comes again with it
            // where an end leaves.
            settles_alone: false,
            // Only what one producer itself sends again.
            knows_ids: false,
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
            let started = || testbed::Server::start(testbed::kafka());
            let process = tokio::task::spawn_blocking(started).await.expect("it starts");
            let process = process.expect("a Kafka starts");
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
        let topic = self.place.dead_letters(&end).expect("the end takes something");
        let addresses = self.server.addresses.clone();
        async move {
            let read = move || all_of(&addresses, &topic);
            tokio::task::spawn_blocking(read).await.expect("it is read")
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

/// What lies in a topic: bodies, and reasons.
fn all_of(addresses: &str, topic: &str) -> Vec<(Bytes, String)> {
    const WITHIN: Duration = Duration::from_secs(30);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses).set("group.id", "reads-dead-letters");
    let client: BaseConsumer = config.create().expect("it is made");
    let known = client.fetch_metadata(Some(topic), WITHIN).expect("it is there");
    let partitions: Vec<i32> = known.topics()[0].partitions().iter().map(|p| p.id()).collect();
    let (mut list, mut left) = (TopicPartitionList::new(), 0);
    for partition in partitions {
        let (low, high) = client.fetch_watermarks(topic, partition, WITHIN).expect("it is there");
        left += high - low;
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("it is one");
    }
    client.assign(&list).expect("it is there");
    let mut found = Vec::new();
    while left > 0 {
        let Some(Ok(message)) = client.poll(WITHIN) else { continue };
        left -= 1;
        let headers = message.headers().expect("there is the reason");
        let mut reasons = headers.iter().filter(|h| h.key == "amends-dead-letter-reason");
        let reason = reasons.next().and_then(|header| header.value).unwrap_or_default();
        let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        found.push((body, String::from_utf8_lossy(reason).into_owned()));
    }
    found
}

mod as_a_broker {
    amends_transport::channel_tests!(super::Kafka);
}

mod as_a_transport {
    amends_transport::conformance_tests!(super::Commands(super::Kafka));
}
