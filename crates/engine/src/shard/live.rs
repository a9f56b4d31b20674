//! A saga in memory: its state, what of it is durable, and which of its commands hold a place.

use std::sync::Arc;

use amends_core::{Direction, Millis, RunRef, Saga, SagaId, Time};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::deployed::Deployed;
use crate::persist;
use crate::request::{Snapshot, Unavailable};

/// Whoever waits for the end of a saga.
pub type Waiter = oneshot::Sender<Result<Option<Snapshot>, Unavailable>>;

/// See the module.
pub struct Live {
    /// Shared with the snapshots taken of it: a decision that finds one still held moves a copy.
    pub saga: Arc<Saga>,
    pub deployed: Arc<Deployed>,
    /// Up to here its events are durable.
    pub durable_seq: u64,
    /// Up to here they are in the catalog.
    pub held_seq: u64,
    /// The events after those the catalog holds, encoded.
    unsaved: Vec<u8>,
    /// When the shard's timers call it.
    pub due: Option<Time>,
    /// Its commands that wait for room or are out.
    pub places: Vec<Place>,
    /// Who waits for its end.
    pub waiters: Vec<Waiter>,
    /// Its place in a batch, and which batch that is.
    pub entry: Option<(u64, usize)>,
    /// It was read back and has not heard yet what it slept through.
    pub asleep: bool,
    /// How long the engine did nothing while it was awake, as far as it has not heard.
    pub missed: Millis,
}

/// A command's place in a lane.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub run: RunRef,
    pub direction: Direction,
    pub lane: usize,
    /// The attempt that is out; `None` while it waits for room.
    pub attempt: Option<u32>,
}

impl Live {
    /// A saga whose first events are not durable yet.
    pub fn new(saga: Saga, deployed: Arc<Deployed>) -> Self {
        Self { durable_seq: 0, asleep: false, ..Self::held(saga, deployed, 0, Vec::new()) }
    }

    /// A saga as it was read back: the catalog holds it up to `held_seq`, and `unsaved` follows.
    pub fn held(saga: Saga, deployed: Arc<Deployed>, held_seq: u64, unsaved: Vec<u8>) -> Self {
        let durable_seq = saga.seq;
        Self {
            saga: Arc::new(saga),
            deployed,
            durable_seq,
            held_seq,
            unsaved,
            due: None,
            places: Vec::new(),
            waiters: Vec::new(),
            entry: None,
            asleep: true,
            missed: Millis::ZERO,
        }
    }

    pub fn id(&self) -> SagaId {
        self.saga.id
    }

    /// The saga, to be moved.
    pub fn saga_mut(&mut self) -> &mut Saga {
        Arc::make_mut(&mut self.saga)
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { saga: Arc::clone(&self.saga), deployed: Arc::clone(&self.deployed) }
    }

    /// Keeps the encoded events of one decision for the next checkpoint.
    pub fn keep(&mut self, events: &[u8]) {
        self.unsaved.extend_from_slice(events);
    }

    /// Does the catalog lack anything of it?
    pub fn unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The events that the catalog lacks, for a checkpoint.
    pub fn collect(&self) -> Bytes {
        Bytes::copy_from_slice(&self.unsaved)
    }

    /// The catalog holds it up to this event, also when it left memory and came back while the
    /// checkpoint was under way.
    pub fn now_held(&mut self, seq: u64) {
        let Some(held) = seq.checked_sub(self.held_seq).filter(|held| *held > 0) else { return };
        // A checkpoint ends with a decision, and so with a frame.
        if let Some(rest) = persist::after(&self.unsaved, held) {
            self.unsaved.drain(..self.unsaved.len() - rest.len());
            self.held_seq = seq;
        }
    }

    /// The encoded events after `held_seq`.
    pub fn tail(&self) -> &[u8] {
        &self.unsaved
    }

    pub fn place(&self, run: RunRef, direction: Direction) -> Option<&Place> {
        self.places.iter().find(|place| place.run == run && place.direction == direction)
    }
}
