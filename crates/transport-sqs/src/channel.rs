//! One end of a place: its messages are asked for as there is room, hidden from others for as long as
//! they are held, and settled one by one.

mod held;
mod outlets;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_transport::{
    Channel, ChannelError, End, Hold, Message, Received, Room, Tag, Topology, next_readable,
};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{self, MessageSystemAttributeName};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::batches::{Batches, Deleting, Hiding, seconds};
use crate::letter;
use crate::place::{ConnectError, Place};
use crate::queue::Queue;
use crate::server::{ANSWERED_WITHIN, Server, answered_within};
use crate::topology::{Found, Taken, prepare};
use crate::words::meaning;
use held::Held;
use outlets::{Outlet, Outlets};

/// How many messages SQS brings at once.
const BROUGHT_MAX: usize = 10;

/// How many questions for messages are open at once while there are more than one brings: what an end
/// may hold, in three round trips. Where nothing comes one is open, since each is paid for.
const ASKING_MAX: usize = 8;

/// How long one of several is kept open: longer than no time at all, so that the service looks
/// everywhere.
const ASKED_ASIDE_FOR: Duration = Duration::from_secs(1);

/// After the service could not be asked; twice as long after each other time.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two tries: what waits at the service should not wait for us.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long the service may take to hear what an end leaves to others. What it does not hear comes to
/// them all the same when its time is over.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// One end of a place.
pub struct SqsChannel {
    inner: Arc<Inner>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Inner {
    client: Client,
    server: Server,
    place: Place,
    hold: Hold<Arc<Held>>,
    /// None where nothing is taken.
    open: Option<Arc<Open>>,
    outlets: Outlets,
}

/// The way in.
struct Open {
    queue: Queue,
    deleting: Batches<Deleting>,
    hiding: Batches<Hiding>,
    dead_letters: Outlet,
}

impl Open {
    fn of(client: &Client, Taken { queue, dead_letters }: Taken) -> Self {
        let url = queue.url.clone();
        Self {
            queue,
            deleting: Batches::of(Deleting { client: client.clone(), url: url.clone() }),
            hiding: Batches::of(Hiding { client: client.clone(), url }),
            dead_letters: Outlet::to(client, dead_letters),
        }
    }
}

/// Connects to a place, and says what was found or, with `create`, made there.
///
/// # Errors
///
/// The service cannot be reached, or something is missing that was not to be made.
pub async fn connect(
    server: &Server,
    place: Place,
    end: End,
    create: bool,
) -> Result<(SqsChannel, Topology), ConnectError> {
    let place = place.heard_at(&end);
    place.checked()?;
    let client = server.client().await?;
    let (found, topology) = prepare(&client, server, &place, &end, create).await?;
    let Found { ways, taken, events } = found;
    let open = taken.map(|taken| Arc::new(Open::of(&client, taken)));
    let inner = Arc::new(Inner {
        open: open.clone(),
        outlets: Outlets::to(&client, ways, events),
        client,
        server: server.clone(),
        place,
        hold: Hold::new(),
    });
    let mut tasks = Vec::new();
    if let Some(open) = open {
        tasks.push(tokio::spawn(take(Arc::clone(&inner), Arc::clone(&open))));
        tasks.push(tokio::spawn(hide(Arc::clone(&inner), open)));
    }
    Ok((SqsChannel { inner, tasks: Mutex::new(tasks) }, topology))
}

/// Brings what the service has, as there is room. Where this is ended a question that is open is hung
/// up: what the service might still answer stays hidden until its time is over.
async fn take(inner: Arc<Inner>, open: Arc<Open>) {
    let (mut asking, mut pause) = (1, PAUSE);
    loop {
        let mut room = inner.hold.room(asking * BROUGHT_MAX, open.queue.bytes_max).await;
        match inner.bring(&open.queue, &mut room, asking).await {
            Ok(full) => {
                // Order is kept by one question after the other.
                let more = if open.queue.is_fifo { 1 } else { asking * 2 };
                asking = if full { more.min(ASKING_MAX) } else { 1 };
                pause = PAUSE;
            }
            Err(error) => {
                drop(room);
                inner.hold.trouble(error);
                sleep(pause).await;
                (asking, pause) = (1, (pause * 2).min(PAUSE_MAX));
            }
        }
    }
}

/// Has the service hide what is held from others for as long again.
async fn hide(inner: Arc<Inner>, open: Arc<Open>) {
    let held_for = inner.server.held_for;
    let mut tick = interval(held_for / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let due = inner.hold.held().into_iter().filter(|held| held.is_due(held_for));
        let hiding = due.map(|held| {
            let open = &open;
            async move {
                let until = Instant::now() + held_for;
                // Not hidden it is brought to another copy, whose guard knows it.
                match open.hiding.ask((held.receipt(), held_for)).await {
                    Ok(()) => held.is_hidden_until(until),
                    Err(error) => tracing::debug!("a message that is held may come again: {error}"),
                }
            }
        });
        join_all(hiding).await;
    }
}

impl Inner {
    /// Asks for messages, this often side by side; whether each brought as many as it could.
    async fn bring(
        &self,
        queue: &Queue,
        room: &mut Room<'_>,
        asking: usize,
    ) -> Result<bool, ChannelError> {
        let mut left = room.left();
        let mut questions = FuturesUnordered::new();
        while left > 0 && questions.len() < asking {
            let most = left.min(BROUGHT_MAX);
            left -= most;
            questions.push(self.ask(queue, most, asking > 1));
        }
        let (mut full, mut trouble) = (true, None);
        while let Some(answer) = questions.next().await {
            match answer {
                Ok((messages, until)) => {
                    full &= messages.len() == BROUGHT_MAX;
                    for message in messages {
                        self.hold(room, message, until);
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(full), Err)
    }

    async fn ask(
        &self,
        queue: &Queue,
        most: usize,
        aside: bool,
    ) -> Result<(Vec<types::Message>, Instant), ChannelError> {
        let asked_for = self.server.asked_for;
        let asked_for = if aside { ASKED_ASIDE_FOR.min(asked_for) } else { asked_for };
        let patience = answered_within(asked_for + ANSWERED_WITHIN);
        let question = self
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(i32::MAX))
            .visibility_timeout(seconds(self.server.held_for))
            .wait_time_seconds(seconds(asked_for))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .customize()
            .config_override(Builder::default().timeout_config(patience));
        let answer = question.send().await.map_err(|error| match meaning(&error) {
            ChannelError::Unknown(why) | ChannelError::Refused(why) => ChannelError::Away(why),
            away @ ChannelError::Away(_) => away,
        })?;
        Ok((answer.messages.unwrap_or_default(), Instant::now() + self.server.held_for))
    }

    /// Holds a message. One that is held already was not hidden in time: it is at work here, and
    /// settled by its new receipt.
    fn hold(&self, room: &mut Room<'_>, message: types::Message, until: Instant) {
        let same = |held: &Arc<Held>| held.is_same(&message);
        if let Some(held) = self.hold.held().into_iter().find(same) {
            return held.is_brought_again(&message, until);
        }
        let brought = letter::incoming(&message);
        let held = Arc::new(Held::new(message, until));
        // Where this end has left, or has told its reader too much, it comes when its time is over.
        self.hold.bring(room, held, brought);
    }

    async fn put_aside(&self, tag: Tag, reason: &str) -> Result<(), ChannelError> {
        let (Some(held), Some(open)) = (self.hold.peek(tag), &self.open) else { return Ok(()) };
        let outlet = &open.dead_letters;
        let letter = letter::put_aside(held.message(), reason, outlet.bytes_max);
        if !letter.headers.contains_key(letter::REASON) {
            tracing::warn!("a dead letter has no room for its reason: {reason}");
        }
        outlet.send(letter).await?;
        self.acknowledge(tag).await
    }

    async fn acknowledge(&self, tag: Tag) -> Result<(), ChannelError> {
        let (Some(held), Some(open)) = (self.hold.settle(tag), &self.open) else { return Ok(()) };
        open.deleting.ask(held.receipt()).await
    }

    async fn give_back(&self, tag: Tag, after: Duration) -> Result<(), ChannelError> {
        let (Some(held), Some(open)) = (self.hold.settle(tag), &self.open) else { return Ok(()) };
        open.hiding.ask((held.receipt(), held.hidden_at_most(after))).await
    }
}

impl Channel for SqsChannel {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(next_readable(self, &self.inner.hold))
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(self.inner.acknowledge(tag))
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(self.inner.give_back(tag, after))
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.inner.put_aside(tag, reason))
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(self.inner.outlets.publish(message))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Before anything is given back, so that no question is open that would bring it here.
            for task in self.stopped() {
                let _ = task.await; // it was told to end
            }
            let held = self.inner.hold.end();
            let Some(open) = &self.inner.open else { return };
            let leaving = held.iter().map(|held| open.hiding.ask((held.receipt(), Duration::ZERO)));
            let _ = timeout(CLOSED_WITHIN, join_all(leaving)).await;
        })
    }
}

impl SqsChannel {
    /// Tells the tasks to end.
    fn stopped(&self) -> Vec<JoinHandle<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
        std::mem::take(&mut tasks)
    }
}

impl Drop for SqsChannel {
    fn drop(&mut self) {
        self.stopped();
    }
}

impl std::fmt::Debug for SqsChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsChannel").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
