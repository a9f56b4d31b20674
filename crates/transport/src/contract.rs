//! The contract between the engine and a transport.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use amends_wire::{CommandId, Direction, FailureCodes, Outcome, Reply, SagaId, idempotency_key};
use bytes::Bytes;
use tokio::sync::oneshot;

/// Carries commands to participants.
///
/// A sending is not queued here: the engine sends only what has room in the service's window.
pub trait Transport: Send + Sync + 'static {
    /// Sends one command and returns at once, from any thread.
    ///
    /// A transport with an exchange of its own delivers exactly one [`Delivery::Ended`] for each
    /// sending, however late: the engine's timer ends the attempt at its `timeout`, while the
    /// exchange stays open and its answer counts until `keep_open_for` has passed. A broker
    /// delivers `Ended` only with what it knows itself (not sent, or unknown), and replies by
    /// name as they come.
    fn send(&self, outgoing: Outgoing, replies: Replies);

    /// Where replies by name go that come by themselves: of any saga, also of one whose command
    /// was sent before a restart. It is said once the engine can take them, and perhaps again.
    fn listen(&self, _replies: Replies) {}

    /// How many exchanges are open past their time-out.
    fn kept_open(&self) -> usize {
        0
    }

    /// Takes no new sendings, waits up to `grace` for those that are open, and ends the rest as
    /// unknown. A sending after this is not sent.
    fn close(&self, grace: Duration) -> Closing;
}

/// Resolves when nothing is open any more.
pub type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose sending it is: opaque to a transport, which hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The saga.
    pub saga_id: u128,
    /// The step, by its place in the definition.
    pub step: u8,
    /// Which run of the step.
    pub run: u8,
    /// Action or compensation.
    pub direction: Direction,
    /// The round, counted from 1.
    pub round: u16,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

/// One sending.
#[derive(Clone)]
pub struct Outgoing {
    /// Whose it is; also says direction, round and attempt.
    pub ticket: Ticket,
    /// The service that owns the command.
    pub service: Arc<str>,
    /// The command's full name: `InventoryService.ReserveItems`.
    pub command: Arc<str>,
    /// The saga's type.
    pub saga_type: Arc<str>,
    /// The step, or `<step>.<i>`.
    pub step_name: Arc<str>,
    /// The body, byte-equal at every sending of this command.
    pub body: Bytes,
    /// When the step's deadline passes, in milliseconds since 1970.
    pub deadline_unix_ms: u64,
    /// How long it is waited for.
    pub patience: Patience,
    /// Whether another sending of this command is open.
    pub another_sending_open: bool,
    /// The address for a later answer.
    pub reply_to: Option<String>,
    /// What caused it, as an event id.
    pub causation_id: Option<String>,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
    /// The step's `failures`.
    pub codes: Arc<FailureCodes>,
}

/// How long a sending is waited for, counted from when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until the attempt times out. The timer that counts is the engine's.
    pub timeout: Duration,
    /// Until its exchange is hung up: the deadline and 30 s.
    pub keep_open_for: Duration,
}

impl Outgoing {
    /// The saga, as it is written on the wire.
    pub const fn saga_id(&self) -> SagaId {
        SagaId(self.ticket.saga_id)
    }

    /// The command's identity.
    pub fn command_id(&self) -> CommandId {
        CommandId {
            saga_id: self.saga_id(),
            step_name: self.step_name.as_ref().to_owned(),
            direction: self.ticket.direction,
            round: self.ticket.round,
        }
    }

    /// The command's idempotency key.
    pub fn idempotency_key(&self) -> String {
        let Ticket { direction, round, .. } = self.ticket;
        idempotency_key(self.saga_id(), &self.step_name, direction, round)
    }
}

/// A body may hold what must not be logged (S24), and a reply address is a credential.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("ticket", &self.ticket)
            .field("command", &self.command)
            .field("step_name", &self.step_name)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a transport brings back.
#[derive(Debug)]
pub enum Delivery {
    /// The end of a sending, known from its own exchange: the answer in it, or the lack of one.
    Ended {
        /// Which sending.
        ticket: Ticket,
        /// What it came to.
        outcome: Outcome,
    },
    /// A reply by name that came by itself.
    Replied {
        /// What was said. Its outcome depends on the step's codes, which the receiver knows.
        reply: Box<Reply>,
        /// The service on whose channel it came, to be held against the step's own; `None` when
        /// a token has proved it.
        from: Option<Arc<str>>,
        /// Told when the reply is taken care of; a transport acknowledges no sooner (S18).
        receipt: Option<oneshot::Sender<Receipt>>,
    },
}

/// What became of a reply. A receipt that is dropped unsent means: not durable, bring it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is on disk; also when it was late, a duplicate, or kept as an orphan.
    Durable,
    /// No such saga or step was ever started here.
    NoSuchSaga,
    /// The step belongs to another service.
    ForeignService,
}

/// Where a transport delivers to: cheap to clone, never blocks. It needs no bound of its own,
/// since no more comes than was sent, and callbacks are limited where they come in.
#[derive(Clone)]
pub struct Replies(Arc<dyn ReplySink>);

/// Takes deliveries; must return at once.
pub trait ReplySink: Send + Sync {
    /// Takes one.
    fn deliver(&self, delivery: Delivery);
}

/// Any function over deliveries is a sink.
impl<F: Fn(Delivery) + Send + Sync> ReplySink for F {
    fn deliver(&self, delivery: Delivery) {
        self(delivery);
    }
}

impl Replies {
    /// Delivers to this sink.
    pub fn new(sink: impl ReplySink + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Delivers to a sink that is shared already.
    pub const fn shared(sink: Arc<dyn ReplySink>) -> Self {
        Self(sink)
    }

    /// Delivers.
    pub fn deliver(&self, delivery: Delivery) {
        self.0.deliver(delivery);
    }

    /// Delivers the end of a sending.
    pub fn end(&self, ticket: Ticket, outcome: Outcome) {
        self.deliver(Delivery::Ended { ticket, outcome });
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replies")
    }
}
