//! The catalog in memory.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::sync::MutexGuard;

use bytes::{Bytes, BytesMut};

use super::{Archive, Content, Disk, Fault, KeptSaga};
use crate::{
    Audit, AuditEntry, BoxFuture, Catalog, CatalogError, Checkpoint, Checkpointed, Count,
    Definition, DueCursor, Events, ListCursor, ORPHANS_MAX, Order, Orphan, PAGE_ROWS_MAX, Page,
    Position, Quarantine, Query, SCAN_ROWS_MAX, SagaRow, SettledClaim, ShardId, StoredOrphan,
    StoredSaga, StuckFilter, check_audit,
};

pub(super) struct MemoryCatalog {
    pub(super) disk: Disk,
    pub(super) opening: u64,
}

impl MemoryCatalog {
    fn with<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, CatalogError>,
    ) -> BoxFuture<'a, Result<T, CatalogError>> {
        Box::pin(ready(self.open_content().and_then(|mut content| work(&mut content))))
    }

    fn open_content(&self) -> Result<MutexGuard<'_, Content>, CatalogError> {
        let content = self.disk.content();
        if content.closed || content.opening != self.opening {
            return Err(CatalogError::Closed);
        }
        Ok(content)
    }
}

impl Catalog for MemoryCatalog {
    fn checkpoint(&self, checkpoint: Checkpoint) -> BoxFuture<'_, Result<Position, CatalogError>> {
        self.with(|content| content.checkpoint(checkpoint))
    }

    fn position(&self) -> Position {
        self.disk.content().archive.position
    }

    fn read(&self, saga: u128) -> BoxFuture<'_, Result<Option<StoredSaga>, CatalogError>> {
        self.with(|content| Ok(content.archive.sagas.get(&saga).map(KeptSaga::stored)))
    }

    fn list(&self, query: Query) -> BoxFuture<'_, Result<Page, CatalogError>> {
        self.with(|content| content.archive.list(&query))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        self.with(|content| Ok(content.archive.counts(|_| true)))
    }

    fn stuck(&self, by: u64) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        self.with(|content| Ok(content.archive.counts(|row| StuckFilter::By(by).holds(row))))
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        let nothing_due = DueCursor { due_at: None, saga: u128::MAX };
        let after = after.unwrap_or(nothing_due).max(nothing_due);
        let until = DueCursor { due_at: Some(until), saga: u128::MAX };
        self.with(|content| Ok(content.archive.live(shard, Some(after), until, limit)))
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        let until = DueCursor { due_at: Some(u64::MAX), saga: u128::MAX };
        self.with(|content| Ok(content.archive.live(shard, after, until, limit)))
    }

    fn put_definition(&self, definition: Definition) -> BoxFuture<'_, Result<(), CatalogError>> {
        self.with(|content| {
            let Definition { saga_type, version, hash, .. } = &definition;
            let (key, hash) = ((saga_type.clone(), *version), *hash);
            let held = content.definitions.entry(key).or_insert(definition);
            if held.hash != hash {
                return Err(CatalogError::DefinitionConflict {
                    saga_type: held.saga_type.clone(),
                    version: held.version,
                    held: held.hash,
                });
            }
            Ok(())
        })
    }

    fn definition(
        &self,
        saga_type: &str,
        version: u32,
    ) -> BoxFuture<'_, Result<Option<Definition>, CatalogError>> {
        let key = (saga_type.into(), version);
        self.with(|content| Ok(content.definitions.get(&key).cloned()))
    }

    fn definitions(&self) -> BoxFuture<'_, Result<Vec<Definition>, CatalogError>> {
        self.with(|content| Ok(content.definitions.values().cloned().collect()))
    }

    fn put_note(&self, name: &str, note: Bytes) -> BoxFuture<'_, Result<(), CatalogError>> {
        let name = name.to_owned();
        self.with(|content| {
            content.notes.insert(name, note);
            Ok(())
        })
    }

    fn note(&self, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, CatalogError>> {
        let name = name.to_owned();
        self.with(move |content| Ok(content.notes.get(&name).cloned()))
    }

    fn put_orphan(&self, orphan: Orphan) -> BoxFuture<'_, Result<u64, CatalogError>> {
        self.with(|content| {
            if content.orphans.len() as u64 >= ORPHANS_MAX {
                return Err(CatalogError::OrphansFull { orphans_max: ORPHANS_MAX });
            }
            content.orphans_taken += 1;
            content.orphans.insert(content.orphans_taken, orphan);
            Ok(content.orphans_taken)
        })
    }

    fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredOrphan>, CatalogError>> {
        self.with(|content| {
            let page = content.orphans.range(after.saturating_add(1)..).take(rows(limit));
            let stored = |(&number, o): (&u64, &Orphan)| StoredOrphan { number, orphan: o.clone() };
            Ok(page.map(stored).collect())
        })
    }

    fn remove_orphan(&self, number: u64) -> BoxFuture<'_, Result<bool, CatalogError>> {
        self.with(|content| Ok(content.orphans.remove(&number).is_some()))
    }

    fn append_audit(&self, audit: Audit) -> BoxFuture<'_, Result<AuditEntry, CatalogError>> {
        self.with(|content| {
            let before = content.audits.last().map(|entry| (entry.number, entry.hash));
            let entry = AuditEntry::following(before, audit);
            content.audits.push(entry.clone());
            Ok(entry)
        })
    }

    fn audits(
        &self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditEntry>, CatalogError>> {
        self.with(|content| {
            let entries = content.audits.iter().filter(|entry| {
                entry.number > after && (saga.is_none() || entry.audit.saga == saga)
            });
            let page: Vec<_> = entries.take(rows(limit)).cloned().collect();
            if saga.is_none()
                && let Some(first) = page.first()
            {
                let before = first.number.checked_sub(2).map(|at| &content.audits[at as usize]);
                check_audit(before.map(|entry| (entry.number, entry.hash)), &page)?;
            }
            Ok(page)
        })
    }

    fn expire(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Vec<u128>, CatalogError>> {
        self.with(|content| {
            let passed = |at: Option<u64>| at.is_some_and(|at| at <= now);
            let mut expired: Vec<_> = content
                .archive
                .sagas
                .values()
                .map(|kept| &kept.row)
                .filter(|row| {
                    !row.live
                        && row.quarantined.is_none()
                        && passed(row.expires_at)
                        && row.close_at.is_none_or(|at| at <= now)
                })
                .map(|row| (row.expires_at, row.saga))
                .collect();
            expired.sort_unstable();
            expired.truncate(rows(limit));
            let expired = content.admission.retire(expired.into_iter().map(|(_, saga)| saga));
            for saga in &expired {
                content.archive.delete(*saga);
            }
            content.admission.retired();
            Ok(expired)
        })
    }

    fn quarantine(
        &self,
        saga: u128,
        quarantine: Quarantine,
    ) -> BoxFuture<'_, Result<(), CatalogError>> {
        self.with(|content| {
            let Some(kept) = content.archive.sagas.get_mut(&saga) else {
                return Err(CatalogError::NoSuchSaga { saga });
            };
            kept.row.quarantined = Some(quarantine.reason);
            kept.row.attention |= quarantine.attention;
            kept.row.stuck_at = kept.row.stuck_at.or(quarantine.stuck_at);
            let (shard, due) = (kept.row.shard, DueCursor::after(&kept.row));
            content.archive.by_due.remove(&(shard, due));
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The journal closes both; a catalog has nothing of its own to finish.
        Box::pin(ready(()))
    }
}

fn rows(limit: usize) -> usize {
    limit.min(PAGE_ROWS_MAX)
}

impl Content {
    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<Position, CatalogError> {
        let mut rows = HashMap::with_capacity(checkpoint.sagas.len());
        for Checkpointed { row, events } in &checkpoint.sagas {
            if rows.insert(row.saga, row.seq).is_some() {
                let what = format!("a checkpoint with saga {:032x} twice", row.saga);
                return Err(CatalogError::Malformed { what });
            }
            let held = self.archive.sagas.get(&row.saga).map_or(0, |kept| kept.row.seq);
            let follows = events.first_seq == held + 1 && events.last_seq() == row.seq;
            if row.seq > held && !follows {
                let (saga, first_seq, seq) = (row.saga, events.first_seq, row.seq);
                return Err(CatalogError::OutOfSequence { saga, held, first_seq, seq });
            }
        }
        let position = checkpoint.position;
        let settled = self.admission.settle(position, self.last, &rows, &mut self.archive)?;
        if self.fault(&[Fault::CatalogFull]).is_some() {
            return Err(CatalogError::Full { what: "as a test wants it".to_owned() });
        }
        for saga in checkpoint.sagas {
            self.archive.put(saga);
        }
        for SettledClaim { key, holder, .. } in &settled.claims {
            match holder {
                Some(holder) => self.archive.claims.insert(key.clone(), holder.clone()),
                None => self.archive.claims.remove(key),
            };
        }
        self.archive.position = self.archive.position.max(position);
        self.admission.forget(self.archive.position, &rows, &settled);
        Ok(self.archive.position)
    }
}

impl KeptSaga {
    fn stored(&self) -> StoredSaga {
        let mut bytes = BytesMut::new();
        for part in &self.events {
            bytes.extend_from_slice(part);
        }
        let count = u32::try_from(self.row.seq).unwrap_or(u32::MAX);
        let events = Events { first_seq: 1, count, bytes: bytes.freeze() };
        StoredSaga { row: self.row.clone(), events }
    }
}

impl Archive {
    fn counts(&self, of: impl Fn(&SagaRow) -> bool) -> Vec<Count> {
        let mut counts = BTreeMap::new();
        for KeptSaga { row, .. } in self.sagas.values().filter(|kept| of(&kept.row)) {
            *counts.entry((row.saga_type.clone(), row.state)).or_default() += 1;
        }
        let count = |((saga_type, state), sagas)| Count { saga_type, state, sagas };
        counts.into_iter().map(count).collect()
    }

    fn put(&mut self, Checkpointed { row, events }: Checkpointed) {
        let (saga, seq) = (row.saga, row.seq);
        let mut parts: Vec<Bytes> = Vec::new();
        if let Some(old) = self.sagas.remove(&saga) {
            if old.row.seq > seq {
                self.sagas.insert(saga, old);
                return;
            }
            self.unlist(&old.row);
            parts = old.events;
            if old.row.seq < seq {
                parts.push(events.bytes);
            }
        } else {
            parts.push(events.bytes);
        }
        self.by_creation.insert((row.created_at, saga));
        if row.live && row.quarantined.is_none() {
            self.by_due.insert((row.shard, DueCursor::after(&row)));
        }
        self.sagas.insert(saga, KeptSaga { row, events: parts });
    }

    fn delete(&mut self, saga: u128) {
        if let Some(old) = self.sagas.remove(&saga) {
            self.unlist(&old.row);
        }
        self.claims.retain(|_, holder| holder.saga != saga);
    }

    fn unlist(&mut self, row: &SagaRow) {
        self.by_creation.remove(&(row.created_at, row.saga));
        self.by_due.remove(&(row.shard, DueCursor::after(row)));
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        until: DueCursor,
        limit: usize,
    ) -> Vec<StoredSaga> {
        let from = after.unwrap_or(DueCursor { due_at: None, saga: 0 });
        if from > until {
            return Vec::new();
        }
        self.by_due
            .range((shard, from)..=(shard, until))
            .filter(|(_, at)| Some(*at) != after)
            .take(rows(limit))
            .filter_map(|(_, at)| self.sagas.get(&at.saga).map(KeptSaga::stored))
            .collect()
    }

    fn list(&self, query: &Query) -> Result<Page, CatalogError> {
        let wanted = query.page_rows()?;
        let mut page = Page { rows: Vec::new(), next: None, as_of: self.position };
        let after = query.after.map(|cursor| (cursor.created_at, cursor.saga));
        let keys: &mut dyn Iterator<Item = &(u64, u128)> = match query.order {
            Order::NewestFirst => {
                &mut self.by_creation.range(..after.unwrap_or((u64::MAX, u128::MAX))).rev()
            }
            Order::OldestFirst => &mut self.by_creation.range(after.unwrap_or((0, 0))..),
        };
        let keys = keys.filter(|key| Some(**key) != after);
        for (looked_at, (_, saga)) in keys.enumerate() {
            if page.rows.len() == wanted || looked_at == SCAN_ROWS_MAX {
                return Ok(page);
            }
            let Some(KeptSaga { row, .. }) = self.sagas.get(saga) else { continue };
            page.next = Some(ListCursor::after(row));
            if query.matches(row) {
                page.rows.push(row.clone());
            }
        }
        page.next = None;
        Ok(page)
    }
}
