//! The store in memory, for tests and the simulator: a [`Disk`] that outlives the stores opened
//! on it, and that fails when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{
    Admission, Archived, AuditEntry, ClaimKey, Definition, DueCursor, Epoch, Holder, JournalError,
    Orphan, Position, Record, SagaRow, ShardId, Store,
};

mod catalog;
mod journal;

/// What is durable. Cloning gives another handle to the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Content>>);

/// What goes wrong at the next chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The next append finds no room. It may be tried again.
    JournalFull,
    /// The next append fails before its record is whole: after reopening it is not there.
    Torn,
    /// The next append fails after its record is whole: after reopening it is there, though nobody
    /// was told.
    Unanswered,
    /// The next checkpoint finds no room. It may be tried again.
    CatalogFull,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a store on it, as after a restart: of what was not durable nothing is left.
    pub fn open(&self) -> Store {
        let mut content = self.content();
        content.restart();
        let opening = content.opening;
        drop(content);
        Store {
            journal: Arc::new(journal::MemoryJournal { disk: self.clone(), opening }),
            catalog: Arc::new(catalog::MemoryCatalog { disk: self.clone(), opening }),
        }
    }

    /// Makes something go wrong at the next chance; several go wrong one after the other.
    pub fn fail_next(&self, fault: Fault) {
        self.content().faults.push_back(fault);
    }

    /// How many faults are still to come.
    pub fn faults_left(&self) -> usize {
        self.content().faults.len()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing in here panics half-way, so what a panicking holder left is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Content {
    records: BTreeMap<Position, KeptRecord>,
    cut: Position,
    last: Position,
    owners: BTreeMap<ShardId, Epoch>,
    cursors: BTreeMap<String, Position>,
    archive: Archive,
    definitions: BTreeMap<(Arc<str>, u32), Definition>,
    notes: BTreeMap<String, Bytes>,
    orphans: BTreeMap<u64, Orphan>,
    orphans_taken: u64,
    audits: Vec<AuditEntry>,
    /// Not durable: made anew at every opening.
    admission: Admission,
    faults: VecDeque<Fault>,
    /// Only the latest opening is served; those before it are closed.
    opening: u64,
    closed: bool,
    broken: Option<String>,
}

struct KeptRecord {
    record: Record,
    bytes: u64,
}

/// The catalog's sagas, findable.
#[derive(Default)]
struct Archive {
    position: Position,
    sagas: BTreeMap<u128, KeptSaga>,
    by_creation: BTreeSet<(u64, u128)>,
    by_due: BTreeSet<(ShardId, DueCursor)>,
    claims: BTreeMap<ClaimKey, Holder>,
}

struct KeptSaga {
    row: SagaRow,
    events: Vec<Bytes>,
}

impl Archived for Archive {
    fn seq(&mut self, saga: u128) -> Result<Option<u64>, JournalError> {
        Ok(self.sagas.get(&saga).map(|kept| kept.row.seq))
    }

    fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError> {
        Ok(self.claims.get(key).cloned())
    }
}

impl Content {
    fn restart(&mut self) {
        self.opening += 1;
        self.closed = false;
        self.broken = None;
        self.admission = Admission::default();
        for (shard, epoch) in &self.owners {
            self.admission.restore_epoch(*shard, *epoch);
        }
        for (_, kept) in self.records.range(self.archive.position.next()..) {
            // Nothing in memory is unreadable.
            let _ = self.admission.restore(&kept.record, &mut self.archive);
        }
    }

    /// Takes the next fault when it is one of these.
    fn fault(&mut self, of: &[Fault]) -> Option<Fault> {
        of.contains(self.faults.front()?).then(|| self.faults.pop_front())?
    }
}
