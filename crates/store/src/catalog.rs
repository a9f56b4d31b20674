//! The catalog's contract: the journal's checkpoint, and everything that is looked up.

use std::sync::Arc;

use bytes::Bytes;

use crate::audit::{Audit, AuditBreak, AuditEntry};
use crate::query::{Page, Query};
use crate::{BoxFuture, Events, Position, ShardId};

/// How many sagas one checkpoint should bring: about 10 MB written in a fraction of a second, so
/// that neither the write-ahead file nor the wait of a definition behind it grows large.
pub const CHECKPOINT_SAGAS_ADVISED: usize = 16_384;

/// The most orphan replies that are kept. They are never dropped, so the list must say no at some
/// point; a hundred thousand of them is a fault that a person has to look at.
pub const ORPHANS_MAX: u64 = 100_000;

/// What is findable about a saga, as of its last checkpoint. Times are milliseconds of the Unix
/// epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaRow {
    /// The saga.
    pub saga: u128,
    /// Who owns it.
    pub shard: ShardId,
    /// Its type.
    pub saga_type: Arc<str>,
    /// Which version of it.
    pub definition_version: u32,
    /// The content of that version.
    pub definition_hash: [u8; 32],
    /// Its state, a number that the engine gives and the store compares.
    pub state: u8,
    /// Nothing is sent, no timer runs.
    pub paused: bool,
    /// It still owes something, whatever its state: it is read back at recovery.
    pub live: bool,
    /// Its last event.
    pub seq: u64,
    /// When it started. It never changes.
    pub created_at: u64,
    /// When something last happened to it.
    pub updated_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// When a live saga must be read back because a timer of it is due.
    pub due_at: Option<u64>,
    /// When an ended saga is closed.
    pub close_at: Option<u64>,
    /// When a closed saga may be deleted.
    pub expires_at: Option<u64>,
    /// Its business key.
    pub business_key: Option<Arc<str>>,
    /// What a person is needed for: one bit a reason, numbered by the engine.
    pub attention: u32,
    /// From when on it is stuck, unless something happens to it before: the engine says so, and
    /// what happens brings a new row.
    pub stuck_at: Option<u64>,
    /// Why it failed, in a line.
    pub error: Option<String>,
    /// Why it cannot be read; recovery passes it by.
    pub quarantined: Option<String>,
}

/// A saga's new row and what happened since its last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// The row, which replaces the one before.
    pub row: SagaRow,
    /// The events after those the catalog holds, up to the row's `seq`.
    pub events: Events,
}

/// What the journal said up to a place, coalesced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Every event up to here is in the catalog once this checkpoint is. A lower place than the
    /// catalog's own leaves that as it is: so a large checkpoint is brought in parts.
    pub position: Position,
    /// The sagas that moved, each once. A row may be newer than `position`, never newer than what
    /// is durable in the journal.
    pub sagas: Vec<Checkpointed>,
}

/// A saga and all that happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSaga {
    /// Its row.
    pub row: SagaRow,
    /// Its whole history, from event 1 to the row's `seq`.
    pub events: Events,
}

/// How a saga is set aside that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Why it cannot be read.
    pub reason: String,
    /// What a person is needed for beside what the row says already.
    pub attention: u32,
    /// From when on it is stuck; the row's own, which may be earlier, stays where it has one.
    pub stuck_at: Option<u64>,
}

/// How many sagas of a type are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The type.
    pub saga_type: Arc<str>,
    /// The state.
    pub state: u8,
    /// How many.
    pub sagas: u64,
}

/// Where a reading of live sagas goes on: after this saga, in the order of (due, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueCursor {
    /// When the last one read is due; none comes first.
    pub due_at: Option<u64>,
    /// The last one read.
    pub saga: u128,
}

impl DueCursor {
    /// After this row.
    pub const fn after(row: &SagaRow) -> Self {
        Self { due_at: row.due_at, saga: row.saga }
    }
}

/// One version of a saga type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The type.
    pub saga_type: Arc<str>,
    /// The version.
    pub version: u32,
    /// The hash of what is pinned.
    pub hash: [u8; 32],
    /// What is pinned, or the file itself: the store does not read it.
    pub source: Bytes,
    /// When it was first seen.
    pub created_at: u64,
}

/// A reply, authentic, whose saga is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// When it came.
    pub received_at: u64,
    /// The saga it names.
    pub saga: u128,
    /// Over which way it came.
    pub source: String,
    /// All of it.
    pub reply: Bytes,
}

/// An orphan in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrphan {
    /// Its place in the list, counted from 1.
    pub number: u64,
    /// The reply.
    pub orphan: Orphan,
}

/// Why the catalog did not do what it was asked. Nothing has been written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The checkpoint says more than the journal.
    #[error(
        "the checkpoint holds {what} and the journal is durable up to {durable} only: the catalog must never be ahead of the journal"
    )]
    Ahead {
        /// What is ahead.
        what: String,
        /// The journal's end.
        durable: Position,
    },
    /// The checkpoint leaves out a saga that moved.
    #[error(
        "the checkpoint up to {position} leaves out saga {saga:032x}, whose event {seq} is in the journal by then: its events would be lost with the next cut"
    )]
    Incomplete {
        /// The checkpoint's place.
        position: Position,
        /// The saga.
        saga: u128,
        /// Its last event in the journal.
        seq: u64,
    },
    /// The events of a row do not follow those held.
    #[error(
        "saga {saga:032x} is held up to event {held} and the checkpoint brings events {first_seq} to {seq}: read the saga again"
    )]
    OutOfSequence {
        /// The saga.
        saga: u128,
        /// The last event held.
        held: u64,
        /// The first event brought.
        first_seq: u64,
        /// The row's last event.
        seq: u64,
    },
    /// A version exists with other content.
    #[error(
        "version {version} of {saga_type} exists with other content: give the changed definition another version"
    )]
    DefinitionConflict {
        /// The type.
        saga_type: Arc<str>,
        /// The version.
        version: u32,
        /// The content that is there.
        held: [u8; 32],
    },
    /// The list of orphan replies is full.
    #[error(
        "{orphans_max} orphan replies are kept and no more: look at them and remove those that are dealt with"
    )]
    OrphansFull {
        /// The limit.
        orphans_max: u64,
    },
    /// The saga is not in the catalog.
    #[error("saga {saga:032x} is not in the catalog")]
    NoSuchSaga {
        /// The saga.
        saga: u128,
    },
    /// The audit's chain does not hold.
    #[error(transparent)]
    AuditBroken(#[from] AuditBreak),
    /// There is no room on the disk, or the catalog's own limit is reached.
    #[error("the catalog is full ({what}): free space; the call may be tried again")]
    Full {
        /// What said so.
        what: String,
    },
    /// Another program holds the file.
    #[error(
        "another program holds the catalog's file ({what}): end it, the call may be tried again"
    )]
    Busy {
        /// What said so.
        what: String,
    },
    /// A write or a sync failed, so what is on the disk is not known.
    #[error(
        "the catalog cannot be written any more ({what}): restart, so that what is durable is read back"
    )]
    Broken {
        /// What failed first.
        what: String,
    },
    /// What is stored is not what was written.
    #[error("the catalog is damaged ({what}): restore the data folder from a backup")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A query or a row that makes no sense.
    #[error("the catalog was asked for something malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The store has been closed.
    #[error("the catalog is closed")]
    Closed,
}

impl CatalogError {
    /// May the same call succeed later without anything being read again?
    pub const fn may_be_retried(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy { .. })
    }
}

/// Where facts are kept and found. What a call has answered is durable.
pub trait Catalog: Send + Sync {
    /// Takes in what the journal said, in one transaction, and moves the catalog's place. What is
    /// held already changes nothing; a row of the same `seq` replaces the row alone. The claims
    /// of the sagas come along by themselves, out of the journal. Answers the catalog's place.
    fn checkpoint(&self, checkpoint: Checkpoint) -> BoxFuture<'_, Result<Position, CatalogError>>;

    /// Everything up to here is in the catalog, durably. Replay starts after it.
    fn position(&self) -> Position;

    /// A saga and its history.
    fn read(&self, saga: u128) -> BoxFuture<'_, Result<Option<StoredSaga>, CatalogError>>;

    /// Rows by what they say, a page at a time.
    fn list(&self, query: Query) -> BoxFuture<'_, Result<Page, CatalogError>>;

    /// How many sagas of each type are in each state; those that are none are not named.
    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>>;

    /// How many sagas of each type and state are stuck by then; those that are none are not named.
    fn stuck(&self, by: u64) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>>;

    /// Live sagas of a shard that are due at `until` or before, by (due, id).
    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>>;

    /// All live sagas of a shard by (due, id), those with nothing due first. Quarantined ones are
    /// in neither.
    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>>;

    /// Keeps a version of a saga type. The same content again changes nothing.
    fn put_definition(&self, definition: Definition) -> BoxFuture<'_, Result<(), CatalogError>>;

    /// One version.
    fn definition(
        &self,
        saga_type: &str,
        version: u32,
    ) -> BoxFuture<'_, Result<Option<Definition>, CatalogError>>;

    /// All versions, by type and version.
    fn definitions(&self) -> BoxFuture<'_, Result<Vec<Definition>, CatalogError>>;

    /// Keeps something that is about no saga, under a name, in place of what was there.
    fn put_note(&self, name: &str, note: Bytes) -> BoxFuture<'_, Result<(), CatalogError>>;

    /// What was last kept under a name.
    fn note(&self, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, CatalogError>>;

    /// Keeps a reply whose saga is gone; answers its number.
    fn put_orphan(&self, orphan: Orphan) -> BoxFuture<'_, Result<u64, CatalogError>>;

    /// Orphans with a number above `after`, by number.
    fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredOrphan>, CatalogError>>;

    /// Takes an orphan out of the list, because a person has dealt with it. Was it there?
    fn remove_orphan(&self, number: u64) -> BoxFuture<'_, Result<bool, CatalogError>>;

    /// Adds to the audit, whose entries are chained by their hashes.
    fn append_audit(&self, audit: Audit) -> BoxFuture<'_, Result<AuditEntry, CatalogError>>;

    /// Audit entries with a number above `after`, by number; of one saga when it is named. The
    /// chain of what is read is checked when all are read.
    fn audits(
        &self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditEntry>, CatalogError>>;

    /// Deletes ended sagas whose `close_at` and `expires_at` have passed, with their history and
    /// claims, at most `limit` of them, the longest expired first. A saga of which the journal
    /// knows more than the catalog waits, and so does one that is quarantined: a person is to look
    /// at it. Answers those deleted.
    fn expire(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Vec<u128>, CatalogError>>;

    /// Marks a saga as unreadable: it stays, and is found, but recovery passes it by.
    fn quarantine(
        &self,
        saga: u128,
        quarantine: Quarantine,
    ) -> BoxFuture<'_, Result<(), CatalogError>>;

    /// Finishes what has been handed over and answers everything later `Closed`.
    fn close(&self) -> BoxFuture<'_, ()>;
}
