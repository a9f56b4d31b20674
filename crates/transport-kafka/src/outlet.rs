//! The way out: messages leave in order, are kept by as many brokers as the topic asks for, and
//! where one is not, it is known whether it may be there all the same.

use std::sync::{Arc, Mutex, PoisonError};

use amends_transport::ChannelError;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::client::{Complaints, OffThread, not_made};
use crate::native;
use crate::place::{ConnectError, Server};
use crate::topology::Sizes;

/// How long a message is tried for: less than an engine waits for the broker's word (10 s), so that
/// it hears whether it left. A cluster that has lost a broker elects another in less.
const TRIED_FOR_MS: u32 = 8_000;

/// What waits to leave at most: an engine's window over all services, of messages of the largest
/// size that is usual.
const UNSENT_KIB_MAX: u32 = 64 * 1024;

/// The largest message where only the broker knows what it takes: as large as all that waits.
const MESSAGE_BYTES_MAX: u64 = UNSENT_KIB_MAX as u64 * 1024;

/// The client library's own: what it sends in one go.
const BATCH_BYTES_MAX: u64 = 1_000_000;

/// What brokers have taken since long, and the library's best at it.
const PRESSED: [(&str, &str); 2] = [("compression.type", "zstd"), ("compression.level", "12")];

type Producer = ThreadedProducer<Words>;

/// Publishes.
pub(crate) struct Outlet {
    config: ClientConfig,
    producer: Mutex<Arc<OffThread<Producer>>>,
}

/// A message on its way out.
pub(crate) struct Leaving<'a> {
    pub(crate) topic: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
    pub(crate) body: &'a [u8],
}

impl Outlet {
    pub(crate) fn new(server: &Server, sizes: Sizes) -> Result<Self, ConnectError> {
        let own = [
            // A message that the library sends again is kept once, and in its order.
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".to_owned()),
            ("message.timeout.ms", TRIED_FOR_MS.to_string()),
            // A command leaves at once; what comes while others are on their way leaves together.
            ("linger.ms", "0".to_owned()),
            // As clients in Java do, so that whoever publishes, a saga has one partition.
            ("partitioner", "murmur2_random".to_owned()),
            ("queue.buffering.max.kbytes", UNSENT_KIB_MAX.to_string()),
            ("message.max.bytes", sizes.largest.unwrap_or(MESSAGE_BYTES_MAX).to_string()),
            // A batch that a topic does not take would take small messages down with it.
            ("batch.size", sizes.smallest.unwrap_or(u64::MAX).min(BATCH_BYTES_MAX).to_string()),
        ];
        Self::of(server.config(&own)?)
    }

    fn of(config: ClientConfig) -> Result<Self, ConnectError> {
        let producer = producer(&config).map_err(|error| not_made(&error))?;
        Ok(Self { config, producer: Mutex::new(producer) })
    }

    /// Another one, for what its topic takes only compressed: how large it is then the broker says.
    pub(crate) fn pressing(&self) -> Result<Self, ConnectError> {
        let mut config = self.config.clone();
        config.set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
        for (name, value) in PRESSED {
            config.set(name, value);
        }
        Self::of(config)
    }

    /// Resolves when the message is kept.
    pub(crate) async fn publish(&self, leaving: Leaving<'_>) -> Result<(), Unkept> {
        let producer = Arc::clone(&self.producer.lock().unwrap_or_else(PoisonError::into_inner));
        let (told, word) = oneshot::channel();
        let mut record = BaseRecord::with_opaque_to(leaving.topic, Box::new(told))
            .headers(leaving.headers)
            .payload(leaving.body);
        if let Some(key) = leaving.key {
            record = record.key(key);
        }
        let unsent = producer.send(record).map_err(|(error, _)| Unkept {
            why: producer.context().0.explain(&error),
            code: error.rdkafka_error_code(),
            may_be_kept: false,
        });
        let kept = match unsent {
            Ok(()) => word.await.unwrap_or_else(|_| Err(Unkept::unheard())),
            Err(unkept) => Err(unkept),
        };
        if kept.is_err() && producer.client().fatal_error().is_some() {
            self.renew(&producer);
        }
        kept
    }

    /// The library gives a producer up when a broker does not know it any more (it lost what it had
    /// not synced). The next one is as good.
    fn renew(&self, given_up: &Arc<OffThread<Producer>>) {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, given_up) {
            return;
        }
        match producer(&self.config) {
            Ok(new) => *current = new,
            Err(error) => tracing::error!("no new way out to Kafka can be made: {error}"),
        }
    }
}

fn producer(config: &ClientConfig) -> Result<Arc<OffThread<Producer>>, KafkaError> {
    let words = Words(Complaints::default());
    let producer = Producer::from_config_and_context(config, words)?;
    Ok(Arc::new(OffThread::new(producer)))
}

/// Hears the brokers' words.
struct Words(Complaints);

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Words {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), Unkept>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Self::DeliveryOpaque) {
        let word = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(Unkept {
                why: self.0.explain(error),
                code: error.rdkafka_error_code(),
                may_be_kept: native::may_be_kept(message),
            }),
        };
        let _ = told.send(word); // perhaps nobody waits any more
    }
}

/// A message that no broker has said to keep.
#[derive(Debug)]
pub(crate) struct Unkept {
    why: String,
    code: Option<RDKafkaErrorCode>,
    may_be_kept: bool,
}

impl Unkept {
    fn unheard() -> Self {
        Self { why: "the client ended".to_owned(), code: None, may_be_kept: true }
    }

    /// Larger than its topic takes in one message.
    pub(crate) const fn is_too_large(&self) -> bool {
        matches!(
            self.code,
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
        )
    }
}

impl From<Unkept> for ChannelError {
    fn from(Unkept { why, code, may_be_kept }: Unkept) -> Self {
        match code {
            Some(
                RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => Self::Refused(why),
            _ if may_be_kept => Self::Unknown(why),
            // Also while a broker that has just been started reads which topics it has.
            _ => Self::Away(why),
        }
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}
