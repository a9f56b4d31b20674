//! A disk that loses what was not synced: the contracts `Journal` and `Catalog` over a journal kept as
//! bytes and a catalog that takes one transaction at a time, in simulated time.
//!
//! A group of appends is written, then synced, and answered after that. Whoever dies in between finds
//! all of it, a part of it, or nothing, and the last record perhaps torn. A store is opened by an
//! *engine*; calls of one that is dead are never answered, as those of a dead process.

mod bytes;
mod catalog;
mod journal;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_store::{Admission, Epoch, Position, Record, ShardId, Store};

use crate::chance::Chance;
use shelf::Shelf;

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Content>>);

/// Hears of what becomes durable, at that moment.
pub trait Witness: Send {
    /// This record is, written by that opening of the store.
    fn durable(&self, opening: u64, record: &Record);
    /// A shard has a new owner.
    fn acquired(&self, shard: ShardId, epoch: Epoch);
}

/// How the disk is at present.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// How long a sync usually takes, in milliseconds, and how long now and then.
    pub sync_ms: (u64, u64),
    /// The same of what the catalog is asked.
    pub catalog_ms: (u64, u64),
    /// The journal finds no room.
    pub journal_full: bool,
    /// The catalog finds no room.
    pub catalog_full: bool,
    /// The next sync fails, and with it the file.
    pub sync_fails: bool,
}

impl Weather {
    /// A disk that is well.
    pub const FAIR: Self = Self {
        sync_ms: (3, 12),
        catalog_ms: (6, 30),
        journal_full: false,
        catalog_full: false,
        sync_fails: false,
    };
}

/// What the disk of a machine that dies has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All that was not synced.
    All,
    /// Nothing: it was all written out.
    Nothing,
    /// What was written out ends somewhere in the middle.
    Torn,
}

/// What the mistakes built into the disk are, for the judge to notice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    /// It lets an owner write that has been replaced.
    pub stale_writes: bool,
    /// It takes a checkpoint that leaves facts behind.
    pub parts_taken: bool,
}

struct Content {
    /// The journal's file from the last cut on: what is synced, and how the record before it ended.
    file: Vec<u8>,
    before_file: u64,
    checksum: u64,
    records: BTreeMap<Position, (Record, u64)>,
    cut: Position,
    last: Position,
    /// What is written and not synced, and by whom.
    in_flight: Option<InFlight>,
    owners: BTreeMap<ShardId, Epoch>,
    /// The opening that last made itself the owner: the catalog takes nothing from those before it.
    newest_owner: u64,
    cursors: BTreeMap<String, Position>,
    shelf: Shelf,
    /// Not durable: made anew at every opening.
    admission: Admission,
    hole: Option<Position>,
    broken: Option<String>,
    openings: u64,
    /// Those whose calls are answered, and those that have been closed in order.
    alive: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    /// One writer at a time, over all openings.
    head: Arc<tokio::sync::Mutex<()>>,
    weather: Weather,
    flaws: Flaws,
    chance: Chance,
    witness: Option<Box<dyn Witness>>,
}

struct InFlight {
    opening: u64,
    records: Vec<Record>,
    bytes: Vec<u8>,
    /// After each record: where its bytes end, and its checksum.
    ends: Vec<(usize, u64)>,
}

impl Disk {
    /// An empty disk whose times are drawn from this stream.
    pub fn new(chance: Chance, witness: Option<Box<dyn Witness>>) -> Self {
        Self(Arc::new(Mutex::new(Content {
            file: Vec::new(),
            before_file: 0,
            checksum: 0,
            records: BTreeMap::new(),
            cut: Position::START,
            last: Position::START,
            in_flight: None,
            owners: BTreeMap::new(),
            newest_owner: 0,
            cursors: BTreeMap::new(),
            shelf: Shelf::default(),
            admission: Admission::default(),
            hole: None,
            broken: None,
            openings: 0,
            alive: BTreeSet::new(),
            closed: BTreeSet::new(),
            head: Arc::default(),
            weather: Weather::FAIR,
            flaws: Flaws::default(),
            chance,
            witness,
        })))
    }

    /// Opens it after a restart: what is on it is read back. Whoever had it open is dead.
    pub fn open(&self) -> (Store, u64) {
        let mut content = self.content();
        content.alive.clear();
        content.restart();
        content.opened(self)
    }

    /// Opens it beside those who have it open already, as a second process opens a database.
    pub fn open_beside(&self) -> (Store, u64) {
        self.content().opened(self)
    }

    /// An opening dies with its process; what it had not synced is lost as said.
    pub fn dies(&self, opening: u64, loss: Loss) {
        let mut content = self.content();
        content.alive.remove(&opening);
        content.lose(opening, loss);
    }

    /// Changes the weather.
    pub fn weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.content().weather);
    }

    /// Builds mistakes in.
    pub fn flaws(&self, flaws: Flaws) {
        self.content().flaws = flaws;
    }

    /// Flips a bit of the journal's file that has records behind it; answers where, for it to be mended.
    pub fn flip_bit(&self) -> Option<usize> {
        let mut content = self.content();
        let held = content.shelf.position;
        let behind = content.records.range(held.next()..).count() >= 2;
        // In the body of the first record that the catalog does not hold.
        let before: u64 = content.records.range(..=held).map(|(_, (_, bytes))| *bytes).sum();
        let at = behind.then_some(before as usize + 30)?;
        content.file[at] ^= 4;
        Some(at)
    }

    /// The same bit flips back.
    pub fn mend_bit(&self, at: usize) {
        self.content().file[at] ^= 4;
    }

    /// What is read back of a saga: its events in the catalog.
    pub fn row(&self, saga: u128) -> Option<amends_store::SagaRow> {
        self.content().shelf.sagas.get(&saga).map(|kept| kept.row.clone())
    }

    /// Can the journal not be written just now?
    pub fn in_trouble(&self) -> bool {
        let content = self.content();
        content.weather.journal_full || content.broken.is_some()
    }

    /// Did a sync fail since it was opened, or a writer leave a part of what it wrote?
    pub fn is_broken(&self) -> bool {
        self.content().broken.is_some()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn opened(&mut self, disk: &Disk) -> (Store, u64) {
        self.openings += 1;
        let opening = self.openings;
        self.alive.insert(opening);
        let store = Store {
            journal: Arc::new(journal::SimJournal::new(disk.clone(), opening)),
            catalog: Arc::new(catalog::SimCatalog { disk: disk.clone(), opening }),
        };
        (store, opening)
    }

    /// Reads the disk back, as a process does that starts.
    fn restart(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            let opening = in_flight.opening;
            self.lose(opening, Loss::All);
        }
        self.head = Arc::default();
        self.broken = None;
        let read = bytes::read(&self.file, self.before_file);
        self.hole = read.hole.map(|hole| Position(hole.0.max(self.cut.0 + 1)));
        if self.hole.is_none() {
            self.file.truncate(read.whole_bytes);
            self.checksum = read.checksum;
        }
        self.records = read.records.into_iter().map(|(r, n)| (r.position, (r, n))).collect();
        let end = self.records.keys().next_back().copied().unwrap_or(self.cut);
        assert!(self.hole.is_some() || end == self.last, "{end} {}", self.last);
        self.admit_anew();
    }

    /// Works out anew who may write what next, from what is on the disk.
    fn admit_anew(&mut self) {
        self.admission = Admission::default();
        for (shard, epoch) in &self.owners {
            self.admission.restore_epoch(*shard, *epoch);
        }
        for (_, (record, _)) in self.records.range(self.shelf.position.next()..) {
            // A simulated catalog is always readable.
            let _ = self.admission.restore(record, &mut self.shelf);
        }
    }

    /// What an opening had written and not synced is lost, or is not.
    fn lose(&mut self, opening: u64, loss: Loss) {
        let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.opening == opening)
        else {
            return;
        };
        // Whoever waits for the head waits for a dead one.
        self.head = Arc::default();
        let whole = match loss {
            Loss::All => 0,
            Loss::Nothing => in_flight.records.len(),
            Loss::Torn => {
                let torn_at = self.chance.below(in_flight.bytes.len() as u64) as usize;
                let whole = in_flight.ends.iter().filter(|(end, _)| *end <= torn_at).count();
                let kept = whole.checked_sub(1).map_or(0, |last| in_flight.ends[last].0);
                let tail = in_flight.bytes[kept..torn_at].to_vec();
                self.settle(&in_flight, whole);
                self.file.extend(tail);
                return self.after_loss(&in_flight, whole);
            }
        };
        self.settle(&in_flight, whole);
        self.after_loss(&in_flight, whole);
    }

    /// Others go on with what is there.
    fn after_loss(&mut self, in_flight: &InFlight, whole: usize) {
        if whole == in_flight.records.len() {
            self.admission.commit();
        } else {
            self.admit_anew();
            if whole > 0 {
                // A part of the group is durable: who lives on must read it back.
                self.broken = Some("another writer died in the middle of a group".to_owned());
            }
        }
        if self.file.len() > self.records.values().map(|(_, bytes)| *bytes as usize).sum::<usize>()
            && !self.alive.is_empty()
        {
            // The torn tail of one that died is not written behind.
            self.broken = Some("the tail is torn".to_owned());
        }
    }

    /// Puts the first records of a group on the disk for good.
    fn settle(&mut self, in_flight: &InFlight, whole: usize) {
        let mut from = 0;
        for (record, (end, checksum)) in in_flight.records.iter().zip(&in_flight.ends).take(whole) {
            self.file.extend_from_slice(&in_flight.bytes[from..*end]);
            self.checksum = *checksum;
            self.last = record.position;
            self.records.insert(record.position, (record.clone(), (*end - from) as u64));
            from = *end;
            if let Some(witness) = &self.witness {
                witness.durable(in_flight.opening, record);
            }
        }
    }

    /// Is this opening's process alive?
    fn serves(&self, opening: u64) -> bool {
        self.alive.contains(&opening)
    }
}
