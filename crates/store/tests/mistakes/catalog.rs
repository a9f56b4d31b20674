//! The catalog that makes mistakes.

use amends_store::{
    Audit, AuditEntry, BoxFuture, Catalog, CatalogError, Checkpoint, Count, Definition, DueCursor,
    Order, Orphan, Page, Position, Quarantine, Query, SagaRow, ShardId, StoredOrphan, StoredSaga,
    StuckFilter,
};
use bytes::Bytes;

use crate::mistake::{Mistake, Shared};

/// See the module.
pub struct MistakenCatalog(pub Shared);

impl Catalog for MistakenCatalog {
    fn checkpoint(&self, checkpoint: Checkpoint) -> BoxFuture<'_, Result<Position, CatalogError>> {
        Box::pin(self.checkpointed(checkpoint))
    }

    fn position(&self) -> Position {
        let position = self.0.inner.catalog.position();
        if self.0.makes(Mistake::MovesThePlaceTooFar) {
            return position.max(self.0.memory().place);
        }
        position
    }

    fn read(&self, saga: u128) -> BoxFuture<'_, Result<Option<StoredSaga>, CatalogError>> {
        Box::pin(async move {
            let stored = self.0.inner.catalog.read(saga).await?.map(|stored| self.seen(stored));
            let mut memory = self.0.memory();
            match &stored {
                Some(stored) => drop(memory.read.insert(saga, stored.clone())),
                None if self.0.makes(Mistake::KeepsAfterExpiry) => {
                    return Ok(memory.read.get(&saga).cloned());
                }
                None => {}
            }
            Ok(stored)
        })
    }

    fn list(&self, query: Query) -> BoxFuture<'_, Result<Page, CatalogError>> {
        Box::pin(self.listed(query))
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        Box::pin(async move {
            if self.0.makes(Mistake::CountsOnce) {
                return Ok(self.0.memory().counts.clone());
            }
            self.0.inner.catalog.counts().await
        })
    }

    fn stuck(&self, by: u64) -> BoxFuture<'_, Result<Vec<Count>, CatalogError>> {
        self.0.inner.catalog.stuck(by)
    }

    fn due(
        &self,
        shard: ShardId,
        until: u64,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        Box::pin(async move {
            let catalog = &self.0.inner.catalog;
            let after = after.filter(|_| !self.0.makes(Mistake::NeverEndsDue));
            if self.0.makes(Mistake::OrdersTimersById) {
                let mut all = catalog.due(shard, until, None, 1_000).await?;
                all.sort_by_key(|stored| stored.row.saga);
                let passed =
                    |stored: &StoredSaga| after.is_none_or(|after| stored.row.saga > after.saga);
                return Ok(all.into_iter().filter(passed).take(limit).collect());
            }
            let mut due = catalog.due(shard, until, after, limit).await?;
            if self.0.makes(Mistake::MissesTheMoment) {
                due.retain(|stored| stored.row.due_at != Some(until));
            }
            Ok(due.into_iter().map(|stored| self.seen(stored)).collect())
        })
    }

    fn live(
        &self,
        shard: ShardId,
        after: Option<DueCursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredSaga>, CatalogError>> {
        Box::pin(async move {
            let catalog = &self.0.inner.catalog;
            let mut live = catalog.live(shard, after, limit).await?;
            if self.0.makes(Mistake::PutsTheTimelessLast) {
                live.sort_by_key(|stored| (stored.row.due_at.is_none(), stored.row.due_at));
            }
            let all_shards = self.0.makes(Mistake::MixesShards);
            let unreadable = self.0.makes(Mistake::RecoversTheUnreadable);
            if after.is_none() && (all_shards || unreadable) {
                for row in catalog.list(Query { live: Some(true), ..Query::default() }).await?.rows
                {
                    let here = live.iter().any(|stored| stored.row.saga == row.saga);
                    let is_it = (all_shards && row.shard != shard)
                        || (unreadable && row.quarantined.is_some());
                    if is_it && !here {
                        live.extend(catalog.read(row.saga).await?);
                    }
                }
            }
            Ok(live.into_iter().map(|stored| self.seen(stored)).collect())
        })
    }

    fn put_definition(&self, definition: Definition) -> BoxFuture<'_, Result<(), CatalogError>> {
        Box::pin(async move {
            let name = format!("definition {}", definition.saga_type);
            self.0.memory().kept.insert(name);
            match self.0.inner.catalog.put_definition(definition).await {
                Err(CatalogError::DefinitionConflict { .. })
                    if self.0.makes(Mistake::OverwritesDefinitions) =>
                {
                    Ok(())
                }
                answer => answer,
            }
        })
    }

    fn definition(
        &self,
        saga_type: &str,
        version: u32,
    ) -> BoxFuture<'_, Result<Option<Definition>, CatalogError>> {
        let name = format!("definition {saga_type}");
        if self.0.makes(Mistake::LosesDefinitions) && self.0.memory().lost.contains(&name) {
            return Box::pin(std::future::ready(Ok(None)));
        }
        self.0.inner.catalog.definition(saga_type, version)
    }

    fn definitions(&self) -> BoxFuture<'_, Result<Vec<Definition>, CatalogError>> {
        self.0.inner.catalog.definitions()
    }

    fn put_note(&self, name: &str, note: Bytes) -> BoxFuture<'_, Result<(), CatalogError>> {
        let name = name.to_owned();
        Box::pin(async move {
            let catalog = &self.0.inner.catalog;
            self.0.memory().kept.insert(format!("note {name}"));
            let first = catalog.note(&name).await?.is_none();
            if self.0.makes(Mistake::KeepsTheFirstNote) && !first {
                return Ok(());
            }
            catalog.put_note(&name, note).await
        })
    }

    fn note(&self, name: &str) -> BoxFuture<'_, Result<Option<Bytes>, CatalogError>> {
        let lost = self.0.memory().lost.contains(&format!("note {name}"));
        if self.0.makes(Mistake::LosesNotes) && lost {
            return Box::pin(std::future::ready(Ok(None)));
        }
        self.0.inner.catalog.note(name)
    }

    fn put_orphan(&self, orphan: Orphan) -> BoxFuture<'_, Result<u64, CatalogError>> {
        self.0.inner.catalog.put_orphan(orphan)
    }

    fn orphans(
        &self,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredOrphan>, CatalogError>> {
        let again = u64::from(self.0.makes(Mistake::ListsOrphansFromThere));
        self.0.inner.catalog.orphans(after.saturating_sub(again), limit)
    }

    fn remove_orphan(&self, number: u64) -> BoxFuture<'_, Result<bool, CatalogError>> {
        Box::pin(async move {
            let was_there = self.0.inner.catalog.remove_orphan(number).await?;
            Ok(was_there || self.0.makes(Mistake::FindsEveryOrphan))
        })
    }

    fn append_audit(&self, audit: Audit) -> BoxFuture<'_, Result<AuditEntry, CatalogError>> {
        Box::pin(async move {
            let entry = self.0.inner.catalog.append_audit(audit).await?;
            if self.0.makes(Mistake::BreaksTheChain) {
                let alone = AuditEntry::following(None, entry.audit.clone());
                return Ok(AuditEntry { number: entry.number, ..alone });
            }
            Ok(entry)
        })
    }

    fn audits(
        &self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AuditEntry>, CatalogError>> {
        let saga = saga.filter(|_| !self.0.makes(Mistake::MixesAudits));
        self.0.inner.catalog.audits(saga, after, limit)
    }

    fn expire(&self, now: u64, limit: usize) -> BoxFuture<'_, Result<Vec<u128>, CatalogError>> {
        let limit = if self.0.makes(Mistake::DeletesWithoutLimit) { 1_000 } else { limit };
        self.0.inner.catalog.expire(now, limit)
    }

    fn quarantine(
        &self,
        saga: u128,
        mut quarantine: Quarantine,
    ) -> BoxFuture<'_, Result<(), CatalogError>> {
        if self.0.makes(Mistake::QuarantineTakesAttention) {
            quarantine.attention = 0;
        }
        if self.0.makes(Mistake::QuarantineMovesStuck) {
            quarantine.stuck_at = quarantine.stuck_at.map(|at| at + 1);
        }
        self.0.inner.catalog.quarantine(saga, quarantine)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if !self.0.makes(Mistake::ServesWhenClosed) {
                self.0.inner.catalog.close().await;
            }
        })
    }
}

impl MistakenCatalog {
    async fn checkpointed(&self, mut checkpoint: Checkpoint) -> Result<Position, CatalogError> {
        let catalog = &self.0.inner.catalog;
        let counts = catalog.counts().await?;
        {
            let mut memory = self.0.memory();
            memory.counts = counts;
            memory.place = memory.place.max(checkpoint.position);
            for saga in &checkpoint.sagas {
                memory.rows.insert(saga.row.saga, saga.row.clone());
                if !saga.events.bytes.is_empty() {
                    memory.parts.insert(saga.row.saga, saga.events.bytes.len());
                }
            }
        }
        if self.0.makes(Mistake::ForgetsASaga) && checkpoint.sagas.len() > 1 {
            checkpoint.sagas.pop();
            let position = checkpoint.position;
            let part = Checkpoint { position: Position::START, ..checkpoint };
            return catalog.checkpoint(part).await.map(|held| held.max(position));
        }
        match catalog.checkpoint(checkpoint).await {
            Err(CatalogError::Incomplete { position, .. })
                if self.0.makes(Mistake::TakesAnIncompleteCheckpoint) =>
            {
                Ok(position)
            }
            answer => answer,
        }
    }

    async fn listed(&self, mut query: Query) -> Result<Page, CatalogError> {
        if self.0.makes(Mistake::ListsInOneOrder) && query.after.is_none() {
            query.order = Order::NewestFirst;
        }
        if self.0.makes(Mistake::IgnoresPaused) {
            query.paused = None;
        }
        if self.0.makes(Mistake::IgnoresText) {
            query.text = None;
        }
        if self.0.makes(Mistake::IgnoresTheKey) {
            query.business_key = None;
        }
        if self.0.makes(Mistake::TurnsStuckRound)
            && let Some(StuckFilter::By(by)) = query.stuck
        {
            query.stuck = Some(StuckFilter::NotBy(by));
        }
        let order = query.order;
        let mut page = self.0.inner.catalog.list(query).await?;
        if self.0.makes(Mistake::SkipsTheSameMoment)
            && let Some(next) = &mut page.next
        {
            next.saga = if order == Order::NewestFirst { 0 } else { u128::MAX };
        }
        page.rows.iter_mut().for_each(|row| self.change(row));
        Ok(page)
    }

    fn seen(&self, mut stored: StoredSaga) -> StoredSaga {
        self.change(&mut stored.row);
        let bytes = stored.events.bytes.clone();
        let part = self.0.memory().parts.get(&stored.row.saga).copied().unwrap_or(0);
        let split = bytes.len().saturating_sub(part);
        if self.0.makes(Mistake::KeepsTheLastPartOnly) {
            stored.events.bytes = bytes.slice(split..);
        }
        if self.0.makes(Mistake::MixesTheParts) {
            stored.events.bytes = [&bytes[split..], &bytes[..split]].concat().into();
        }
        stored
    }

    fn change(&self, row: &mut SagaRow) {
        if self.0.makes(Mistake::LosesTheError) {
            row.error = None;
        }
        if self.0.makes(Mistake::RoundsTimes) {
            row.created_at = row.created_at / 1_000 * 1_000;
        }
        if self.0.makes(Mistake::TakesAnOlderRow)
            && let Some(last) = self.0.memory().rows.get(&row.saga)
            && last.seq < row.seq
        {
            *row = last.clone();
        }
    }
}
