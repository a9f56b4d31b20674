//! Services behind Kafka.

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End, Events};
use amends_transport_kafka::{Place, Server, connect};
use futures_util::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

use super::Broker;

/// However busy the machine: a broker that does not answer by then never will.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

pub struct Kafka;

fn place(short: &str) -> Place {
    Place::new(format!("{short}.commands"), format!("{short}.replies"))
}

/// The place where this end is: who listens does so beside the queues.
fn place_of(short: &str, end: &End) -> Place {
    let End::Listener(listener) = end else { return place(short) };
    let events = Events::at(format!("{short}.events")).heard_by([listener.clone()]);
    Place::events_only(events)
}

impl Broker for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn make(&self) -> testbed::Make {
        testbed::kafka
    }

    fn option(&self) -> &'static str {
        "--kafka"
    }

    fn binding(&self, short: &str) -> String {
        format!("kafka: {{ commands: {short}.commands, replies: {short}.replies }}")
    }

    fn connect<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<Arc<dyn Channel>, String>> {
        Box::pin(async move {
            let connected = connect(&Server::new(url), place_of(short, &end), end, true).await;
            let (channel, _) = connected.map_err(|error| error.to_string())?;
            Ok(Arc::new(channel) as Arc<dyn Channel>)
        })
    }

    fn dead_letters<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<u64, String>> {
        let (addresses, topic) = (url.to_owned(), place_of(short, &end).dead_letters(&end));
        Box::pin(async move {
            let topic = topic.ok_or("nothing is taken there")?;
            let counted = tokio::task::spawn_blocking(move || length(&addresses, &topic)).await;
            counted.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        })
    }
}

/// How many messages a topic has.
fn length(addresses: &str, topic: &str) -> KafkaResult<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses).set("group.id", "counts-dead-letters");
    let client: BaseConsumer = config.create()?;
    let known = client.fetch_metadata(Some(topic), ANSWERS_WITHIN)?;
    let mut found = 0;
    for partition in known.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = client.fetch_watermarks(topic, partition.id(), ANSWERS_WITHIN)?;
        found += u64::try_from(high - low).unwrap_or(0);
    }
    Ok(found)
}
