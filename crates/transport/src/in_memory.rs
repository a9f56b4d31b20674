//! A broker in memory, with the same promises as one that is not: for tests of what stands at
//! either end of one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::channel::{Channel, ChannelError, End, Kind, Message, Received, Tag, UNSETTLED_MAX};

/// The broker: a queue of commands, a queue of replies, one of events for each listener, and all events
/// that were published. Cheap to clone.
#[derive(Clone, Default)]
pub struct InMemory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    numbers: u64,
    queues: BTreeMap<Line, Queue>,
    dead: Vec<(Line, (Bytes, String))>,
    events: Vec<Message>,
    is_away: bool,
}

/// Which queue: of what kind and, of events, whose.
type Line = (Kind, String);

/// The one that an end takes from.
fn line(end: &End) -> Line {
    let whose = match end {
        End::Engine | End::Service => "",
        End::Listener(listener) => listener.name(),
    };
    (end.takes(), whose.to_owned())
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Kept>,
    /// Given back, by when they may come again and a number of their own.
    later: BTreeMap<(Instant, u64), Kept>,
    /// Brought and not settled, with the end that holds each.
    held: BTreeMap<Tag, (u64, Kept)>,
}

/// A message as the broker keeps it.
#[derive(Clone)]
struct Kept {
    headers: Vec<(String, String)>,
    body: Bytes,
    deliveries: u32,
}

impl InMemory {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine's end: takes replies.
    pub fn engine(&self) -> Arc<dyn Channel> {
        self.end(&End::Engine)
    }

    /// A service's end: takes commands.
    pub fn service(&self) -> Arc<dyn Channel> {
        self.end(&End::Service)
    }

    /// A listener's end: takes all events that are published from the first time on that one of this
    /// name is asked for.
    pub fn listener(&self, name: &str) -> Arc<dyn Channel> {
        self.taking((Kind::Event, name.to_owned()))
    }

    /// Another copy of an end.
    pub fn end(&self, end: &End) -> Arc<dyn Channel> {
        self.taking(line(end))
    }

    fn taking(&self, takes: Line) -> Arc<dyn Channel> {
        let mut state = self.0.state();
        let number = state.number();
        state.queues.entry(takes.clone()).or_default();
        drop(state);
        let broker = Arc::clone(&self.0);
        Arc::new(Connection { broker, takes, number, closed: Mutex::new(false) })
    }

    /// Puts a message on a queue, an event on each listener's, with its headers as they come, whoever
    /// sent it.
    pub fn put(&self, kind: Kind, body: Bytes, headers: Vec<(String, String)>) {
        self.0.put(kind, headers, body);
    }

    /// What could not be taken, with the reasons.
    pub fn dead_letters(&self) -> Vec<(Bytes, String)> {
        self.0.state().dead.iter().map(|(_, letter)| letter.clone()).collect()
    }

    /// The same of what one end could not take.
    pub fn put_aside_by(&self, end: &End) -> Vec<(Bytes, String)> {
        let of = line(end);
        let state = self.0.state();
        let own = state.dead.iter().filter(|(whose, _)| *whose == of);
        own.map(|(_, letter)| letter.clone()).collect()
    }

    /// The events, in the order of their publishing.
    pub fn events(&self) -> Vec<Message> {
        self.0.state().events.clone()
    }

    /// Nothing is on a queue, and nothing is held.
    pub fn is_idle(&self) -> bool {
        let empty = |queue: &Queue| {
            queue.waiting.is_empty() && queue.later.is_empty() && queue.held.is_empty()
        };
        self.0.state().queues.values().all(empty)
    }

    /// Whether it can be used.
    pub fn set_away(&self, is_away: bool) {
        self.0.state().is_away = is_away;
        self.0.changed.notify_waiters();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, kind: Kind, headers: Vec<(String, String)>, body: Bytes) {
        let kept = Kept { headers, body, deliveries: 0 };
        let mut state = self.state();
        if kind != Kind::Event {
            state.queues.entry((kind, String::new())).or_default();
        }
        for (_, queue) in state.queues.iter_mut().filter(|((of, _), _)| *of == kind) {
            queue.waiting.push_back(kept.clone());
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The next message for an end; or when there may be one.
    fn take(&mut self, takes: &Line, end: u64) -> Result<Received, Option<Instant>> {
        let tag = Tag(self.number());
        let queue = self.queues.entry(takes.clone()).or_default();
        let now = Instant::now();
        while let Some(entry) = queue.later.first_entry().filter(|entry| entry.key().0 <= now) {
            queue.waiting.push_back(entry.remove());
        }
        if self.is_away || queue.held.values().filter(|(of, _)| *of == end).count() >= UNSETTLED_MAX
        {
            return Err(None);
        }
        let Some(mut kept) = queue.waiting.pop_front() else {
            return Err(queue.later.first_key_value().map(|((at, _), _)| *at));
        };
        kept.deliveries += 1;
        let received = Received {
            tag,
            body: kept.body.clone(),
            headers: kept.headers.clone(),
            deliveries: kept.deliveries,
        };
        queue.held.insert(tag, (end, kept));
        Ok(received)
    }
}

/// One end's.
struct Connection {
    broker: Arc<Inner>,
    takes: Line,
    number: u64,
    closed: Mutex<bool>,
}

impl Connection {
    /// Ends the hold on a message, if it is still this end's.
    fn settle(&self, tag: Tag, then: impl FnOnce(&mut State, Kept)) -> Result<(), ChannelError> {
        {
            let mut state = self.broker.state();
            if state.is_away {
                return Err(away());
            }
            let held = self.queue(&mut state).held.remove(&tag);
            if let Some((_, kept)) = held {
                then(&mut state, kept);
            }
        }
        self.broker.changed.notify_waiters();
        Ok(())
    }

    /// Leaves what it holds to others, in the order in which it came.
    fn leave(&self) {
        {
            let mut state = self.broker.state();
            let queue = self.queue(&mut state);
            let (own, others) = std::mem::take(&mut queue.held)
                .into_iter()
                .partition::<BTreeMap<_, _>, _>(|(_, (end, _))| *end == self.number);
            queue.held = others;
            for (_, (_, kept)) in own.into_iter().rev() {
                queue.waiting.push_front(kept);
            }
        }
        self.broker.changed.notify_waiters();
    }

    fn queue<'a>(&self, state: &'a mut State) -> &'a mut Queue {
        state.queues.entry(self.takes.clone()).or_default()
    }

    fn is_closed(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away() -> ChannelError {
    ChannelError::Away("it is away".to_owned())
}

impl Channel for Connection {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        async move {
            loop {
                let changed = self.broker.changed.notified();
                if *self.is_closed() {
                    return std::future::pending().await;
                }
                let next = self.broker.state().take(&self.takes, self.number);
                match next {
                    Ok(received) => return Ok(received),
                    Err(None) => changed.await,
                    Err(Some(at)) => tokio::select! {
                        () = changed => {}
                        () = sleep_until(at) => {}
                    },
                }
            }
        }
        .boxed()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        ready(self.settle(tag, |_, _| {})).boxed()
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        let settled = self.settle(tag, |state, kept| {
            let number = state.number();
            self.queue(state).later.insert((Instant::now() + after, number), kept);
        });
        ready(settled).boxed()
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        let settled = self.settle(tag, |state, kept| {
            state.dead.push((self.takes.clone(), (kept.body, reason.to_owned())));
        });
        ready(settled).boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        if self.broker.state().is_away {
            return ready(Err(away())).boxed();
        }
        if message.kind == Kind::Event {
            self.broker.state().events.push(message.clone());
        }
        let header = |(name, value): &(String, String)| {
            (amends_wire::envelope::header_name("ce-", name).into_owned(), value.clone())
        };
        let headers = message.attributes.iter().map(header).collect();
        self.broker.put(message.kind, headers, message.body.clone());
        ready(Ok(())).boxed()
    }

    fn is_there(&self) -> bool {
        !self.broker.state().is_away
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        *self.is_closed() = true;
        self.leave();
        ready(()).boxed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}
