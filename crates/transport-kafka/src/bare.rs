//! The client by itself, for whoever measures.

use amends_transport::{Acknowledging, Bare, ChannelError, End};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::client::{OffThread, not_made};
use crate::place::{ConnectError, Place, Server};
use crate::topology::prepare;

struct BareKafka {
    producer: OffThread<FutureProducer>,
    topic: String,
    consumer: OffThread<StreamConsumer>,
}

/// Connects an end of a place, and makes what is missing. Marks are told once a second, so that an
/// acknowledgement costs nothing.
///
/// # Errors
///
/// The cluster cannot be reached, or something cannot be made.
pub async fn bare(server: &Server, place: &Place, end: End) -> Result<impl Bare, ConnectError> {
    let filled = place.queues.as_ref().and_then(|queues| queues.filled_by(&end));
    let (Some(filled), Some(taken)) = (filled, place.taken_by(&end)) else {
        return Err(ConnectError::Missing {
            what: "queues at a place of events alone".to_owned(),
            way: "say those of its commands and replies".to_owned(),
        });
    };
    prepare(server, place, &end, true).await?;
    let config = server.config(&[
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("linger.ms", "0".to_owned()),
        ("partitioner", "murmur2_random".to_owned()),
    ])?;
    let producer: FutureProducer = config.create().map_err(|error| not_made(&error))?;
    let config = server.config(&[
        ("group.id", taken.group),
        ("auto.commit.interval.ms", "1000".to_owned()),
        ("auto.offset.reset", "earliest".to_owned()),
    ])?;
    let consumer: StreamConsumer = config.create().map_err(|error| not_made(&error))?;
    consumer.subscribe(&[&taken.topic]).map_err(|error| ConnectError::Topology {
        what: format!("topic {}", taken.topic),
        why: error.to_string(),
    })?;
    let topic = filled.to_owned();
    Ok(BareKafka { producer: OffThread::new(producer), topic, consumer: OffThread::new(consumer) })
}

impl Bare for BareKafka {
    fn publish<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let record = FutureRecord::to(&self.topic).key(key).payload(&body[..]);
            let sent = self.producer.send(record, Timeout::Never).await;
            sent.map(drop).map_err(|(error, _)| ChannelError::Away(error.to_string()))
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<(Bytes, Acknowledging), ChannelError>> {
        Box::pin(async move {
            let received = self.consumer.recv().await;
            let message = received.map_err(|error| ChannelError::Away(error.to_string()))?;
            let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
            let acknowledging: Acknowledging = Box::pin(async { Ok(()) });
            Ok((body, acknowledging))
        })
    }
}
