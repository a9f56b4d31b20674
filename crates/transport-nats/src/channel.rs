//! One end of a place: its messages are pulled as there is room, said to be at work as long as they
//! are, and settled one by one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_transport::{
    Brought, Channel, ChannelError, End, Hold, Message, Received, Room, Tag, Topology,
    next_readable, without_login,
};
use amends_wire::envelope::{header_name, header_text, open};
use async_nats::connection::State;
use async_nats::jetstream::consumer::{Config, PullConsumer};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{self, AckKind};
use async_nats::{Client, Event, HeaderMap, HeaderValue};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::letter::{MESSAGE_ID, REASON, put_aside, value};
use crate::place::{ConnectError, Place, Server};
use crate::topology::prepare;
use crate::words::{Denied, Warned, not_published};

/// How many messages are asked for at once: enough to hide the way to the server and back.
const BATCH_MAX: usize = 64;

/// How long the server keeps such a request open when it has nothing.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// How much later it has said so, unless what was asked is not there any more: then it says nothing.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// After the server could not be asked; twice as long after each other time.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two tries: what waits at the server should not wait for us.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often the server is told at most that a message is at work: a consumer that would hear it more
/// often than this brings what is held again.
const AT_WORK_EVERY_MIN: Duration = Duration::from_millis(50);

/// One end of a place.
pub struct NatsChannel {
    inner: Arc<Inner>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Inner {
    client: Client,
    jetstream: jetstream::Context,
    server: Server,
    place: Place,
    end: End,
    /// Whether what is missing may be made.
    create: bool,
    /// When it was last looked for, because what was published went nowhere.
    looked: Mutex<Option<Instant>>,
    denied: Arc<Denied>,
    warned: Warned,
    hold: Hold<Arc<jetstream::Message>>,
    /// How often we were connected: a request of an earlier connection is not answered any more.
    connected: watch::Receiver<u64>,
}

/// Connects to a place, and says what was found or, with `create`, made there.
///
/// # Errors
///
/// The server cannot be reached, or something is missing that was not to be made.
pub async fn connect(
    server: &Server,
    place: Place,
    end: End,
    create: bool,
) -> Result<(NatsChannel, Topology), ConnectError> {
    let (times, connected) = watch::channel(0);
    let denied = Arc::new(Denied::default());
    let hearing = Arc::clone(&denied);
    let options = server.options().await?.event_callback(move |event| {
        let times = times.clone();
        hearing.hear(&event);
        async move {
            match event {
                Event::Connected => times.send_modify(|times| *times += 1),
                event => tracing::debug!("NATS: {event}"),
            }
        }
    });
    let client = options.connect(server.addresses()).await;
    let client = client.map_err(|error| ConnectError::Unreachable {
        url: without_login(&server.url),
        why: error.to_string(),
    })?;
    let jetstream = jetstream::new(client.clone());
    let (consumer, topology) = prepare(&jetstream, server, &place, &end, create).await?;
    let hold = Hold::new();
    let inner = Arc::new(Inner {
        client,
        jetstream,
        server: server.clone(),
        place,
        end,
        create,
        looked: Mutex::new(None),
        denied,
        warned: Warned::default(),
        hold,
        connected,
    });
    let mut tasks = Vec::new();
    if let Some(consumer) = consumer {
        let every = at_work_every(&consumer.cached_info().config);
        tasks.push(tokio::spawn(pull(Arc::clone(&inner), consumer)));
        tasks.push(tokio::spawn(say_at_work(Arc::clone(&inner), every)));
    }
    Ok((NatsChannel { inner, tasks: Mutex::new(tasks) }, topology))
}

/// Brings what the server has, as there is room. What was deleted meanwhile is made again where it may
/// be; what goes wrong is said once, until something else does.
async fn pull(inner: Arc<Inner>, mut consumer: PullConsumer) {
    let (mut pause, mut said) = (PAUSE, None);
    loop {
        let mut room = inner.hold.room(BATCH_MAX, inner.client.max_payload()).await;
        let Err(error) = pull_once(&inner, &consumer, &mut room).await else {
            (pause, said) = (PAUSE, None);
            continue;
        };
        drop(room);
        // What is being deleted is still there for a moment.
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let why = match inner.look_again().await {
            Some(Ok(found)) => {
                consumer = found.unwrap_or(consumer);
                error.to_string()
            }
            Some(Err(missing)) => missing.to_string(),
            None => error.to_string(),
        };
        if said.as_ref() != Some(&why) {
            inner.hold.trouble(ChannelError::Away(why.clone()));
            said = Some(why);
        }
    }
}

async fn pull_once(
    inner: &Inner,
    consumer: &PullConsumer,
    room: &mut Room<'_>,
) -> Result<(), async_nats::Error> {
    let mut connected = inner.connected.clone();
    connected.mark_unchanged();
    let silent_at = Instant::now() + ASKED_FOR + SILENT_AFTER;
    let asked = consumer.batch().max_messages(room.left()).expires(ASKED_FOR).messages();
    let mut batch = asked.await?;
    loop {
        let next = tokio::select! {
            // The server has forgotten the request.
            _ = connected.changed() => return Ok(()),
            next = batch.next() => next,
        };
        let Some(message) = next else {
            let is_silent = Instant::now() >= silent_at;
            return if is_silent { Err("the server does not answer".into()) } else { Ok(()) };
        };
        let message = message?;
        let deliveries = message.info().map_or(1, |info| info.delivered);
        let headers = message.headers.iter().flat_map(HeaderMap::iter).filter_map(header);
        let (headers, body) = open(headers, &message.payload);
        let deliveries = u32::try_from(deliveries).unwrap_or(1).max(1);
        let brought = Brought { headers, body, deliveries };
        let message = Arc::new(message);
        if !inner.hold.bring(room, Arc::clone(&message), brought) {
            message.ack_with(AckKind::Nak(None)).await?;
        }
    }
}

/// A header of the protocol's; what the server adds is its own business. One that stands twice says
/// nothing.
fn header(
    (name, values): (&async_nats::HeaderName, &Vec<HeaderValue>),
) -> Option<(String, String)> {
    let [value] = &values[..] else { return None };
    Some((name.to_string(), header_text(value.as_str()).into_owned()))
}

/// Three times while the server waits for it: as the consumer has it, whoever made that, and not as
/// we would make one.
fn at_work_every(consumer: &Config) -> Duration {
    let shortest = consumer.backoff.iter().fold(consumer.ack_wait, |least, wait| least.min(*wait));
    (shortest / 3).max(AT_WORK_EVERY_MIN)
}

/// Tells the server that what is held is still at work.
async fn say_at_work(inner: Arc<Inner>, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for message in inner.hold.held() {
            // Unsaid, it is brought to another copy, whose guard knows it.
            let _ = message.ack_with(AckKind::Progress).await;
        }
    }
}

impl Inner {
    async fn publish(&self, message: &Message) -> Result<(), ChannelError> {
        let Some(subject) = self.place.subject(message.kind, &message.name) else {
            return Err(ChannelError::nowhere(message.kind));
        };
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, value(&message.id));
        for (name, text) in &message.attributes {
            headers.insert(&*header_name("ce-", name), value(text));
        }
        self.confirmed(subject, headers, message.body.clone()).await
    }

    async fn confirmed(
        &self,
        subject: String,
        headers: HeaderMap,
        body: bytes::Bytes,
    ) -> Result<(), ChannelError> {
        let told = self.asked_to_keep(&subject, headers, body).await;
        self.warned.hear(&subject, &told);
        told
    }

    async fn asked_to_keep(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: bytes::Bytes,
    ) -> Result<(), ChannelError> {
        // It would wait in our memory for the next connection.
        if self.client.connection_state() != State::Connected {
            return Err(ChannelError::Away("not connected to NATS".to_owned()));
        }
        self.denied.forget(subject);
        let confirmed = async {
            self.jetstream.publish_with_headers(subject.to_owned(), headers, body).await?.await
        };
        let error = tokio::select! {
            confirmed = confirmed => match confirmed {
                Ok(_) => return Ok(()),
                Err(error) => error,
            },
            refused = self.denied.of(subject) => return Err(refused),
        };
        if error.kind() == PublishErrorKind::StreamNotFound && self.is_time_to_look() {
            let _ = self.look_again().await; // whoever publishes tries again
        }
        Err(not_published(&error))
    }

    fn is_time_to_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked.is_none_or(|looked| looked.elapsed() >= PAUSE_MAX);
        if is_time {
            *looked = Some(Instant::now());
        }
        is_time
    }

    /// What there is of the place now, where the server is there; what was deleted is made again where
    /// it may be.
    async fn look_again(&self) -> Option<Result<Option<PullConsumer>, ConnectError>> {
        if self.client.connection_state() != State::Connected {
            return None;
        }
        let Self { jetstream, server, place, end, create, .. } = self;
        let found = prepare(jetstream, server, place, end, *create).await;
        Some(found.map(|(consumer, topology)| {
            for made in &topology.created {
                tracing::warn!("{made} of NATS was deleted, and is made again without what it had");
            }
            consumer
        }))
    }

    async fn settle(&self, tag: Tag, how: AckKind) -> Result<(), ChannelError> {
        let Some(message) = self.hold.settle(tag) else { return Ok(()) };
        message.ack_with(how).await.map_err(|error| ChannelError::Away(error.to_string()))
    }
}

impl Channel for NatsChannel {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(next_readable(self, &self.inner.hold))
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(self.inner.settle(tag, AckKind::Ack))
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(self.inner.settle(tag, AckKind::Nak(Some(after))))
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let Some(subject) = self.inner.place.dead_letters(&self.inner.end) else {
                return Ok(());
            };
            let Some(message) = self.inner.hold.peek(tag) else { return Ok(()) };
            let room = self.inner.client.max_payload().saturating_sub(message.payload.len());
            let came = message.headers.clone().unwrap_or_default();
            let headers = put_aside(&came, reason, room);
            if headers.get(REASON).is_none() {
                tracing::warn!("a dead letter has no room for its reason: {reason}");
            }
            self.inner.confirmed(subject, headers, message.payload.clone()).await?;
            self.inner.settle(tag, AckKind::Term).await
        })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.inner.publish(message))
    }

    fn is_there(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Before anything is given back: the server would bring it to the request that is open.
            for task in self.stopped() {
                let _ = task.await; // it was told to end
            }
            let _ = self.inner.client.flush().await;
            for message in self.inner.hold.end() {
                let _ = message.ack_with(AckKind::Nak(None)).await; // it comes later then
            }
            let _ = self.inner.client.flush().await;
        })
    }
}

impl NatsChannel {
    /// Tells the tasks to end.
    fn stopped(&self) -> Vec<JoinHandle<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
        std::mem::take(&mut tasks)
    }
}

impl Drop for NatsChannel {
    fn drop(&mut self) {
        self.stopped();
    }
}

impl std::fmt::Debug for NatsChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsChannel").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
