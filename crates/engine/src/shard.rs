//! A shard: one task that owns its sagas, decides for them, and hands what it decided to the
//! journal in batches.
//!
//! While one batch is being synced the shard decides the next one. Nothing leaves before the facts
//! that justify it are durable: what is to leave rides with its batch as [`Effect`]s. A shard waits
//! for its journal and for nothing else.

mod batch;
mod checkpoint;
mod commit;
mod dispatch;
mod intake;
pub mod lane;
mod live;
pub mod message;
mod observed;
mod orphans;
mod recovery;
mod work;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use amends_core::{Millis, Moment, SagaId, Time};
use amends_store::{Appended, BoxFuture, Checkpointed, Epoch, JournalError, ShardId};
use amends_transport::{Delivery, Replies};
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::Shared;
use crate::mutant::{Mutant, mutated};
use crate::options::{
    BATCH_BYTES_FULL, BATCH_INPUTS_MAX, BATCH_STARTS_MAX, CALLBACKS_WAITING_MAX, OUTAGE_AFTER,
    REQUESTS_WAITING_MAX, STARTS_WAITING_MAX,
};
use crate::request::Unavailable;
use crate::saga_map::SagaMap;
use batch::{Pending, Sealed};
use lane::Lane;
pub use live::{Live, Waiter};
use message::{Callback, Inlets, Internal, NewSaga, Request};

/// How many shards an installation has. A saga's shard is a hash of its id, so the number is fixed:
/// more than the cores of a small machine, and few enough that batches are large.
pub const SHARDS: u32 = 4;

/// The shard that owns a saga.
pub fn shard_of(saga: SagaId) -> ShardId {
    // The low bits of a UUIDv7 are random; they are mixed all the same, for ids made elsewhere.
    let mixed = (saga.0 as u64 ^ (saga.0 >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ShardId((mixed >> 32) as u32 % SHARDS)
}

/// Why a shard, and with it the engine, cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The journal is broken, or somebody else owns the shard now.
    #[error("{0}")]
    Journal(#[from] JournalError),
}

/// See the module.
pub struct Shard {
    sagas: SagaMap<Live>,
    desk: Desk,
    outlets: Outlets,
    /// Inputs for sagas that are being read from the catalog.
    loading: SagaMap<Vec<intake::Todo>>,
    /// Sagas to read as soon as fewer are being read.
    to_load: VecDeque<SagaId>,
    loads: usize,
    /// Those of them that are to be read again.
    outdated: HashSet<SagaId>,
    /// Sagas that left memory since the reading of those due soon began, while it is under way.
    left_while_due: Option<HashSet<SagaId>>,
    /// Sagas that were read back and have not gone on yet.
    to_wake: VecDeque<SagaId>,
    /// Ended sagas that the catalog does not hold yet.
    archive: SagaMap<Arc<Checkpointed>>,
    /// How many sagas have been started since the checkpoint under way, or the last one, was
    /// collected, and how many that checkpoint brings to the catalog for the first time.
    started: usize,
    bringing: usize,
    /// The checkpointer waits for what the catalog does not hold.
    collect: Option<oneshot::Sender<Vec<Checkpointed>>>,
    flight: Option<Flight>,
    last_seen: Time,
    stopping: bool,
    /// The last batch found no room, and is tried again before anything else is decided.
    troubled: bool,
}

/// A batch that is being made durable.
struct Flight {
    appending: BoxFuture<'static, Result<Appended, JournalError>>,
    sealed: Sealed,
    batch: amends_store::Batch,
}

/// The receiving ends of the ways in.
struct Outlets {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    internal: mpsc::UnboundedReceiver<Internal>,
    requests: mpsc::Receiver<Request>,
    callbacks: mpsc::Receiver<Callback>,
    starts: mpsc::Receiver<NewSaga>,
}

/// What the work on any one saga needs beside the saga.
struct Desk {
    id: ShardId,
    epoch: Epoch,
    shared: Arc<Shared>,
    pending: Pending,
    lanes: Vec<Lane>,
    timers: BTreeSet<(Time, SagaId)>,
    replies: Replies,
    now: Time,
    jitter: u64,
    /// The encoded events of the decision at hand; kept for its allocation.
    scratch: Vec<u8>,
    /// Until when lanes begin paced: what was read back at the start is sent in this time, and may not
    /// come to its first sending at once.
    paced_until: Time,
}

impl Desk {
    /// The time and the chance for a decision.
    fn moment(&mut self) -> Moment {
        // splitmix64: enough for jitter, and the same in every run of the simulator.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let ahead = if mutated(Mutant::EarlyTimers) { Millis::secs(1) } else { Millis::ZERO };
        Moment { at: self.now + ahead, jitter: (z >> 32) as u32 }
    }

    fn lane(&mut self, index: usize) -> &mut Lane {
        let options = &self.shared.options;
        let window = options.window.div_ceil(SHARDS as usize);
        while self.lanes.len() <= index {
            let paced = self.now < self.paced_until && !mutated(Mutant::RecoverAtOnce);
            let paced = paced.then_some(options.recovery_rate.div_ceil(SHARDS));
            self.lanes.push(Lane::new(window, paced, self.now));
        }
        &mut self.lanes[index]
    }
}

/// Makes a shard's ways in and out.
pub fn ways() -> (Inlets, impl FnOnce(Arc<Shared>, ShardId, Epoch) -> Shard) {
    let (requests, requests_out) = mpsc::channel(REQUESTS_WAITING_MAX);
    let (callbacks, callbacks_out) = mpsc::channel(CALLBACKS_WAITING_MAX);
    let (starts, starts_out) = mpsc::channel(STARTS_WAITING_MAX);
    let (internal, internal_out) = mpsc::unbounded_channel();
    let (deliver, deliveries) = mpsc::unbounded_channel();
    let inlets = Inlets { requests, callbacks, starts, internal, deliveries: deliver.clone() };
    let build = move |shared: Arc<Shared>, id: ShardId, epoch: Epoch| {
        let replies = Replies::new(move |delivery| {
            let _ = deliver.send(delivery); // the shard is gone: so is the wish to know
        });
        let now = shared.clock.now();
        shared.outages.looked(id, now);
        let desk = Desk {
            id,
            epoch,
            pending: Pending::new(),
            lanes: Vec::new(),
            timers: BTreeSet::new(),
            replies,
            now,
            jitter: now.0 ^ (u64::from(id.0) << 48),
            scratch: Vec::new(),
            paced_until: now,
            shared,
        };
        Shard {
            sagas: SagaMap::default(),
            desk,
            outlets: Outlets {
                deliveries,
                internal: internal_out,
                requests: requests_out,
                callbacks: callbacks_out,
                starts: starts_out,
            },
            loading: SagaMap::default(),
            to_load: VecDeque::new(),
            to_wake: VecDeque::new(),
            loads: 0,
            outdated: HashSet::new(),
            left_while_due: None,
            archive: SagaMap::default(),
            started: 0,
            bringing: 0,
            collect: None,
            flight: None,
            last_seen: now,
            stopping: false,
            troubled: false,
        }
    };
    (inlets, build)
}

impl Shard {
    /// Runs until told to stop, or until the journal is beyond repair.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Fatal> {
        loop {
            self.stopping |= *stop.borrow();
            if self.stopping && self.flight.is_none() && self.desk.pending.is_empty() {
                return Ok(());
            }
            if self.takes() {
                self.fill();
            }
            self.submit();
            self.answer_collect();
            let wake = self.wake_at();
            tokio::select! {
                biased;
                appended = appended(&mut self.flight) => self.committed(appended, &mut stop).await?,
                Some(delivery) = self.outlets.deliveries.recv(), if self.takes() => {
                    self.read_clock();
                    self.delivery(delivery);
                }
                Some(message) = self.outlets.internal.recv() => {
                    self.read_clock();
                    self.internal(message);
                }
                Some(callback) = self.outlets.callbacks.recv(), if self.takes() => {
                    self.read_clock();
                    self.callback(callback);
                }
                Some(request) = self.outlets.requests.recv(), if self.takes() => {
                    self.read_clock();
                    self.request(request);
                }
                Some(new) = self.outlets.starts.recv(), if self.takes() => {
                    self.read_clock();
                    self.start(new);
                }
                () = tokio::time::sleep_until(wake), if self.takes() => {}
                _ = stop.changed(), if !self.stopping => {}
            }
        }
    }

    /// Takes what has arrived: answers and timers first, questions next, starts last and with a
    /// limit, so that running sagas are served before new ones.
    fn fill(&mut self) {
        self.read_clock();
        while self.room_in_batch() {
            let Ok(delivery) = self.outlets.deliveries.try_recv() else { break };
            self.delivery(delivery);
        }
        while let Ok(message) = self.outlets.internal.try_recv() {
            self.internal(message);
        }
        while self.room_in_batch() {
            let Ok(callback) = self.outlets.callbacks.try_recv() else { break };
            self.callback(callback);
        }
        while self.room_in_batch() {
            let Ok(request) = self.outlets.requests.try_recv() else { break };
            self.request(request);
        }
        self.wake_up();
        self.fire_timers();
        self.serve_lanes();
        while self.room_in_batch() && self.desk.pending.starts < BATCH_STARTS_MAX {
            let Ok(new) = self.outlets.starts.try_recv() else { break };
            self.start(new);
        }
        self.load_more();
    }

    /// Does the shard take inputs now? Not while a checkpoint collects, nor past a full batch, nor
    /// while the disk is full.
    fn takes(&self) -> bool {
        self.collect.is_none() && !self.stopping && !self.troubled && self.room_in_batch()
    }

    fn room_in_batch(&self) -> bool {
        let pending = &self.desk.pending;
        pending.inputs < BATCH_INPUTS_MAX && pending.bytes() < BATCH_BYTES_FULL
    }

    fn read_clock(&mut self) {
        let now = self.desk.shared.clock.now();
        self.desk.now = now;
        let away = now.since(self.last_seen);
        self.last_seen = now;
        if away > OUTAGE_AFTER {
            self.outage(away);
        }
        self.desk.shared.outages.looked(self.desk.id, now);
    }

    fn submit(&mut self) {
        if self.flight.is_some() {
            return;
        }
        if self.desk.pending.is_empty() {
            // What was taken brought no fact, and so takes no room in a batch.
            self.desk.pending.inputs = 0;
            self.desk.pending.starts = 0;
            return;
        }
        let (batch, sealed) = self.desk.pending.seal(self.desk.id, self.desk.epoch);
        if batch.entries.is_empty() {
            // All of it was taken back; what is left to be said was durable before.
            for effect in sealed.effects {
                self.carry_out(effect);
            }
            return;
        }
        self.desk.shared.metrics.batch(batch.entries.len());
        let sealed = self.leaves_early(sealed);
        let journal = Arc::clone(&self.desk.shared.store.journal);
        let handed_over = batch.clone();
        let appending = Box::pin(async move { journal.append(handed_over).await });
        self.flight = Some(Flight { appending, sealed, batch });
    }

    fn wake_at(&self) -> tokio::time::Instant {
        let timer = self.desk.timers.first().map(|(at, _)| *at);
        let lanes = self.desk.lanes.iter().filter_map(Lane::room_at).min();
        // Looked at from time to time in any case, so that an engine that was stopped notices.
        let latest = self.desk.now + Millis(OUTAGE_AFTER.0 / 2);
        let at = timer.into_iter().chain(lanes).fold(latest, Time::min);
        self.desk.shared.clock.instant(at)
    }

    /// May new sagas be taken?
    fn refuses_starts(&self) -> Option<Unavailable> {
        if let Some(why) = self.desk.shared.journal_trouble() {
            return Some(Unavailable::JournalFailed(why));
        }
        let lacks = self.archive.len().max(self.started + self.bringing);
        let lacks_max = self.desk.shared.options.catalog_behind_sagas_max / SHARDS as usize;
        let behind = lacks >= lacks_max || self.desk.shared.journal_behind();
        behind.then_some(Unavailable::CatalogBehind { retry_after_secs: 1 })
    }
}

/// The end of the append under way; never, when there is none.
async fn appended(flight: &mut Option<Flight>) -> Result<Appended, JournalError> {
    match flight {
        Some(flight) => (&mut flight.appending).await,
        None => std::future::pending().await,
    }
}
