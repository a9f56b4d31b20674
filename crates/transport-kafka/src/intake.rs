//! The way in: messages are taken as there is room, settled in any order, and brought again where
//! they were given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amends_transport::{ChannelError, Hold, Tag};
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use crate::client::{Complaints, OffThread};
use crate::marks::Marks;
use crate::record::Record;
use crate::waiting::Waiting;

/// How long an end without room asks for nothing before it says so to the client, which throws away
/// what it has read ahead then, and reads it again.
const FULL_FOR: Duration = Duration::from_secs(1);

/// After the cluster could not be read from, and before a reader with too much to read is told of
/// more.
const PAUSE: Duration = Duration::from_millis(200);

/// The client of an end.
pub(crate) type Consumer = OffThread<StreamConsumer<Ear>>;

/// What an end has taken from its topic.
pub(crate) struct Intake {
    topic: String,
    pub(crate) hold: Hold<Arc<Record>>,
    desk: Mutex<Desk>,
    /// Something else is due next.
    changed: Notify,
}

/// What changes with the partitions that are ours.
struct Desk {
    marks: Marks,
    waiting: Waiting<Tag>,
    /// The client was told to read nothing.
    paused: bool,
}

impl Intake {
    pub(crate) fn of(topic: &str) -> Arc<Self> {
        let desk = Desk { marks: Marks::default(), waiting: Waiting::new(), paused: false };
        Arc::new(Self {
            topic: topic.to_owned(),
            hold: Hold::new(),
            desk: Mutex::new(desk),
            changed: Notify::new(),
        })
    }

    /// Brings what comes, for as long as it is polled.
    pub(crate) async fn run(&self, consumer: &Consumer) {
        let mut room = None;
        let mut full_since = Instant::now();
        loop {
            let (due, paused) = {
                let desk = self.desk();
                (desk.waiting.next_due(), desk.paused)
            };
            let next_due = due.unwrap_or_else(Instant::now).into();
            let told_full = (full_since + FULL_FOR).into();
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = sleep_until(next_due), if due.is_some() => self.bring_what_is_due(),
                one = self.hold.room(1, 1), if room.is_none() => {
                    room = Some(one);
                    self.pause(consumer, false);
                }
                () = sleep_until(told_full), if room.is_none() && !paused => {
                    self.pause(consumer, true);
                }
                // A client that is not asked for so long that it is taken for dead is asked also
                // where there is no room: it has paused.
                came = consumer.recv(), if room.is_some() || paused => match (came, &mut room) {
                    (Ok(message), Some(place)) => {
                        self.take(&message, place);
                        if place.left() == 0 {
                            room = None;
                            full_since = Instant::now();
                        }
                    }
                    (Ok(message), None) => self.leave(consumer, &message),
                    (Err(error), _) => self.complain(consumer, &error).await,
                },
            }
        }
    }

    /// Takes a message, and tells of it unless one of its saga waits, or the reader has too much to
    /// read.
    fn take(&self, message: &BorrowedMessage<'_>, room: &mut amends_transport::Room<'_>) {
        let mut desk = self.desk();
        let Some(assignment) = desk.marks.came(message.partition(), message.offset()) else {
            return; // somebody else's by now
        };
        let record = Arc::new(Record::of(message, assignment));
        let Some(tag) = self.hold.keep(room, Arc::clone(&record), record.body.len()) else {
            return; // we have left
        };
        let line = record.line();
        if desk.waiting.has(&line) {
            desk.waiting.put(line, record.offset, Instant::now(), tag);
        } else if !self.tell(tag, &record) {
            desk.waiting.put(line, record.offset, Instant::now() + PAUSE, tag);
        }
    }

    fn tell(&self, tag: Tag, record: &Record) -> bool {
        let told = self.hold.tell(tag, record.brought());
        if told {
            record.count();
        }
        told
    }

    /// Has a message that there is no room for come again.
    fn leave(&self, consumer: &Consumer, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), Offset::Offset(message.offset()));
        if let Err(error) = consumer.seek(&self.topic, partition, offset, Duration::ZERO) {
            tracing::debug!("{}/{partition} is somebody else's: {error}", self.topic);
        }
    }

    fn bring_what_is_due(&self) {
        let mut desk = self.desk();
        for tag in desk.waiting.take_due(Instant::now()) {
            let Some(record) = self.hold.peek(tag) else { continue };
            let line = record.line();
            // What is behind one that could not be told waits as well.
            if desk.waiting.has(&line) || !self.tell(tag, &record) {
                desk.waiting.put(line, record.offset, Instant::now() + PAUSE, tag);
            }
        }
    }

    /// Has the client read nothing, or go on. It answers at once: no broker is asked.
    fn pause(&self, consumer: &Consumer, pause: bool) {
        let mut desk = self.desk();
        if desk.paused == pause {
            return;
        }
        let ours = self.list(desk.marks.partitions());
        let done = if pause { consumer.pause(&ours) } else { consumer.resume(&ours) };
        match done {
            Ok(()) => desk.paused = pause,
            Err(error) => tracing::warn!("the client for Kafka does not pause: {error}"),
        }
    }

    async fn complain(&self, consumer: &Consumer, error: &KafkaError) {
        // One broker's connection, and it is made again. That all are gone is said, too.
        let passes = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::Resolve
            )
        );
        if !passes {
            let why = consumer.context().complaints.explain(error);
            self.hold.trouble(ChannelError::Away(why));
            sleep(PAUSE).await;
        }
    }

    /// Ends the hold on a message, and moves the mark where nothing before it is open. The client
    /// tells the mark to the cluster every now and then, and when a partition goes.
    pub(crate) fn settle(&self, consumer: &Consumer, tag: Tag) {
        let Some(record) = self.hold.settle(tag) else { return };
        let Record { partition, assignment, offset, .. } = *record;
        // As long as this is locked the partition is ours, or was not before.
        let mut desk = self.desk();
        let Some(mark) = desk.marks.settled(partition, assignment, offset) else { return };
        let mut list = TopicPartitionList::with_capacity(1);
        let told = list
            .add_partition_offset(&self.topic, partition, Offset::Offset(mark))
            .and_then(|()| consumer.store_offsets(&list));
        if let Err(error) = told {
            // The next mark says the same and more; without one it comes again.
            tracing::debug!("the mark of {}/{partition} is not kept: {error}", self.topic);
        }
    }

    /// Brings a message again after this time, and what comes of its saga meanwhile behind it.
    pub(crate) fn give_back(&self, tag: Tag, after: Duration) {
        let mut desk = self.desk();
        let Some((tag, record)) = self.hold.set_aside(tag) else { return };
        desk.waiting.put(record.line(), record.offset, Instant::now() + after, tag);
        drop(desk);
        self.changed.notify_one();
    }

    fn assigned(&self, list: &TopicPartitionList) {
        let mut desk = self.desk();
        for of in list.elements() {
            desk.marks.assigned(of.partition());
        }
    }

    /// Forgets what is held of partitions that are somebody else's now: they bring it again.
    fn revoked(&self, partitions: impl IntoIterator<Item = i32>) {
        let mut desk = self.desk();
        for partition in partitions {
            desk.marks.revoked(partition);
            desk.waiting.forget(partition);
            self.hold.lose_where(|record| record.partition == partition);
        }
    }

    fn list(&self, partitions: impl Iterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the client tells an intake.
pub(crate) struct Ear {
    pub(crate) intake: Arc<Intake>,
    complaints: Complaints,
}

impl Ear {
    pub(crate) fn of(intake: &Arc<Intake>) -> Self {
        Self { intake: Arc::clone(intake), complaints: Complaints::default() }
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

impl ConsumerContext for Ear {
    /// Before the client lets go of a partition, and tells the cluster its mark.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.intake.assigned(list),
            Rebalance::Revoke(list) => {
                self.intake.revoked(list.elements().iter().map(|of| of.partition()));
            }
            Rebalance::Error(error) => {
                tracing::warn!("all partitions of {} are given up: {error}", self.intake.topic);
                let all: Vec<i32> = self.intake.desk().marks.partitions().collect();
                self.intake.revoked(all);
            }
        }
    }

    fn post_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance
            && self.intake.desk().paused
            && let Err(error) = client.pause(list)
        {
            // Then what comes is left, and comes again.
            tracing::debug!("a new partition does not pause: {error}");
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // It is told again with the next mark; until then a crash brings more again.
            tracing::debug!("a mark of {} was not kept: {error}", self.intake.topic);
        }
    }
}
