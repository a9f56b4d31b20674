//! The mistakes, each one that a store could make and still look right at first sight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_store::conformance::Installation;
use amends_store::memory::Disk;
use amends_store::{
    BoxFuture, ClaimKey, Count, Holder, Position, SagaRow, ShardId, Store, StoredSaga,
};

use crate::catalog::MistakenCatalog;
use crate::journal::MistakenJournal;

macro_rules! mistakes {
    ($($name:ident = $words:literal,)*) => {
        /// A mistake that a store makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mistake { $($name,)* }

        /// All of them, with what each is in words.
        pub const MISTAKES: &[(Mistake, &str)] = &[$((Mistake::$name, $words),)*];
    };
}

mistakes! {
    ForgetsAnEntry = "forgets the last entry of a batch of several",
    TakesWhatARepeatBrings = "answers a refused repeat as if it were taken",
    IgnoresTheEpoch = "takes what a replaced owner writes",
    GivesAnEpochTwice = "gives two owners the same epoch",
    RestartsEpochs = "begins with epoch 1 again at every opening",
    DropsTheBatchOfARejection = "leaves all of a batch out when one entry is rejected",
    ReleasesIdempotencyKeys = "lets an idempotency key go that an entry releases",
    NeverReleases = "keeps a business key that was released",
    KeepsKeysOfTheDeleted = "keeps the keys of a saga after its expiry",
    ForgetsClaimsAtReopening = "forgets at a reopening who holds a key",
    TakesAnyBatch = "takes a batch over the limit",
    ReadsFromBeforeTheCommit = "reads from before the last commit",
    LosesTheLastRecord = "loses the last record at a reopening",
    ReplaysBackwards = "replays a page from its end",
    ReplaysTheFirstAgain = "replays the record again after which it was asked",
    ReplaysOverTheCut = "says nothing of a cut to who asks for what is gone",
    CutsPastCursors = "cuts what a publisher has not read",
    LetsACursorGoBack = "answers a cursor that goes back as if it went",
    StartsCursorsAtTheEnd = "lets a new publisher begin at the end",
    LosesCursors = "loses the publishers at a reopening",
    CountsCutRecords = "counts records that were cut",
    ForgetsASaga = "forgets the last saga of a checkpoint of several",
    TakesAnOlderRow = "takes an older row for the newer one",
    MovesThePlaceTooFar = "says that it holds what a refused checkpoint would have brought",
    TakesAnIncompleteCheckpoint = "answers an incomplete checkpoint as if it were taken",
    KeepsTheLastPartOnly = "keeps the last part of a history only",
    MixesTheParts = "gives a history's last part first",
    LosesTheError = "loses why a saga failed",
    RoundsTimes = "rounds times to seconds",
    OrdersTimersById = "orders timers by saga and not by time",
    MissesTheMoment = "leaves out what is due at the very moment",
    NeverEndsDue = "begins again with every page of what is due",
    PutsTheTimelessLast = "gives live sagas with nothing due last",
    RecoversTheUnreadable = "gives a saga to recovery that was set aside",
    MixesShards = "gives a shard the live sagas of all",
    ListsInOneOrder = "lists the newest first whatever is asked",
    SkipsTheSameMoment = "leaves out of the next page what was created in the same moment",
    IgnoresPaused = "lists paused sagas with the others",
    IgnoresText = "finds everything whatever is typed",
    IgnoresTheKey = "lists every saga for a business key",
    TurnsStuckRound = "lists those that are not stuck as stuck",
    CountsOnce = "counts sagas as they were before the last checkpoint",
    KeepsAfterExpiry = "says that a saga is deleted and still reads it",
    DeletesWithoutLimit = "deletes more than it was asked to",
    QuarantineTakesAttention = "loses what a saga needed a person for when it is set aside",
    QuarantineMovesStuck = "moves the moment from which on a saga is stuck when it is set aside",
    OverwritesDefinitions = "answers a version with other content as if it were the same",
    LosesDefinitions = "loses definitions at a reopening",
    KeepsTheFirstNote = "keeps the first note of a name and not the last",
    LosesNotes = "loses notes at a reopening",
    ListsOrphansFromThere = "lists the orphan again after which it was asked",
    FindsEveryOrphan = "says that an orphan was there which was not",
    BreaksTheChain = "begins the audit's chain anew at every entry",
    MixesAudits = "gives the audit of all sagas for that of one",
    ServesWhenClosed = "goes on when it is closed",
}

/// What a mistaken store remembers beside what it should.
#[derive(Default)]
pub struct Memory {
    /// How often it was opened.
    pub openings: u64,
    /// Keys that were released though they cannot be.
    pub released: BTreeSet<ClaimKey>,
    /// Holders that it has ever told.
    pub holders: BTreeMap<ClaimKey, Holder>,
    /// Keys claimed before this opening.
    pub forgotten: BTreeSet<ClaimKey>,
    /// Keys claimed since.
    pub claimed: BTreeSet<ClaimKey>,
    /// Records that it does not show.
    pub hidden: Option<Position>,
    /// The last owners.
    pub epochs: BTreeMap<ShardId, u64>,
    /// Records ever appended.
    pub records: u64,
    /// The place that it says it holds.
    pub place: Position,
    /// The row that came last for a saga.
    pub rows: BTreeMap<u128, SagaRow>,
    /// How many bytes the last part of a history has.
    pub parts: BTreeMap<u128, usize>,
    /// Counts before the last checkpoint.
    pub counts: Vec<Count>,
    /// Sagas that were read.
    pub read: BTreeMap<u128, StoredSaga>,
    /// Definitions and notes before this opening.
    pub lost: BTreeSet<String>,
    /// Those since.
    pub kept: BTreeSet<String>,
}

/// A disk on which every store makes the same mistake; without one it makes none.
pub struct Mistaken {
    disk: Disk,
    mistake: Option<Mistake>,
    memory: Arc<Mutex<Memory>>,
}

impl Mistaken {
    /// An empty one.
    pub fn by(mistake: Option<Mistake>) -> Self {
        Self { disk: Disk::new(), mistake, memory: Arc::default() }
    }
}

impl Installation for Mistaken {
    fn open(&self) -> BoxFuture<'_, Store> {
        Box::pin(async {
            let store = self.disk.open();
            let shared =
                Shared { inner: store, mistake: self.mistake, memory: Arc::clone(&self.memory) };
            shared.reopened().await;
            Store {
                journal: Arc::new(MistakenJournal(shared.clone())),
                catalog: Arc::new(MistakenCatalog(shared)),
            }
        })
    }
}

/// What both halves of a mistaken store share.
#[derive(Clone)]
pub struct Shared {
    /// The store that makes no mistake.
    pub inner: Store,
    mistake: Option<Mistake>,
    memory: Arc<Mutex<Memory>>,
}

impl Shared {
    /// Is it this one?
    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// What it remembers.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that goes on when it is closed keeps the inner store open.
    pub async fn close_journal(&self) {
        if !self.makes(Mistake::ServesWhenClosed) {
            self.inner.journal.close().await;
        }
    }

    async fn reopened(&self) {
        let last = self.inner.journal.size().last;
        {
            let mut memory = self.memory();
            memory.openings += 1;
            memory.epochs.clear();
            let claimed = std::mem::take(&mut memory.claimed);
            memory.forgotten.extend(claimed);
            let kept = std::mem::take(&mut memory.kept);
            memory.lost.extend(kept);
            memory.hidden = (memory.openings > 1).then_some(last);
        }
        if self.makes(Mistake::LosesCursors) {
            for cursor in self.inner.journal.cursors().await.unwrap_or_default() {
                self.inner.journal.forget(&cursor.name).await.unwrap_or_default();
            }
        }
    }
}
