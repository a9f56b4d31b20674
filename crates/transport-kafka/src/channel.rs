//! One end of a place: an intake and an outlet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_transport::{
    Channel, ChannelError, End, Message, Received, Tag, Topology, next_readable,
};
use amends_wire::envelope::header_name;
use futures_util::future::BoxFuture;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

use crate::client::{OffThread, READ_AHEAD_KIB, not_made};
use crate::intake::{Consumer, Ear, Intake};
use crate::outlet::{Leaving, Outlet, Unkept};
use crate::place::{ConnectError, Place, Server, Taken};
use crate::topology::prepare;

/// What says why a message was put aside.
const REASON: &str = "amends-dead-letter-reason";

/// How long a copy may say nothing before its partitions go to the others; so it is also how long a
/// message waits whose end was killed. The client says something every three seconds from a thread
/// of its own, however busy the rest is. Shorter, and a network that hiccups takes partitions away
/// from copies that are well; a cluster takes no less than six seconds unless told otherwise.
const SILENT_MS_MAX: u32 = 10_000;

/// How often the client says something.
const SAYS_EVERY_MS: u32 = 3_000;

/// How often the marks are told to the cluster: what was settled since comes again after a crash.
const MARKED_EVERY_MS: u32 = 1_000;

/// One end of a place.
pub struct KafkaChannel {
    place: Place,
    end: End,
    intake: Arc<Intake>,
    outlet: Outlet,
    /// For dead letters that are too large as they are; few ever come.
    pressing: OnceCell<Outlet>,
    /// None when we have left, and where nothing is taken.
    taking: Mutex<Option<Taking>>,
}

/// What fills an intake.
struct Taking {
    consumer: Arc<Consumer>,
    reading: JoinHandle<()>,
    /// Tells when the client has ended.
    left: oneshot::Receiver<()>,
}

/// Connects to a place, and says what was found or, with `create`, made there.
///
/// # Errors
///
/// The cluster cannot be reached, or something is missing that was not to be made.
pub async fn connect(
    server: &Server,
    place: Place,
    end: End,
    create: bool,
) -> Result<(KafkaChannel, Topology), ConnectError> {
    let (topology, sizes) = prepare(server, &place, &end, create).await?;
    let outlet = Outlet::new(server, sizes)?;
    let taken = place.taken_by(&end);
    // Where nothing is taken nobody fills it.
    let intake = Intake::of(taken.as_ref().map_or("", |taken| &taken.topic));
    let taking = match taken {
        Some(taken) => Some(Taking::of(server, taken, &intake)?),
        None => None,
    };
    let (taking, pressing) = (Mutex::new(taking), OnceCell::new());
    Ok((KafkaChannel { intake, outlet, pressing, taking, place, end }, topology))
}

impl Taking {
    fn of(server: &Server, taken: Taken, intake: &Arc<Intake>) -> Result<Self, ConnectError> {
        let Taken { topic, group, .. } = taken;
        let config = server.config(&[
            ("group.id", group),
            // A mark is ours to set; the client tells it, also when a partition goes.
            ("enable.auto.commit", "true".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("auto.commit.interval.ms", MARKED_EVERY_MS.to_string()),
            // What was published before the first copy came.
            ("auto.offset.reset", "earliest".to_owned()),
            // The others keep what they have when a copy comes or goes.
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", SILENT_MS_MAX.to_string()),
            ("heartbeat.interval.ms", SAYS_EVERY_MS.to_string()),
            ("queued.max.messages.kbytes", READ_AHEAD_KIB.to_string()),
            ("allow.auto.create.topics", "false".to_owned()),
        ])?;
        let consumer = StreamConsumer::from_config_and_context(&config, Ear::of(intake));
        let (consumer, left) = OffThread::told(consumer.map_err(|error| not_made(&error))?);
        consumer.subscribe(&[&topic]).map_err(|error| ConnectError::Topology {
            what: format!("topic {topic}"),
            why: error.to_string(),
        })?;
        let consumer = Arc::new(consumer);
        let reading = tokio::spawn({
            let (intake, consumer) = (Arc::clone(intake), Arc::clone(&consumer));
            async move { intake.run(&consumer).await }
        });
        Ok(Self { consumer, reading, left })
    }
}

impl KafkaChannel {
    fn settle(&self, tag: Tag) {
        let taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has left holds nothing.
        if let Some(taking) = &*taking {
            self.intake.settle(&taking.consumer, tag);
        }
    }

    async fn put_aside(&self, tag: Tag, reason: &str) -> Result<(), ChannelError> {
        let Some(topic) = self.place.dead_letters(&self.end) else { return Ok(()) };
        let Some(record) = self.intake.hold.peek(tag) else { return Ok(()) };
        let leaving = |headers| {
            let (key, body) = (record.key.as_deref(), &*record.body);
            Leaving { topic: &topic, key, headers, body }
        };
        let beside = || Header { key: REASON, value: Some(reason) };
        let with_reason = || leaving(record.headers().insert(beside()));
        // As large as the topic takes before anything was said of it, or larger, and compressed by
        // whoever published it: it must not come for ever.
        let mut published = self.outlet.publish(with_reason()).await;
        if too_large(&published) {
            published = self.pressing().await?.publish(with_reason()).await;
        }
        if too_large(&published) {
            tracing::warn!("a dead letter has no room for its reason: {reason}");
            published = self.pressing().await?.publish(leaving(record.headers())).await;
        }
        published?;
        self.settle(tag);
        Ok(())
    }

    async fn pressing(&self) -> Result<&Outlet, ChannelError> {
        let made = self.pressing.get_or_try_init(|| async { self.outlet.pressing() }).await;
        made.map_err(|error| ChannelError::Away(error.to_string()))
    }

    async fn publish(&self, message: &Message) -> Result<(), ChannelError> {
        let Some(topic) = self.place.topic(message.kind) else {
            return Err(ChannelError::nowhere(message.kind));
        };
        let mut headers = OwnedHeaders::new_with_capacity(message.attributes.len());
        for (name, text) in &message.attributes {
            let name = header_name("ce_", name);
            headers = headers.insert(Header { key: &name, value: Some(text.as_str()) });
        }
        let key = Some(message.saga_id.as_bytes());
        Ok(self.outlet.publish(Leaving { topic, key, headers, body: &message.body }).await?)
    }

    /// Tells the reader to end, and lets go of the client. Says how to wait for both.
    fn leave(&self) -> Option<(JoinHandle<()>, oneshot::Receiver<()>)> {
        let taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        taking.reading.abort();
        Some((taking.reading, taking.left))
    }
}

fn too_large(published: &Result<(), Unkept>) -> bool {
    published.as_ref().is_err_and(Unkept::is_too_large)
}

impl Channel for KafkaChannel {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(next_readable(self, &self.intake.hold))
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(async move {
            self.settle(tag);
            Ok(())
        })
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(async move {
            self.intake.give_back(tag, after);
            Ok(())
        })
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.put_aside(tag, reason))
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.publish(message))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.intake.hold.end();
            if let Some((reading, left)) = self.leave() {
                let _ = reading.await; // it was told to end
                let _ = left.await; // the marks are told, and the others have our partitions
            }
        })
    }
}

impl Drop for KafkaChannel {
    fn drop(&mut self) {
        self.leave();
    }
}

impl std::fmt::Debug for KafkaChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaChannel").field("place", &self.place).finish_non_exhaustive()
    }
}
