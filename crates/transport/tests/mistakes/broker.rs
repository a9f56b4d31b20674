//! A broker in memory: commands are taken whoever is there, and answers come as replies by name, which
//! stay until they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amends_transport::conformance::{Capabilities, Participant, Said, Seen, Subject};
use amends_transport::{Closing, Delivery, Outgoing, Receipt, Replies, Transport};
use amends_wire::{Direction, Fault, Outcome, Reply, ReplyKind, envelope};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::Mistake;

/// See the module.
pub struct ByMessage(pub Option<Mistake>);

impl Subject for ByMessage {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: false,
            tells_not_sent: false,
            sees_crashes: false,
            carries_retry_after: false,
        }
    }

    fn start(&self, participant: Participant, _: usize) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(std::future::ready(Arc::new(Broker {
            participant,
            mistake: self.0,
            runtime: Handle::current(),
            under_way: TaskTracker::new(),
            closed: AtomicBool::new(false),
        }) as Arc<dyn Transport>))
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        self.start(Arc::new(|_| Box::pin(std::future::pending())), 0)
    }
}

struct Broker {
    participant: Participant,
    mistake: Option<Mistake>,
    runtime: Handle,
    under_way: TaskTracker,
    closed: AtomicBool,
}

impl Transport for Broker {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        if self.closed.load(Ordering::Acquire) {
            return replies.end(outgoing.ticket, Outcome::not_sent("the transport is closed"));
        }
        let said = (self.participant)(Seen {
            body: outgoing.body.clone(),
            attempt: outgoing.ticket.attempt,
            deadline: envelope::rfc3339(outgoing.deadline_unix_ms),
            reply_to: outgoing.reply_to.clone(),
            traceparent: outgoing.traceparent.clone(),
        });
        let mistake = self.mistake;
        let bring = async move { bring(mistake, &outgoing, said.await, &replies).await };
        self.under_way.spawn_on(bring, &self.runtime);
    }

    fn close(&self, grace: Duration) -> Closing {
        self.closed.store(true, Ordering::Release);
        self.under_way.close();
        let under_way = self.under_way.clone();
        Box::pin(async move {
            // What is not answered by then stays with the broker.
            let _ = tokio::time::timeout(grace, under_way.wait()).await;
        })
    }
}

/// Brings a reply until it is durable.
async fn bring(mistake: Option<Mistake>, outgoing: &Outgoing, said: Said, replies: &Replies) {
    let makes = |this| mistake == Some(this);
    loop {
        let (receipt, received) = oneshot::channel();
        let asks = !makes(Mistake::WantsNoReceipt);
        let from = Some(Arc::clone(&outgoing.service)).filter(|_| !makes(Mistake::HidesTheSender));
        let reply = Box::new(reply(outgoing, &said));
        replies.deliver(Delivery::Replied { reply, from, receipt: asks.then_some(receipt) });
        if makes(Mistake::AcknowledgesBeforeHandingOver) || !asks {
            return;
        }
        let durable = received.await == Ok(Receipt::Durable);
        if durable && !makes(Mistake::BringsForEver) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn reply(outgoing: &Outgoing, said: &Said) -> Reply {
    let undo = outgoing.ticket.direction == Direction::Compensation;
    let fails = matches!(said, Said::Refused { .. } | Said::Transient { .. });
    let kind = match (undo, fails) {
        (false, false) => ReplyKind::StepCompleted,
        (false, true) => ReplyKind::StepFailed,
        (true, false) => ReplyKind::CompensationCompleted,
        (true, true) => ReplyKind::CompensationFailed,
    };
    let (mut result, mut undone, mut error, mut retryable) = (None, None, None, None);
    match said {
        Said::Completed(said) => result = said.clone(),
        Said::Undone(said) => undone = Some(*said),
        Said::Refused { code, message } => error = Some(Fault::coded(code, message)),
        Said::Transient { code, message, .. } => {
            error = Some(Fault::coded(code, message));
            retryable = Some(true);
        }
        Said::Accepted | Said::Crash => {}
    }
    Reply {
        kind,
        saga_id: Some(outgoing.saga_id()),
        step_name: Some(outgoing.step_name.to_string()),
        result,
        error,
        retryable,
        undone,
        attempt: Some(outgoing.ticket.attempt),
        round: Some(outgoing.ticket.round),
    }
}
