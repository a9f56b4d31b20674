//! The journal's contract: facts in, one sync a group, read back in order.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::BoxFuture;

/// The most bytes one batch may hold. A start is bounded by 256 KiB of input and a shard drains a
/// few thousand inputs at a time; what is larger is a fault of the caller, and would hold up
/// every other shard's sync.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;

/// About how many bytes of records one call of [`Journal::replay`] reads: enough to make the call
/// cheap, few enough to keep the read transaction short and a publisher's memory small.
pub const REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// A place in the journal: the number of a record, counted from 1. [`Position::START`] is before
/// the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record.
    pub const START: Self = Self(0);

    /// The place of the record after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A shard: the sagas that one task owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// Which owner of a shard: each is one greater than the one it fences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A run of consecutive events of one saga, encoded one after the other by whoever reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The number of the first; a saga's first event is number 1.
    pub first_seq: u64,
    /// How many.
    pub count: u32,
    /// All of them.
    pub bytes: Bytes,
}

impl Events {
    /// The number of the last; one less than `first_seq` when there are none.
    pub const fn last_seq(&self) -> u64 {
        (self.first_seq + self.count as u64).saturating_sub(1)
    }
}

/// What two claims must not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// The idempotency key of a start: held until the saga is deleted.
    Idempotency,
    /// The business key: held until an entry of its saga releases it.
    Business,
}

/// The name of a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    /// What sort of key.
    pub kind: ClaimKind,
    /// The saga type within which the key is unique.
    pub scope: Arc<str>,
    /// The key.
    pub key: Arc<str>,
}

/// A key that a saga takes with its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: ClaimKey,
    /// What the start said, so that the same key with other content is seen.
    pub payload_hash: [u8; 32],
}

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The saga.
    pub saga: u128,
    /// What its start said.
    pub payload_hash: [u8; 32],
}

/// What happened to one saga in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The saga.
    pub saga: u128,
    /// Its next events.
    pub events: Events,
    /// The keys it takes, all of them or none.
    pub claims: Vec<Claim>,
    /// The business keys it lets go. A key that the saga does not hold stays as it is, and an
    /// idempotency key is never let go.
    pub releases: Vec<ClaimKey>,
}

/// What one shard has decided and wants durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The shard.
    pub shard: ShardId,
    /// Its owner.
    pub epoch: Epoch,
    /// In the order in which they were decided.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// About how many bytes it takes in the journal.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| ENTRY_BYTES + entry.bytes()).sum()
    }
}

/// What an entry takes beside its events and keys, rounded up.
const ENTRY_BYTES: usize = 40;

impl Entry {
    fn bytes(&self) -> usize {
        let key = |key: &ClaimKey| ENTRY_BYTES + key.scope.len() + key.key.len();
        let claims: usize = self.claims.iter().map(|claim| 32 + key(&claim.key)).sum();
        let releases: usize = self.releases.iter().map(key).sum();
        self.events.bytes.len() + claims + releases
    }
}

/// A batch that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The record that holds it. Of a batch of which nothing was taken, the one up to which the
    /// answer counts.
    pub position: Position,
    /// The entries that were left out, by their place in the batch. The others are in.
    pub rejected: Vec<(usize, Rejection)>,
}

/// Why an entry was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Another saga holds a key that it claims. Later entries of the same saga in the same batch
    /// are left out with it.
    Claimed {
        /// Which sort of key.
        kind: ClaimKind,
        /// Who holds it.
        saga: u128,
        /// What its start said.
        payload_hash: [u8; 32],
    },
}

/// One group commit, as it is read back. Entries that were rejected are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// What the shards had handed over, in the order in which it was taken.
    pub batches: Vec<Batch>,
}

/// How much the journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalSize {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last record that was cut; the next one is the oldest held.
    pub cut: Position,
    /// The last durable record.
    pub last: Position,
}

/// How far a publisher has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The publisher.
    pub name: String,
    /// Everything up to here has been acknowledged to it.
    pub position: Position,
}

/// Why the journal did not do what it was asked. Nothing of the batch has been written, save for
/// [`Broken`](Self::Broken), after which only recovery tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The shard has a newer owner.
    #[error("shard {} is owned by epoch {} and this writer has epoch {}: it has been replaced and must stop", shard.0, current.0, stale.0)]
    StaleOwner {
        /// The shard.
        shard: ShardId,
        /// Who wanted to write.
        stale: Epoch,
        /// Who may; 0 when nobody has acquired the shard.
        current: Epoch,
    },
    /// The events are not the saga's next ones.
    #[error(
        "saga {saga:032x} continues with event {expected} and the batch brings event {got}: the writer's state is not the durable one, read the saga again"
    )]
    OutOfSequence {
        /// The saga.
        saga: u128,
        /// The number of its next event.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// There is no room on the disk, or the journal's own limit is reached.
    #[error(
        "the journal is full ({what}): free space, or let the catalog catch up; the append may be tried again"
    )]
    Full {
        /// What said so.
        what: String,
    },
    /// Another program holds the file.
    #[error(
        "another program holds the journal's file ({what}): end it, the append may be tried again"
    )]
    Busy {
        /// What said so.
        what: String,
    },
    /// A write or a sync failed, so what is on the disk is not known.
    #[error(
        "the journal cannot be written any more ({what}): restart, so that what is durable is read back"
    )]
    Broken {
        /// What failed first.
        what: String,
    },
    /// The batch is larger than a batch may be.
    #[error("a batch of {bytes} bytes is over the limit of {bytes_max}: hand it over in parts")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// What is asked for has been cut.
    #[error(
        "the journal begins after {cut} and was asked for what follows {asked}: start from the catalog"
    )]
    Cut {
        /// Where reading should have begun.
        asked: Position,
        /// The last record that is gone.
        cut: Position,
    },
    /// A cursor would go back, or past the end.
    #[error(
        "the cursor {name:?} stands at {held} and cannot go to {asked}: the journal ends at {last}"
    )]
    CursorMisplaced {
        /// The publisher.
        name: String,
        /// Where it stands.
        held: Position,
        /// Where it was to go.
        asked: Position,
        /// The end.
        last: Position,
    },
    /// A record is not what was written.
    #[error(
        "the journal is damaged at {position} ({what}): restore the data folder from a backup, nothing has been changed"
    )]
    Damaged {
        /// Which record.
        position: Position,
        /// What is wrong with it.
        what: String,
    },
    /// A batch, cursor name or range that makes no sense.
    #[error("the journal was asked for something malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The store has been closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// May the same call succeed later without anything being read again?
    pub const fn may_be_retried(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy { .. })
    }
}

/// Where facts become durable.
///
/// A shard has one append under way at a time: two that are polled together may be taken in
/// either order. An append whose future is dropped may or may not have been taken.
pub trait Journal: Send + Sync {
    /// Makes the caller the owner of a shard. Every older owner is refused from then on.
    fn acquire(&self, shard: ShardId) -> BoxFuture<'_, Result<Epoch, JournalError>>;

    /// Makes a batch durable: the answer comes after the sync (`semantics.md` S18). An entry is
    /// taken only as the next events of its saga; one that is not refuses the whole batch, as a
    /// stale owner does, and the batches of other shards go on.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, JournalError>>;

    /// Who holds a key, by durable facts.
    fn claim_holder(&self, key: ClaimKey) -> BoxFuture<'_, Result<Option<Holder>, JournalError>>;

    /// The records after a place, in order and without a gap, about [`REPLAY_BYTES`] at a time;
    /// none at the end. What is not as it was written halts (`semantics.md` S20).
    fn replay(&self, after: Position) -> BoxFuture<'_, Result<Vec<Record>, JournalError>>;

    /// Deletes the records up to a place, but none that the catalog does not hold durably and
    /// none that a cursor has not passed. Says how far it went.
    fn cut(&self, up_to: Position) -> BoxFuture<'_, Result<Position, JournalError>>;

    /// How much it holds, as of the last group.
    fn size(&self) -> JournalSize;

    /// Where a publisher stands. One that is new stands at the last cut, and holds back cuts from
    /// then on.
    fn cursor(&self, name: &str) -> BoxFuture<'_, Result<Position, JournalError>>;

    /// Moves a publisher on; durable when answered.
    fn advance(&self, name: &str, to: Position) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Forgets a publisher, so that it no longer holds back cuts.
    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Every publisher, by name.
    fn cursors(&self) -> BoxFuture<'_, Result<Vec<Cursor>, JournalError>>;

    /// Finishes what has been handed over and answers everything later `Closed`.
    fn close(&self) -> BoxFuture<'_, ()>;
}
