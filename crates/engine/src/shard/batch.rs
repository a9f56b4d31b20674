//! A batch in the making: facts for the journal, and what may leave once they are durable.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use amends_core::SagaId;
use amends_store::{Batch, Claim, ClaimKey, Entry, Epoch, Events, ShardId};
use amends_transport::{Outgoing, Transport};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::live::Live;
use super::message::StartFailure;
use crate::handle::HistoryItem;
use crate::reading::Reading;
use crate::request::{AskError, Receipt, ReplyError, Snapshot, Unavailable, Unobserved};
use crate::transition::Transition;

/// Something that may happen once the facts that justify it are durable.
pub enum Effect {
    Send {
        transport: Arc<dyn Transport>,
        outgoing: Box<Outgoing>,
    },
    Publish(Transition),
    Asked {
        reply: oneshot::Sender<Result<Snapshot, AskError>>,
        snapshot: Snapshot,
    },
    Got {
        reply: oneshot::Sender<Result<Option<Snapshot>, Unavailable>>,
        snapshot: Snapshot,
    },
    Told {
        reply: oneshot::Sender<Result<Option<Vec<HistoryItem>>, Unavailable>>,
        history: Vec<HistoryItem>,
    },
    /// The rest of what is asked for is in the catalog.
    Read {
        saga: SagaId,
        reading: Reading,
    },
    Taken(oneshot::Sender<Result<Receipt, ReplyError>>),
    Heard(oneshot::Sender<Result<(), Unobserved>>),
    Delivered(oneshot::Sender<amends_transport::Receipt>),
    Ended(SagaId),
}

/// See the module.
pub struct Pending {
    /// Which batch this is, counted from 1.
    number: u64,
    drafts: Vec<Draft>,
    /// The encoded events of all drafts, in the order in which they were decided: one allocation a
    /// batch instead of one an entry.
    bytes: Vec<u8>,
    effects: Vec<Effect>,
    /// Inputs taken for it.
    pub inputs: usize,
    /// Starts among them.
    pub starts: usize,
}

/// One saga's events in the batch.
struct Draft {
    saga: SagaId,
    first_seq: u64,
    count: u32,
    /// Where its events lie in the batch's bytes.
    first: Range<usize>,
    /// And those of later decisions, which lie elsewhere.
    more: Vec<Range<usize>>,
    claims: Vec<Claim>,
    releases: Vec<ClaimKey>,
    /// Who waits for the start.
    start: Option<Starter>,
}

impl Draft {
    /// Its events, out of those of the whole batch.
    fn events(&self, bytes: &Bytes) -> Bytes {
        if self.more.is_empty() {
            return bytes.slice(self.first.clone());
        }
        let ranges = std::iter::once(&self.first).chain(&self.more);
        let parts: Vec<&[u8]> = ranges.map(|range| &bytes[range.clone()]).collect();
        parts.concat().into()
    }
}

/// Who waits for a start, and what is said when the saga is taken.
pub struct Starter {
    pub reply: oneshot::Sender<Result<Snapshot, StartFailure>>,
    pub snapshot: Snapshot,
}

/// A batch on its way to the journal, for when the answer comes.
pub struct Sealed {
    /// By place in the batch: the saga and its last event.
    pub sagas: Vec<(SagaId, u64)>,
    /// Who waits for a start, by its place.
    pub starts: Vec<(usize, Starter)>,
    /// What may leave then.
    pub effects: Vec<Effect>,
}

impl Pending {
    pub fn new() -> Self {
        Self {
            number: 1,
            drafts: Vec::new(),
            bytes: Vec::new(),
            effects: Vec::new(),
            inputs: 0,
            starts: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// How many bytes of facts are in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the encoded events of one decision.
    pub fn add(&mut self, live: &mut Live, first_seq: u64, count: u32, events: &[u8]) {
        let range = self.bytes.len()..self.bytes.len() + events.len();
        self.bytes.extend_from_slice(events);
        match live.entry.filter(|(number, _)| *number == self.number) {
            Some((_, index)) => {
                let draft = &mut self.drafts[index];
                draft.count += count;
                draft.more.push(range);
            }
            None => {
                live.entry = Some((self.number, self.drafts.len()));
                self.drafts.push(Draft {
                    saga: live.id(),
                    first_seq,
                    count,
                    first: range,
                    more: Vec::new(),
                    claims: Vec::new(),
                    releases: Vec::new(),
                    start: None,
                });
            }
        }
    }

    /// Adds the keys that the saga takes with its start, and who waits for that.
    pub fn claim(&mut self, live: &Live, claims: Vec<Claim>, start: Starter) {
        if let Some(draft) = self.draft(live) {
            draft.claims = claims;
            draft.start = Some(start);
        }
    }

    /// Adds a key that the saga lets go.
    pub fn release(&mut self, live: &Live, key: ClaimKey) {
        if let Some(draft) = self.draft(live) {
            draft.releases.push(key);
        }
    }

    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Takes a saga out again whose start was refused: nothing of it has left.
    pub fn forget(&mut self, live: &Live) {
        if let Some(draft) = self.draft(live) {
            // An entry without events is not handed over, see `seal`.
            draft.count = 0;
            draft.start = None;
        }
        let id = live.id();
        self.effects.retain(|effect| match effect {
            Effect::Send { outgoing, .. } => outgoing.ticket.saga_id != id.0,
            Effect::Publish(transition) => transition.saga_id != id,
            Effect::Ended(saga) => *saga != id,
            _ => true,
        });
    }

    /// Closes the batch and begins the next.
    pub fn seal(&mut self, shard: ShardId, epoch: Epoch) -> (Batch, Sealed) {
        let drafts = mem::take(&mut self.drafts);
        let room = self.bytes.len();
        let bytes = Bytes::from(mem::replace(&mut self.bytes, Vec::with_capacity(room)));
        let mut entries = Vec::with_capacity(drafts.len());
        let mut sagas = Vec::with_capacity(drafts.len());
        let mut starts = Vec::new();
        for draft in drafts.into_iter().filter(|draft| draft.count > 0) {
            let events = Events {
                first_seq: draft.first_seq,
                count: draft.count,
                bytes: draft.events(&bytes),
            };
            if let Some(start) = draft.start {
                starts.push((entries.len(), start));
            }
            sagas.push((draft.saga, events.last_seq()));
            let (claims, releases) = (draft.claims, draft.releases);
            entries.push(Entry { saga: draft.saga.0, events, claims, releases });
        }
        let effects = mem::take(&mut self.effects);
        self.number += 1;
        self.inputs = 0;
        self.starts = 0;
        (Batch { shard, epoch, entries }, Sealed { sagas, starts, effects })
    }

    /// Is there anything of this saga in it?
    pub fn holds(&self, live: &Live) -> bool {
        live.entry.is_some_and(|(number, _)| number == self.number)
    }

    fn draft(&mut self, live: &Live) -> Option<&mut Draft> {
        let (number, index) = live.entry?;
        if number == self.number { self.drafts.get_mut(index) } else { None }
    }
}
