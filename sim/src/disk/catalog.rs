//! The catalog on the simulated disk: one transaction at a time, which is there whole or not at all.

use std::collections::HashMap;
use std::time::Duration;

use amends_store::{
    Audit, AuditEntry, BoxFuture, Catalog, CatalogError, Checkpoint, Count, Definition, DueCursor,
    ORPHANS_MAX, Orphan, PAGE_ROWS_MAX, Page, Position, Quarantine, Query, SettledClaim, ShardId,
    StoredOrphan, StoredSaga, StuckFilter, check_audit,
};
use bytes::Bytes;

use super::{Content, Disk};

pub(super) struct SimCatalog {
    pub(super) disk: Disk,
    pub(super) opening: u64,
}

impl SimCatalog {
    /// A transaction: it takes its time before it happens, and some until that is answered.
    fn writing<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut Content) -> Result<T, CatalogError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, CatalogError>> {
        let (disk, opening) = (self.disk.clone(), self.opening);
        Box::pin(async move {
            pause(&disk).await;
            let head = disk.content().head.clone();
            let alone = head.lock().await;
            let done = served(&disk, opening, |content| {
                if opening < content.newest_owner {
                    let what = "the shards have another owner".to_owned();
                    return Err(CatalogError::Broken { what });
                }
                if content.weather.catalog_full {
                    return Err(CatalogError::Full { what: "the simulated disk".to_owned() });
                }
                work(content)
            });
            drop(alone);
            answer(&disk, opening, done).await
        })
    }

    /// A reading: of the catalog as it is somewhere in the middle of the time that it takes.
    fn reading<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&Content) -> Result<T, CatalogError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, CatalogError>> {
        let (disk, opening) = (self.disk.clone(), self.opening);
        Box::pin(async move {
            pause(&disk).await;
            let done = served(&disk, opening, |content| work(content));
            answer(&disk, opening, done).await
        })
    }
}

/// Does the work, unless the process is dead (`None`) or has closed its store.
fn served<T>(
    disk: &Disk,
    opening: u64,
    work: impl FnOnce(&mut Content) -> Result<T, CatalogError>,
) -> Option<Result<T, CatalogError>> {
    let mut content = disk.content();
    if !content.serves(opening) {
        return None;
    }
    if content.closed.contains(&opening) {
        return Some(Err(CatalogError::Closed));
    }
    Some(work(&mut content))
}

/// Half of the time that something takes.
async fn pause(disk: &Disk) {
    let spent = {
        let mut content = disk.content();
        let (usual, longest) = content.weather.catalog_ms;
        content.chance.span(usual / 2, longest / 2)
    };
    tokio::time::sleep(Duration::from_millis(spent)).await;
}

/// The other half; a dead process is never answered.
async fn answer<T>(
    disk: &Disk,
    opening: u64,
    done: Option<Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    pause(disk).await;
    let alive = disk.content().serves(opening);
    match done.filter(|_| alive) {
        Some(done) => done,
        None => std::future::pending().await,
    }
}

impl Catalog for SimCatalog {
    fn checkpoint(&self, checkpoint: Checkpoint) -> BoxFuture<'_, Result<Position, CatalogError>> {
        self.writing(|content| {
            content.shelf.check(&checkpoint)?;
            let rows: HashMap<u128, u64> = checkpoint
                .sagas
                .iter()
                .map(|brought| (brought.row.saga, brought.row.seq))
                .collect();
            let (position, last) = (checkpoint.position, content.last);
            let settled = content.admission.settle(position, last, &rows, &mut content.shelf);
            if content.flaws.parts_taken && settled.is_err() {
                content.shelf.take(checkpoint);
                return Ok(content.shelf.position);
            }
            let settled = settled?;
            content.shelf.take(checkpoint);
            for SettledClaim { key, holder, .. } in &settled.claims {
                match holder {
                    Some(holder) => content.shelf.claims.insert(key.clone(), holder.clone()),
                    None => content.shelf.claims.remove(key),
                };
            }
            let position = content.shelf.position;
            content.admission.forget(position, &rows, &settled);
            Ok(position)
        })
    }

    fn position(&self) -> Position {
        self.disk.content().shelf.position
    }

    fn read(&self, saga: u128) -> BoxFuture<'_, Result<Option<StoredSaga>, CatalogError>> {
        self.reading(move |content| Ok(content.shelf.read(saga)))
    }

    fn list(&self, query: Query) -> BoxFuture<'_, Result<Page, CatalogError>> {
        self.reading(move |content| content.shelf.list(&query))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        self.reading(|content| Ok(content.shelf.counts(|_| true)))
    }

    fn stuck(&self, by: u64) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        self.reading(move |content| Ok(content.shelf.counts(|row| StuckFilter::By(by).holds(row))))
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        self.reading(move |content| {
            let due = |row: &amends_store::SagaRow| row.due_at.is_some_and(|at| at <= until);
            Ok(content.shelf.live(shard, after, due, limit))
        })
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        self.reading(move |content| Ok(content.shelf.live(shard, after, |_| true, limit)))
    }

    fn put_definition(&self, definition: Definition) -> BoxFuture<'_, Result<(), CatalogError>> {
        self.writing(|content| {
            let key = (definition.saga_type.clone(), definition.version);
            let hash = definition.hash;
            let held = content.shelf.definitions.entry(key).or_insert(definition);
            if held.hash == hash {
                return Ok(());
            }
            Err(CatalogError::DefinitionConflict {
                saga_type: held.saga_type.clone(),
                version: held.version,
                held: held.hash,
            })
        })
    }

    fn definition(
        &self,
        saga_type: &str,
        version: u32,
    ) -> BoxFuture<'_, Result<Option<Definition>, CatalogError>> {
        let key = (saga_type.into(), version);
        self.reading(move |content| Ok(content.shelf.definitions.get(&key).cloned()))
    }

    fn definitions(&self) -> BoxFuture<'_, Result<Vec<Definition>, CatalogError>> {
        self.reading(|content| Ok(content.shelf.definitions.values().cloned().collect()))
    }

    fn put_note(&self, name: &str, note: Bytes) -> BoxFuture<'_, Result<(), CatalogError>> {
        let name = name.to_owned();
        self.writing(|content| {
            content.shelf.notes.insert(name, note);
            Ok(())
        })
    }

    fn note(&self, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, CatalogError>> {
        let name = name.to_owned();
        self.reading(move |content| Ok(content.shelf.notes.get(&name).cloned()))
    }

    fn put_orphan(&self, orphan: Orphan) -> BoxFuture<'_, Result<u64, CatalogError>> {
        self.writing(|content| {
            if content.shelf.orphans.len() as u64 >= ORPHANS_MAX {
                return Err(CatalogError::OrphansFull { orphans_max: ORPHANS_MAX });
            }
            content.shelf.orphans_taken += 1;
            content.shelf.orphans.insert(content.shelf.orphans_taken, orphan);
            Ok(content.shelf.orphans_taken)
        })
    }

    fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredOrphan>, CatalogError>> {
        self.reading(move |content| {
            let page = content.shelf.orphans.range(after.saturating_add(1)..);
            let stored = |(&number, o): (&u64, &Orphan)| StoredOrphan { number, orphan: o.clone() };
            Ok(page.take(limit.min(PAGE_ROWS_MAX)).map(stored).collect())
        })
    }

    fn remove_orphan(&self, number: u64) -> BoxFuture<'_, Result<bool, CatalogError>> {
        self.writing(move |content| Ok(content.shelf.orphans.remove(&number).is_some()))
    }

    fn append_audit(&self, audit: Audit) -> BoxFuture<'_, Result<AuditEntry, CatalogError>> {
        self.writing(|content| {
            let before = content.shelf.audits.last().map(|entry| (entry.number, entry.hash));
            let entry = AuditEntry::following(before, audit);
            content.shelf.audits.push(entry.clone());
            Ok(entry)
        })
    }

    fn audits(
        &self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditEntry>, CatalogError>> {
        self.reading(move |content| {
            check_audit(None, &content.shelf.audits)?;
            let entries = content.shelf.audits.iter().filter(|entry| {
                entry.number > after && (saga.is_none() || entry.audit.saga == saga)
            });
            Ok(entries.take(limit.min(PAGE_ROWS_MAX)).cloned().collect())
        })
    }

    fn expire(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Vec<u128>, CatalogError>> {
        self.writing(move |content| {
            let expired = content.shelf.expired(now, limit);
            let expired = content.admission.retire(expired);
            for saga in &expired {
                content.shelf.delete(*saga);
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
        self.writing(move |content| {
            let Some(kept) = content.shelf.sagas.get_mut(&saga) else {
                return Err(CatalogError::NoSuchSaga { saga });
            };
            kept.row.quarantined = Some(quarantine.reason);
            kept.row.attention |= quarantine.attention;
            kept.row.stuck_at = kept.row.stuck_at.or(quarantine.stuck_at);
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The journal closes both; a catalog has nothing of its own to finish.
        Box::pin(std::future::ready(()))
    }
}
