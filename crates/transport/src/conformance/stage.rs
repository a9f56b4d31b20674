//! What the cases have in common: sendings to make, participants to script, endings to await.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_wire::{ActionOutcome, CommandBody, Direction, FailureCodes, Outcome, SagaId, Undo};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::{Participant, SERVICE, Said, Seen, Subject};
use crate::contract::{Delivery, Outgoing, Patience, Receipt, Replies, Ticket, Transport};

/// A case that takes longer has lost an ending: it fails instead of hanging.
const CASE_SECS_MAX: u64 = 60;

/// A time-out that no case outlives.
pub const LONG: Duration = Duration::from_secs(3600);

/// A time-out that passes at once.
pub const SHORT: Duration = Duration::from_millis(1);

/// A transport with the suite at both of its ends.
pub struct Stage {
    pub transport: Arc<dyn Transport>,
    replies: Replies,
    arrived: mpsc::UnboundedReceiver<Delivery>,
}

impl Stage {
    pub async fn new(subject: &dyn Subject, participant: Participant) -> Self {
        Self::limited(subject, participant, crate::KEPT_OPEN_MAX).await
    }

    pub async fn limited(subject: &dyn Subject, participant: Participant, max: usize) -> Self {
        Self::over(subject.start(participant, max).await)
    }

    pub fn over(transport: Arc<dyn Transport>) -> Self {
        let (sink, arrived) = mpsc::unbounded_channel();
        let replies = Replies::new(move |delivery| {
            let _ = sink.send(delivery);
        });
        transport.listen(replies.clone());
        Self { transport, replies, arrived }
    }

    pub fn send(&self, outgoing: Outgoing) {
        self.transport.send(outgoing, self.replies.clone());
    }

    /// The next delivery, as it comes.
    pub async fn delivered(&mut self) -> Delivery {
        within(self.arrived.recv()).await.expect("the sink is open")
    }

    /// Where deliveries go.
    pub fn replies(&self) -> Replies {
        self.replies.clone()
    }

    /// The next ending: which saga's, and what it came to.
    pub async fn ended(&mut self) -> (u128, Outcome) {
        read(self.delivered().await)
    }

    /// Sends and awaits the one ending.
    pub async fn exchange(&mut self, outgoing: Outgoing) -> Outcome {
        let saga = outgoing.ticket.saga_id;
        self.send(outgoing);
        let (ended, outcome) = self.ended().await;
        assert_eq!(ended, saga, "the ending of another sending came");
        outcome
    }

    /// Closes the transport and says what else was delivered.
    pub async fn rest(self) -> Vec<(u128, Outcome)> {
        let Self { transport, replies, mut arrived } = self;
        within(transport.close(Duration::ZERO)).await;
        drop((transport, replies));
        let mut rest = Vec::new();
        while let Ok(delivery) = arrived.try_recv() {
            rest.push(read(delivery));
        }
        rest
    }

    /// Waits until this many exchanges are open past their time-out.
    pub async fn kept_open(&self, count: usize) {
        within(async {
            while self.transport.kept_open() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

fn read(delivery: Delivery) -> (u128, Outcome) {
    match delivery {
        Delivery::Ended { ticket, outcome } => (ticket.saga_id, outcome),
        Delivery::Replied { reply, receipt, .. } => {
            if let Some(receipt) = receipt {
                let _ = receipt.send(Receipt::Durable);
            }
            let saga = reply.saga_id.expect("a reply by name says which saga it answers");
            (saga.0, reply.outcome(&codes()))
        }
    }
}

/// The future's result, or a failed test.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(CASE_SECS_MAX), future)
        .await
        .expect("it did not happen: an ending, a command or an answer was lost")
}

/// The codes that every sending of the suite lists.
pub fn codes() -> FailureCodes {
    FailureCodes {
        permanent: vec!["LISTED_NO".to_owned()],
        transient: vec!["LISTED_BUSY".to_owned()],
    }
}

/// The action of a saga, with data.
pub fn action(saga: u128, data: &[u8]) -> Outgoing {
    command(saga, Direction::Action, data)
}

/// The undo of a saga's action.
pub fn undo(saga: u128) -> Outgoing {
    command(saga, Direction::Compensation, b"{}")
}

fn command(saga: u128, direction: Direction, data: &[u8]) -> Outgoing {
    let name = match direction {
        Direction::Action => "Act",
        Direction::Compensation => "Undo",
    };
    let command = format!("{SERVICE}.{name}");
    let undo = Undo { action_round: 1, outcome: ActionOutcome::Unknown, original_result: None };
    let body = CommandBody {
        saga_id: SagaId(saga),
        saga_type: "Conformance",
        step_name: "step",
        command: &command,
        round: 1,
        data,
        flat: false,
        undo: (direction == Direction::Compensation).then_some(undo),
    };
    Outgoing {
        ticket: Ticket { saga_id: saga, step: 0, run: 0, direction, round: 1, attempt: 1 },
        service: SERVICE.into(),
        command: command.as_str().into(),
        saga_type: "Conformance".into(),
        step_name: "step".into(),
        body: body.render().expect("the suite's data is JSON"),
        deadline_unix_ms: 1_700_000_000_000,
        patience: Patience { timeout: LONG, keep_open_for: LONG },
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(codes()),
    }
}

/// A participant that says the same to everything.
pub fn says(said: Said) -> Participant {
    Arc::new(move |_| {
        let said = said.clone();
        Box::pin(async move { said })
    })
}

/// A participant that answers with each command's own data, read from its body.
pub fn echoes() -> Participant {
    Arc::new(|seen: Seen| Box::pin(async move { Said::Completed(data(&seen.body)) }))
}

/// The data in a command's body.
pub fn data(body: &Bytes) -> Option<Bytes> {
    let members = amends_wire::json::members(body).ok()??;
    let found = members.iter().find(|member| member.key == b"\"data\"")?;
    Some(body.slice_ref(found.value))
}

/// A participant that holds every command until it is let go.
pub struct Gate {
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub open: Arc<Semaphore>,
}

impl Gate {
    /// Shut; what it says when it opens.
    pub fn shut(said: Said) -> (Self, Participant) {
        let (arrived, seen) = mpsc::unbounded_channel();
        let open = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&open);
        let participant: Participant = Arc::new(move |command| {
            let _ = arrived.send(command);
            let (gate, said) = (Arc::clone(&gate), said.clone());
            Box::pin(async move {
                if let Ok(pass) = gate.acquire().await {
                    pass.forget();
                }
                said
            })
        });
        (Self { seen, open }, participant)
    }

    /// The next command that arrived.
    pub async fn arrival(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the participant is there")
    }
}
