//! What a shard is told, and by whom.

use std::sync::Arc;

use amends_core::SagaId;
use amends_core::event::Started as StartedEvent;
use amends_store::{Checkpointed, Claim, Rejection, StoredSaga};
use amends_transport::Delivery;
use tokio::sync::{mpsc, oneshot};

use super::live::Waiter;
use crate::deployed::Deployed;
use crate::handle::HistoryItem;
use crate::request::{
    Ask, AskError, Observation, Receipt, ReplyError, ReplyIn, Snapshot, Unavailable, Unobserved,
};

/// A question, a verb, or what was heard.
pub enum Request {
    Get {
        saga: SagaId,
        reply: oneshot::Sender<Result<Option<Snapshot>, Unavailable>>,
    },
    Wait {
        saga: SagaId,
        reply: oneshot::Sender<Result<Option<Snapshot>, Unavailable>>,
    },
    History {
        saga: SagaId,
        reply: oneshot::Sender<Result<Option<Vec<HistoryItem>>, Unavailable>>,
    },
    Ask {
        saga: SagaId,
        ask: Ask,
        at_seq: Option<u64>,
        reply: oneshot::Sender<Result<Snapshot, AskError>>,
    },
    Observe {
        observation: Box<Observation>,
        reply: oneshot::Sender<Result<(), Unobserved>>,
    },
}

/// A reply that came by itself.
pub struct Callback {
    pub saga: SagaId,
    pub reply_in: ReplyIn,
    pub reply: oneshot::Sender<Result<Receipt, ReplyError>>,
}

/// A saga to start, checked and with its claims.
pub struct NewSaga {
    pub started: Box<StartedEvent>,
    pub deployed: Arc<Deployed>,
    pub claims: Vec<Claim>,
    /// Who waits for its end.
    pub waiter: Option<Waiter>,
    pub reply: oneshot::Sender<Result<Snapshot, StartFailure>>,
}

/// Why a start did not come about.
#[derive(Debug)]
pub enum StartFailure {
    /// Another saga holds a key.
    Claimed(Rejection),
    /// The journal.
    Unavailable(Unavailable),
}

/// What the engine's own tasks tell a shard.
pub enum Internal {
    /// A saga was read from the catalog.
    Loaded { saga: SagaId, stored: Result<Option<Box<StoredSaga>>, Unavailable> },
    /// The sagas that are due soon are being read from the catalog.
    DueRead,
    /// They have been: those that are parked come back.
    Due(Vec<StoredSaga>),
    /// The checkpointer wants what the catalog does not hold.
    Collect(oneshot::Sender<Vec<Checkpointed>>),
    /// The catalog holds these sagas up to these events.
    Held(Vec<(SagaId, u64)>),
    /// What is in memory is asked for.
    Survey(oneshot::Sender<Survey>),
    /// Definitions or bindings have changed: what found none may find one now.
    Rebound,
}

/// What is in memory.
#[derive(Debug, Default)]
pub struct Survey {
    pub in_memory: u64,
    /// By lane.
    pub lanes: Vec<LaneLoad>,
}

/// What a lane has to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneLoad {
    pub in_flight: usize,
    pub waiting: usize,
    pub circuits_open: usize,
}

impl Survey {
    /// Adds another shard's.
    pub fn add(&mut self, other: Self) {
        self.in_memory += other.in_memory;
        let lanes = self.lanes.len().max(other.lanes.len());
        self.lanes.resize(lanes, LaneLoad::default());
        for (lane, other) in self.lanes.iter_mut().zip(other.lanes) {
            lane.in_flight += other.in_flight;
            lane.waiting += other.waiting;
            lane.circuits_open += other.circuits_open;
        }
    }
}

/// The ways into a shard.
#[derive(Clone)]
pub struct Inlets {
    pub requests: mpsc::Sender<Request>,
    pub callbacks: mpsc::Sender<Callback>,
    pub starts: mpsc::Sender<NewSaga>,
    pub internal: mpsc::UnboundedSender<Internal>,
    /// Bounded by its senders: what comes was sent, or is held by a broker's end, which has a limit.
    pub deliveries: mpsc::UnboundedSender<Delivery>,
}
