//! What the engine asks of a store: a journal that makes facts durable and a catalog that keeps
//! them findable, with an in-memory store and the suite that every store passes.
//!
//! The journal is a write-ahead log, one record and one sync a group commit. The catalog is its
//! checkpoint and archive, written behind it in large transactions. A store knows nothing of the
//! machine: a saga is a number, its events are bytes that it keeps in order and never reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

mod admission;
mod audit;
mod catalog;
#[cfg(feature = "conformance")]
pub mod conformance;
mod journal;
pub mod memory;
mod query;

pub use admission::{Admission, Archived, Settled, SettledClaim};
pub use audit::{Audit, AuditBreak, AuditEntry, AuditHash, check_audit};
pub use catalog::{
    CHECKPOINT_SAGAS_ADVISED, Catalog, CatalogError, Checkpoint, Checkpointed, Count, Definition,
    DueCursor, ORPHANS_MAX, Orphan, Quarantine, SagaRow, StoredOrphan, StoredSaga,
};
pub use journal::{
    Appended, BATCH_BYTES_MAX, Batch, Claim, ClaimKey, ClaimKind, Cursor, Entry, Epoch, Events,
    Holder, Journal, JournalError, JournalSize, Position, REPLAY_BYTES, Record, Rejection, ShardId,
};
pub use query::{
    AttentionFilter, ListCursor, Order, PAGE_ROWS_MAX, Page, Query, SCAN_ROWS_MAX, StuckFilter,
};

/// What every call answers with: the work is done on the store's own threads, and dropping the
/// future does not undo what has been handed over.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What opening a store gives.
#[derive(Clone)]
pub struct Store {
    /// Where facts become durable.
    pub journal: Arc<dyn Journal>,
    /// Where they are kept and found.
    pub catalog: Arc<dyn Catalog>,
}

impl Store {
    /// Ends both in order: what has been handed over is finished, everything later is answered
    /// `Closed`. Dropping a store without it loses nothing that was acknowledged.
    pub async fn close(&self) {
        self.catalog.close().await;
        self.journal.close().await;
    }
}
