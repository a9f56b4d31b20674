//! What the catalog holds durably, and how it is found. The sets are small, so everything is looked
//! for by looking at all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_store::{
    Archived, AuditEntry, CatalogError, Checkpoint, ClaimKey, Count, Definition, DueCursor, Events,
    Holder, JournalError, ListCursor, Order, Orphan, PAGE_ROWS_MAX, Page, Position, Query, SagaRow,
    ShardId, StoredSaga,
};
use bytes::Bytes;

/// See the module.
#[derive(Default)]
pub struct Shelf {
    pub position: Position,
    pub sagas: BTreeMap<u128, Kept>,
    pub claims: BTreeMap<ClaimKey, Holder>,
    pub definitions: BTreeMap<(Arc<str>, u32), Definition>,
    pub notes: BTreeMap<String, Bytes>,
    pub orphans: BTreeMap<u64, Orphan>,
    pub orphans_taken: u64,
    pub audits: Vec<AuditEntry>,
}

/// A saga's row and its whole history.
pub struct Kept {
    pub row: SagaRow,
    pub events: Vec<u8>,
}

impl Kept {
    fn stored(&self) -> StoredSaga {
        let count = u32::try_from(self.row.seq).unwrap_or(u32::MAX);
        let events = Events { first_seq: 1, count, bytes: Bytes::copy_from_slice(&self.events) };
        StoredSaga { row: self.row.clone(), events }
    }
}

impl Archived for Shelf {
    fn seq(&mut self, saga: u128) -> Result<Option<u64>, JournalError> {
        Ok(self.sagas.get(&saga).map(|kept| kept.row.seq))
    }

    fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError> {
        Ok(self.claims.get(key).cloned())
    }
}

impl Shelf {
    /// Does every row follow what is held?
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), CatalogError> {
        let mut seen = std::collections::BTreeSet::new();
        for brought in &checkpoint.sagas {
            let (saga, seq) = (brought.row.saga, brought.row.seq);
            if !seen.insert(saga) {
                let what = format!("a checkpoint with saga {saga:032x} twice");
                return Err(CatalogError::Malformed { what });
            }
            let held = self.sagas.get(&saga).map_or(0, |kept| kept.row.seq);
            let first_seq = brought.events.first_seq;
            if seq > held && (first_seq != held + 1 || brought.events.last_seq() != seq) {
                return Err(CatalogError::OutOfSequence { saga, held, first_seq, seq });
            }
        }
        Ok(())
    }

    /// Takes the rows in.
    pub fn take(&mut self, checkpoint: Checkpoint) {
        for brought in checkpoint.sagas {
            let row = brought.row;
            match self.sagas.get_mut(&row.saga) {
                Some(kept) if kept.row.seq > row.seq => {}
                Some(kept) => {
                    if kept.row.seq < row.seq {
                        kept.events.extend_from_slice(&brought.events.bytes);
                    }
                    kept.row = row;
                }
                None => {
                    let events = brought.events.bytes.to_vec();
                    self.sagas.insert(row.saga, Kept { row, events });
                }
            }
        }
        self.position = self.position.max(checkpoint.position);
    }

    pub fn read(&self, saga: u128) -> Option<StoredSaga> {
        self.sagas.get(&saga).map(Kept::stored)
    }

    pub fn counts(&self, of: impl Fn(&SagaRow) -> bool) -> Vec<Count> {
        let mut counts = BTreeMap::new();
        for Kept { row, .. } in self.sagas.values().filter(|kept| of(&kept.row)) {
            *counts.entry((Arc::clone(&row.saga_type), row.state)).or_default() += 1;
        }
        let count = |((saga_type, state), sagas)| Count { saga_type, state, sagas };
        counts.into_iter().map(count).collect()
    }

    pub fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        fits: impl Fn(&SagaRow) -> bool,
        limit: usize,
    ) -> Vec<StoredSaga> {
        let mut found: Vec<&Kept> = self
            .sagas
            .values()
            .filter(|Kept { row, .. }| {
                row.shard == shard && row.live && row.quarantined.is_none() && fits(row)
            })
            .filter(|kept| after.is_none_or(|after| DueCursor::after(&kept.row) > after))
            .collect();
        found.sort_unstable_by_key(|kept| DueCursor::after(&kept.row));
        found.into_iter().take(limit.min(PAGE_ROWS_MAX)).map(Kept::stored).collect()
    }

    pub fn list(&self, query: &Query) -> Result<Page, CatalogError> {
        let wanted = query.page_rows()?;
        let mut rows: Vec<&SagaRow> = self.sagas.values().map(|kept| &kept.row).collect();
        rows.sort_unstable_by_key(|row| (row.created_at, row.saga));
        if query.order == Order::NewestFirst {
            rows.reverse();
        }
        let behind = |row: &&SagaRow| {
            query.after.is_none_or(|after| {
                let (at, held) = ((row.created_at, row.saga), (after.created_at, after.saga));
                if query.order == Order::NewestFirst { at < held } else { at > held }
            })
        };
        let mut fits = rows.into_iter().filter(behind).filter(|row| query.matches(row));
        let rows: Vec<SagaRow> = fits.by_ref().take(wanted).cloned().collect();
        let next = fits.next().and(rows.last()).map(ListCursor::after);
        Ok(Page { rows, next, as_of: self.position })
    }

    /// Ended sagas whose time to be deleted has come, the longest expired first.
    pub fn expired(&self, now: u64, limit: usize) -> Vec<u128> {
        let passed = |at: Option<u64>| at.is_some_and(|at| at <= now);
        let mut expired: Vec<_> = self
            .sagas
            .values()
            .map(|kept| &kept.row)
            .filter(|row| !row.live && row.quarantined.is_none())
            .filter(|row| passed(row.expires_at) && row.close_at.is_none_or(|at| at <= now))
            .map(|row| (row.expires_at, row.saga))
            .collect();
        expired.sort_unstable();
        expired.into_iter().take(limit.min(PAGE_ROWS_MAX)).map(|(_, saga)| saga).collect()
    }

    pub fn delete(&mut self, saga: u128) {
        self.sagas.remove(&saga);
        self.claims.retain(|_, holder| holder.saga != saga);
    }
}
