//! What the behaviours start from: an opened store and shorthand for entries and rows.

use std::sync::Arc;

use bytes::Bytes;

use super::Installation;
use crate::{
    Appended, Batch, Checkpoint, Checkpointed, Claim, ClaimKey, ClaimKind, Entry, Epoch, Events,
    JournalError, Position, Query, Record, SagaRow, ShardId, Store,
};

pub const SHARD: ShardId = ShardId(3);
pub const NOW: u64 = 1_700_000_000_000;

/// A store whose shard 3 is owned.
pub struct Given<'a> {
    installation: &'a dyn Installation,
    pub store: Store,
    pub epoch: Epoch,
}

/// Opens an installation and acquires the shard.
pub async fn opened(installation: &dyn Installation) -> Given<'_> {
    let store = installation.open().await;
    let epoch = store.journal.acquire(SHARD).await.unwrap();
    Given { installation, store, epoch }
}

impl Given<'_> {
    pub async fn reopened(self) -> Self {
        self.store.close().await;
        let Self { installation, store, .. } = self;
        drop(store);
        opened(installation).await
    }

    pub async fn append(&self, entries: Vec<Entry>) -> Result<Appended, JournalError> {
        let batch = Batch { shard: SHARD, epoch: self.epoch, entries };
        self.store.journal.append(batch).await
    }

    pub async fn appended(&self, entries: Vec<Entry>) -> Position {
        let appended = self.append(entries).await.unwrap();
        assert_eq!(appended.rejected, []);
        appended.position
    }

    pub async fn checkpointed(&self, position: Position, sagas: Vec<Checkpointed>) {
        let checkpoint = Checkpoint { position, sagas };
        self.store.catalog.checkpoint(checkpoint).await.unwrap();
    }

    /// Brings a saga from nothing into the catalog.
    pub async fn archived(&self, rows: Vec<SagaRow>) {
        let entries = rows.iter().map(|row| entry(row.saga, 1, row.seq as u32)).collect();
        let position = self.appended(entries).await;
        self.checkpointed(position, rows.into_iter().map(|row| brought(row, 1)).collect()).await;
    }

    pub async fn replayed(&self, mut after: Position) -> Vec<Record> {
        let mut all = Vec::new();
        loop {
            let page = self.store.journal.replay(after).await.unwrap();
            let Some(last) = page.last() else { return all };
            assert!(last.position > after, "a page of {after} ends with {}", last.position);
            after = last.position;
            all.extend(page);
        }
    }

    pub async fn holder(&self, key: &ClaimKey) -> Option<u128> {
        let holder = self.store.journal.claim_holder(key.clone()).await.unwrap();
        holder.map(|holder| holder.saga)
    }

    /// The ids of all pages of a list.
    pub async fn listed(&self, mut query: Query) -> Vec<u128> {
        let mut all = Vec::new();
        loop {
            let page = self.store.catalog.list(query.clone()).await.unwrap();
            assert!(page.rows.len() <= query.limit);
            all.extend(page.rows.iter().map(|row| row.saga));
            if page.next.is_none() {
                return all;
            }
            assert_ne!(page.next, query.after, "the next page begins where this one does");
            query.after = page.next;
        }
    }
}

/// Bytes that tell the events of one saga from those of any other.
pub fn events(saga: u128, first_seq: u64, count: u32) -> Events {
    let mut bytes = Vec::new();
    for seq in first_seq..first_seq + u64::from(count) {
        bytes.extend_from_slice(format!("<{saga:x}/{seq}>").as_bytes());
    }
    Events { first_seq, count, bytes: Bytes::from(bytes) }
}

pub fn entry(saga: u128, first_seq: u64, count: u32) -> Entry {
    let events = events(saga, first_seq, count);
    Entry { saga, events, claims: Vec::new(), releases: Vec::new() }
}

/// The start of a saga, claiming these keys.
pub fn start(saga: u128, keys: &[&ClaimKey]) -> Entry {
    let claims = keys.iter().map(|key| Claim { key: (*key).clone(), payload_hash: hash(saga) });
    Entry { claims: claims.collect(), ..entry(saga, 1, 1) }
}

/// The event of a saga that releases these keys.
pub fn ending(saga: u128, seq: u64, keys: &[&ClaimKey]) -> Entry {
    Entry { releases: keys.iter().map(|key| (*key).clone()).collect(), ..entry(saga, seq, 1) }
}

pub fn hash(of: u128) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(&of.to_be_bytes());
    hash
}

pub fn business(key: &str) -> ClaimKey {
    ClaimKey { kind: ClaimKind::Business, scope: "Order".into(), key: key.into() }
}

pub fn idempotency(key: &str) -> ClaimKey {
    ClaimKey { kind: ClaimKind::Idempotency, scope: "Order".into(), key: key.into() }
}

/// The row of a running saga.
pub fn row(saga: u128, seq: u64) -> SagaRow {
    SagaRow {
        saga,
        shard: SHARD,
        saga_type: Arc::from("Order"),
        definition_version: 1,
        definition_hash: hash(1),
        state: 1,
        paused: false,
        live: true,
        seq,
        created_at: NOW + saga as u64 % 1_000_000,
        updated_at: NOW + seq,
        ended_at: None,
        due_at: None,
        close_at: None,
        expires_at: None,
        business_key: None,
        attention: 0,
        stuck_at: None,
        error: None,
        quarantined: None,
    }
}

/// The row of a saga that is over and closed, to be deleted at `expires_at`.
pub fn over(saga: u128, seq: u64, expires_at: u64) -> SagaRow {
    SagaRow {
        state: 3,
        live: false,
        ended_at: Some(NOW),
        close_at: Some(NOW),
        expires_at: Some(expires_at),
        ..row(saga, seq)
    }
}

/// A row with the events since `first_seq`.
pub fn brought(row: SagaRow, first_seq: u64) -> Checkpointed {
    let events = events(row.saga, first_seq, (row.seq + 1 - first_seq) as u32);
    Checkpointed { row, events }
}
