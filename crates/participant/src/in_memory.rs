//! A broker in memory, with an engine at one end and a service at the other: for tests of both.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_transport::{Closing, Delivery, Outgoing, Receipt, Replies, Transport};
use amends_wire::envelope::Sending;
use amends_wire::{Outcome, Reply, SagaId};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::channel::{Channel, ChannelError, Received, Tag};
use crate::message::{Kind, Message};

/// Between two tries to bring a reply that the engine has not made durable yet.
const REPLY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The broker: commands of one service on a queue, its replies and events on the way out. Cheap
/// to clone. It is a [`Channel`] for the service and a [`Transport`] for the engine.
#[derive(Clone)]
pub struct InMemory(Arc<Inner>);

struct Inner {
    service: Arc<str>,
    state: Mutex<State>,
    arrived: Notify,
    settled: Notify,
}

#[derive(Default)]
struct State {
    next_tag: u64,
    queue: VecDeque<Received>,
    at_work: HashMap<Tag, Received>,
    /// Where each saga's replies go: a shard of the engine takes those of its own sagas.
    sinks: HashMap<SagaId, Replies>,
    /// Where the replies of a saga go that no engine has sent a command of.
    replies: Option<Replies>,
    /// Replies that the engine has not made durable yet.
    replying: usize,
    dead: Vec<(Bytes, String)>,
    events: Vec<Message>,
    is_closed: bool,
    is_away: bool,
}

impl InMemory {
    /// With no command on the queue of `service`.
    pub fn new(service: &str) -> Self {
        Self(Arc::new(Inner {
            service: service.into(),
            state: Mutex::default(),
            arrived: Notify::new(),
            settled: Notify::new(),
        }))
    }

    /// Puts a command on the queue, as if an engine had sent it.
    pub fn put(&self, body: Bytes, attributes: Vec<(String, String)>) {
        let mut state = self.0.state();
        state.next_tag += 1;
        let tag = Tag(state.next_tag);
        state.queue.push_back(Received { tag, body, attributes });
        drop(state);
        self.0.arrived.notify_one();
    }

    /// Where replies go to commands that no engine has sent.
    pub fn replies_to(&self, replies: Replies) {
        self.0.state().replies = Some(replies);
    }

    /// What could not be carried out, with the reasons.
    pub fn dead_letters(&self) -> Vec<(Bytes, String)> {
        self.0.state().dead.clone()
    }

    /// The events, in the order of their publishing.
    pub fn events(&self) -> Vec<Message> {
        self.0.state().events.clone()
    }

    /// Nothing is on the queue or at work.
    pub fn is_idle(&self) -> bool {
        let state = self.0.state();
        state.queue.is_empty() && state.at_work.is_empty() && state.replying == 0
    }

    /// Whether it confirms what is published.
    pub fn set_away(&self, is_away: bool) {
        self.0.state().is_away = is_away;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Received> {
        let mut state = self.state();
        let received = state.queue.pop_front()?;
        state.at_work.insert(received.tag, received.clone());
        if !state.queue.is_empty() {
            self.arrived.notify_one();
        }
        Some(received)
    }

    /// Brings a reply until the engine has it on disk: only then is it confirmed.
    async fn reply(&self, message: &Message) -> Result<(), ChannelError> {
        let body = Bytes::from(message.body.clone());
        let attributes: Vec<_> = message
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        loop {
            let reply = Reply::parse(&attributes[..], &body)
                .map_err(|e| ChannelError(format!("a reply that is none: {e}")))?;
            let sink = {
                let state = self.state();
                let own = reply.saga_id.and_then(|saga| state.sinks.get(&saga));
                own.or(state.replies.as_ref()).cloned()
            };
            let Some(replies) = sink else {
                return Err(ChannelError("nobody listens to replies".to_owned()));
            };
            let (receipt, told) = oneshot::channel();
            let from = Some(Arc::clone(&self.service));
            replies.deliver(Delivery::Replied {
                reply: Box::new(reply),
                from,
                receipt: Some(receipt),
            });
            match told.await {
                Ok(Receipt::Durable | Receipt::NoSuchSaga | Receipt::ForeignService) => {
                    return Ok(());
                }
                Err(_) => tokio::time::sleep(REPLY_AGAIN_AFTER).await,
            }
        }
    }

    async fn settle(&self) {
        loop {
            let settled = self.settled.notified();
            let idle = {
                let state = self.state();
                state.queue.is_empty() && state.at_work.is_empty() && state.replying == 0
            };
            if idle {
                return;
            }
            settled.await;
        }
    }
}

impl Channel for InMemory {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        async move {
            loop {
                let arrived = self.0.arrived.notified();
                match self.0.take() {
                    Some(received) => return Ok(received),
                    None => arrived.await,
                }
            }
        }
        .boxed()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.0.state().at_work.remove(&tag);
        self.0.settled.notify_waiters();
        std::future::ready(Ok(())).boxed()
    }

    fn give_back(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        let mut state = self.0.state();
        let again = state.at_work.remove(&tag);
        state.queue.extend(again);
        drop(state);
        self.0.arrived.notify_one();
        std::future::ready(Ok(())).boxed()
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        let mut state = self.0.state();
        if let Some(dead) = state.at_work.remove(&tag) {
            state.dead.push((dead.body, reason.to_owned()));
        }
        drop(state);
        self.0.settled.notify_waiters();
        std::future::ready(Ok(())).boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        async move {
            if self.0.state().is_away {
                return Err(ChannelError("it is away".to_owned()));
            }
            match message.kind {
                Kind::Event => {
                    self.0.state().events.push(message.clone());
                    Ok(())
                }
                Kind::Reply => {
                    self.0.state().replying += 1;
                    let replied = self.0.reply(message).await;
                    self.0.state().replying -= 1;
                    self.0.settled.notify_waiters();
                    replied
                }
            }
        }
        .boxed()
    }
}

impl Transport for InMemory {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let is_closed = {
            let mut state = self.0.state();
            state.sinks.insert(outgoing.saga_id(), replies.clone());
            state.is_closed
        };
        if is_closed {
            let why = "the broker is closed; it is sent again after a restart";
            return replies.end(outgoing.ticket, Outcome::not_sent(why));
        }
        let command = outgoing.command_id();
        let sending = Sending {
            command: &command,
            command_name: &outgoing.command,
            saga_type: &outgoing.saga_type,
            attempt: outgoing.ticket.attempt,
            deadline_unix_ms: outgoing.deadline_unix_ms,
            causation_id: outgoing.causation_id.as_deref(),
            traceparent: outgoing.traceparent.as_deref(),
        };
        let mut attributes: Vec<_> = sending
            .attributes()
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect();
        if let Some(reply_to) = outgoing.reply_to {
            attributes.push((amends_wire::envelope::AMENDS_REPLY_TO.to_owned(), reply_to));
        }
        self.put(outgoing.body, attributes);
    }

    fn close(&self, grace: Duration) -> Closing {
        self.0.state().is_closed = true;
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let _ = tokio::time::timeout(grace, inner.settle()).await;
        })
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("service", &self.0.service).finish_non_exhaustive()
    }
}
