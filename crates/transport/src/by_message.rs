//! Commands by message: published to a broker, answered by replies that come by themselves.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_wire::envelope::{self, Sending};
use amends_wire::{Outcome, Reply, hide_in};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::channel::{Channel, ChannelError, Kind, Message, Received};
use crate::contract::{Closing, Delivery, Outgoing, Receipt, Replies, Transport};

/// How long a broker may take to confirm a command. An engine's own time-out is the answer's, and
/// may be days.
pub const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);

/// After the broker could not be read from, and before a reply that could not be made durable
/// comes again: the cause (a disk, a shard at its limit) does not go at once.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause, for a reply that came and could not be taken again and again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The commands of services that share a channel, and their replies. Cheap to clone.
#[derive(Clone)]
pub struct ByMessage(Arc<Inner>);

struct Inner {
    channel: Arc<dyn Channel>,
    service: Arc<str>,
    /// What is looked for in what a service says of a failure, and hidden (S24).
    hidden: Vec<String>,
    runtime: Handle,
    /// What is being published, and replies whose receipt is out.
    under_way: TaskTracker,
    closed: AtomicBool,
    /// Tells the reader of replies to stop.
    stop: watch::Sender<bool>,
    reader: Mutex<Option<Replies>>,
}

impl ByMessage {
    /// The commands of `service` over its channel; work is done on `runtime`.
    pub fn new(channel: Arc<dyn Channel>, service: &str, runtime: Handle) -> Self {
        Self::hiding(channel, service, runtime, Vec::new())
    }

    /// The same of a service that knows secrets: one that it quotes in a failure is hidden (S24). A
    /// result is data, and left as it is.
    pub fn hiding(
        channel: Arc<dyn Channel>,
        service: &str,
        runtime: Handle,
        hidden: Vec<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            channel,
            service: service.into(),
            hidden,
            runtime,
            under_way: TaskTracker::new(),
            closed: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            reader: Mutex::new(None),
        }))
    }
}

impl Transport for ByMessage {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        if self.0.closed.load(Ordering::Acquire) {
            let why = "the way to the broker is closed; it is sent again after a restart";
            return replies.end(outgoing.ticket, Outcome::not_sent(why));
        }
        let channel = Arc::clone(&self.0.channel);
        let publishing = async move {
            let message = message(&outgoing);
            let published = timeout(CONFIRMED_WITHIN, channel.publish(&message)).await;
            // Confirmed: the answer is a message of its own.
            if let Some(outcome) = unpublished(published) {
                replies.end(outgoing.ticket, outcome);
            }
        };
        self.0.under_way.spawn_on(publishing, &self.0.runtime);
    }

    fn listen(&self, replies: Replies) {
        let mut reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.replace(replies.clone()).is_none() {
            let inner = Arc::clone(&self.0);
            self.0.runtime.spawn(async move { inner.read(replies).await });
        }
    }

    fn close(&self, grace: Duration) -> Closing {
        self.0.closed.store(true, Ordering::Release);
        self.0.stop.send_replace(true);
        self.0.under_way.close();
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // What is not confirmed or durable by then stays with the broker, or is sent again.
            let _ = timeout(grace, inner.under_way.wait()).await;
            let _ = timeout(CONFIRMED_WITHIN, inner.channel.close()).await;
        })
    }
}

impl Inner {
    /// Hands replies over as they come. How many wait for their receipts is the channel's limit.
    async fn read(self: Arc<Self>, replies: Replies) {
        let mut stop = self.stop.subscribe();
        loop {
            let received = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                received = self.channel.receive() => received,
            };
            match received {
                Ok(received) => {
                    let (inner, replies) = (Arc::clone(&self), replies.clone());
                    self.under_way.spawn(async move { inner.take(received, &replies).await });
                }
                Err(error) => {
                    tracing::error!(
                        service = &*self.service,
                        "no reply can be received; it is tried again: {error}"
                    );
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Hands one over, and settles it by its receipt.
    async fn take(&self, received: Received, replies: &Replies) {
        let Received { tag, deliveries, .. } = received;
        let handed_over = self.hand_over(&received, replies).await;
        let settling = async {
            match handed_over {
                Ok(Receipt::Durable) => self.channel.acknowledge(tag).await,
                Ok(Receipt::NoSuchSaga) => {
                    self.bury(&received, "no such saga was started here").await
                }
                Ok(Receipt::ForeignService) => {
                    let why = format!("the step that it answers is not one of {}", self.service);
                    self.bury(&received, &why).await
                }
                Err(Untaken::NotDurable) => self.channel.give_back(tag, pause(deliveries)).await,
                Err(Untaken::NoReply(why)) => self.bury(&received, &why).await,
            }
        };
        let why = match timeout(CONFIRMED_WITHIN, settling).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the broker said nothing in {} s", CONFIRMED_WITHIN.as_secs()),
        };
        // It comes again, and is a duplicate then. Held on to, it would take up room for ever.
        tracing::warn!(service = &*self.service, "a reply could not be settled: {why}");
        let given_back = self.channel.give_back(tag, pause(deliveries));
        let _ = timeout(CONFIRMED_WITHIN, given_back).await;
    }

    async fn hand_over(&self, received: &Received, replies: &Replies) -> Result<Receipt, Untaken> {
        let mut reply = Reply::parse(received, &received.body)
            .map_err(|error| Untaken::NoReply(error.to_string()))?;
        if let Some(error) = &mut reply.error {
            error.conceal(|text| self.hidden.iter().for_each(|secret| hide_in(text, secret)));
        }
        let (receipt, told) = oneshot::channel();
        replies.deliver(Delivery::Replied {
            reply: Box::new(reply),
            from: Some(Arc::clone(&self.service)),
            receipt: Some(receipt),
        });
        told.await.map_err(|_| Untaken::NotDurable)
    }

    /// To the dead letters, where it can be looked at.
    async fn bury(&self, received: &Received, why: &str) -> Result<(), ChannelError> {
        tracing::warn!(service = &*self.service, "a reply goes to the dead letters: {why}");
        self.channel.dead_letter(received.tag, why).await
    }
}

/// Why a reply was not taken.
enum Untaken {
    /// It may be, next time.
    NotDurable,
    /// It never will be.
    NoReply(String),
}

fn pause(deliveries: u32) -> Duration {
    PAUSE.saturating_mul(1 << deliveries.saturating_sub(1).min(8)).min(PAUSE_MAX)
}

/// What it comes to that a command was not published; none where it was.
fn unpublished(
    published: Result<Result<(), ChannelError>, tokio::time::error::Elapsed>,
) -> Option<Outcome> {
    match published {
        Ok(Ok(())) => None,
        Ok(Err(error @ (ChannelError::Away(_) | ChannelError::Refused(_)))) => {
            Some(Outcome::not_sent(error.to_string()))
        }
        Ok(Err(error @ ChannelError::Unknown(_))) => Some(Outcome::unknown(error.to_string())),
        Err(_) => Some(Outcome::unknown(format!(
            "the broker confirmed nothing in {} s",
            CONFIRMED_WITHIN.as_secs()
        ))),
    }
}

fn message(outgoing: &Outgoing) -> Message {
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
    let mut attributes: Vec<_> =
        sending.attributes().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
    attributes.push((envelope::DATACONTENTTYPE.to_owned(), "application/json".to_owned()));
    if let Some(reply_to) = &outgoing.reply_to {
        attributes.push((envelope::AMENDS_REPLY_TO.to_owned(), reply_to.clone()));
    }
    let id = amends_wire::SendingId { command: command.clone(), attempt: outgoing.ticket.attempt };
    Message {
        id: id.to_string(),
        saga_id: outgoing.saga_id().to_string(),
        kind: Kind::Command,
        name: outgoing.command.to_string(),
        attributes,
        body: outgoing.body.clone(),
    }
}

impl fmt::Debug for ByMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByMessage").field("service", &self.0.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_memory::InMemory;
    use tokio::sync::mpsc;

    /// Before anything else hears it.
    #[tokio::test]
    async fn a_secret_that_a_failure_quotes_is_hidden() {
        let broker = InMemory::new();
        let hidden = vec!["s3cr3t-of-the-desk".to_owned()];
        let transport = ByMessage::hiding(broker.engine(), "Desk", Handle::current(), hidden);
        let (heard, mut hears) = mpsc::unbounded_channel();
        transport.listen(Replies::new(move |delivery| {
            let _ = heard.send(delivery);
        }));
        let reply = r#"{"type": "SagaStepFailed", "step_name": "write",
            "saga_id": "0192f0c1-2345-7abc-8def-0123456789ab",
            "error": {"code": "NO", "message": "signed with s3cr3t-of-the-desk"}}"#;
        broker.put(Kind::Reply, reply.into(), Vec::new());
        let Some(Delivery::Replied { reply, .. }) = hears.recv().await else {
            panic!("a reply comes by name");
        };
        let shown = format!("{:?}", reply.error);
        assert!(shown.contains("signed with") && !shown.contains("s3cr3t"), "{shown}");
    }
}
