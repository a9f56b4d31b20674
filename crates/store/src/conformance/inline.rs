//! A store whose every call is done when it is first looked at: the runtime never waits for the
//! store's threads, so that a clock that is paused does not run on while they work, and one call is
//! under way at a time.

use std::sync::Arc;

use bytes::Bytes;

use crate::*;

/// The same store, inline.
pub fn inline(store: Store) -> Store {
    let Store { journal, catalog } = store;
    Store { journal: Arc::new(Inline(journal)), catalog: Arc::new(Inline(catalog)) }
}

/// Waits where it is. A runtime lets a task do only so much before it must yield, and what waits inside
/// of one cannot: so none of this counts.
fn done<T>(call: BoxFuture<'_, T>) -> T {
    super::block_on(tokio::task::unconstrained(call))
}

struct Inline<T: ?Sized>(Arc<T>);

macro_rules! inline {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> BoxFuture<'_, $answer> {
            Box::pin(std::future::ready(done(self.0.$name($($argument),*))))
        })*
    };
}

impl Journal for Inline<dyn Journal> {
    fn size(&self) -> JournalSize {
        self.0.size()
    }

    inline! {
        acquire(shard: ShardId) -> Result<Epoch, JournalError>;
        append(batch: Batch) -> Result<Appended, JournalError>;
        claim_holder(key: ClaimKey) -> Result<Option<Holder>, JournalError>;
        replay(after: Position) -> Result<Vec<Record>, JournalError>;
        cut(up_to: Position) -> Result<Position, JournalError>;
        cursor(name: &str) -> Result<Position, JournalError>;
        advance(name: &str, to: Position) -> Result<(), JournalError>;
        forget(name: &str) -> Result<(), JournalError>;
        cursors() -> Result<Vec<Cursor>, JournalError>;
        close() -> ();
    }
}

impl Catalog for Inline<dyn Catalog> {
    fn position(&self) -> Position {
        self.0.position()
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        Box::pin(std::future::ready(done(self.0.due(shard, until, after, limit))))
    }

    inline! {
        checkpoint(checkpoint: Checkpoint) -> Result<Position, CatalogError>;
        read(saga: u128) -> Result<Option<StoredSaga>, CatalogError>;
        list(query: Query) -> Result<Page, CatalogError>;
        counts() -> Result<Vec<Count>, CatalogError>;
        stuck(by: u64) -> Result<Vec<Count>, CatalogError>;
        live(shard: ShardId, after: Option<DueCursor>, limit: usize)
            -> Result<Vec<StoredSaga>, CatalogError>;
        put_definition(definition: Definition) -> Result<(), CatalogError>;
        definition(saga_type: &str, version: u32) -> Result<Option<Definition>, CatalogError>;
        definitions() -> Result<Vec<Definition>, CatalogError>;
        put_note(name: &str, note: Bytes) -> Result<(), CatalogError>;
        note(name: &str) -> Result<Option<Bytes>, CatalogError>;
        put_orphan(orphan: Orphan) -> Result<u64, CatalogError>;
        orphans(after: u64, limit: usize) -> Result<Vec<StoredOrphan>, CatalogError>;
        remove_orphan(number: u64) -> Result<bool, CatalogError>;
        append_audit(audit: Audit) -> Result<AuditEntry, CatalogError>;
        audits(saga: Option<u128>, after: u64, limit: usize)
            -> Result<Vec<AuditEntry>, CatalogError>;
        expire(now: u64, limit: usize) -> Result<Vec<u128>, CatalogError>;
        quarantine(saga: u128, quarantine: Quarantine) -> Result<(), CatalogError>;
        close() -> ();
    }
}
