//! Keys: which saga holds one, and which sagas one has named.
//!
//! The table `key` has eight bytes of a key's hash, so that it stays small. The row of a saga has,
//! in `keys`, one after the other, what names it: a byte (1 when the saga claimed the key, 0 when
//! it is only found by it), sixteen bytes of the key's SHA-256, and of a claimed one the 32 bytes
//! of its payload hash. Whoever finds a saga in `key` looks there whether it is really meant.

use std::sync::Arc;

use amends_store::{ClaimKey, ClaimKind, Holder, SettledClaim};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::row::saga_id;

const NAMED: u8 = 0;
const CLAIMED: u8 = 1;

/// How much of a key's SHA-256 is kept: enough that nobody finds two that meet.
const KEY_HASH_BYTES: usize = 16;

const PAYLOAD_HASH_BYTES: usize = 32;

/// A key, as good as the key itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash([u8; KEY_HASH_BYTES]);

impl KeyHash {
    pub(super) fn of(key: &ClaimKey) -> Self {
        let mut hash = Sha256::new();
        hash.update([match key.kind {
            ClaimKind::Idempotency => 0,
            ClaimKind::Business => 1,
        }]);
        // The length keeps ("a", "bc") apart from ("ab", "c").
        hash.update((key.scope.len() as u64).to_le_bytes());
        hash.update(key.scope.as_bytes());
        hash.update(key.key.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut short = [0; KEY_HASH_BYTES];
        short.copy_from_slice(&hash[..KEY_HASH_BYTES]);
        Self(short)
    }

    /// Of the business key of a type.
    pub(super) fn of_business(saga_type: &Arc<str>, key: &Arc<str>) -> Self {
        let (scope, key) = (saga_type.clone(), key.clone());
        Self::of(&ClaimKey { kind: ClaimKind::Business, scope, key })
    }

    /// What stands in the table.
    pub(super) fn short(self) -> i64 {
        let mut short = [0; 8];
        short.copy_from_slice(&self.0[..8]);
        i64::from_le_bytes(short)
    }
}

/// What names a saga.
#[derive(Default)]
pub(super) struct Keys(Vec<u8>);

impl Keys {
    pub(super) fn stored(bytes: Option<Vec<u8>>) -> Self {
        Self(bytes.unwrap_or_default())
    }

    /// As it is stored.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(&self.0[..])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyHash, Option<[u8; PAYLOAD_HASH_BYTES]>)> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (kind, after) = rest.split_first()?;
            let (hash, after) = after.split_first_chunk()?;
            rest = after;
            if *kind != CLAIMED {
                return Some((KeyHash(*hash), None));
            }
            let (payload_hash, after) = after.split_first_chunk()?;
            rest = after;
            Some((KeyHash(*hash), Some(*payload_hash)))
        })
    }

    fn names(&self, hash: KeyHash) -> bool {
        self.iter().any(|(named, _)| named == hash)
    }

    fn claim(&self, hash: KeyHash) -> Option<[u8; PAYLOAD_HASH_BYTES]> {
        self.iter().find_map(|(named, payload_hash)| payload_hash.filter(|_| named == hash))
    }

    /// Notes a key, claimed or not. One that is noted as claimed stays so.
    pub(super) fn note(&mut self, hash: KeyHash, payload_hash: Option<[u8; PAYLOAD_HASH_BYTES]>) {
        if self.claim(hash).is_some() || (payload_hash.is_none() && self.names(hash)) {
            return;
        }
        self.0.push(if payload_hash.is_some() { CLAIMED } else { NAMED });
        self.0.extend_from_slice(&hash.0);
        self.0.extend_from_slice(payload_hash.as_ref().map_or(&[], |hash| &hash[..]));
    }
}

/// Who holds a key, by the catalog.
pub(crate) fn holder(connection: &Connection, key: &ClaimKey) -> rusqlite::Result<Option<Holder>> {
    let hash = KeyHash::of(key);
    let mut sagas = connection.prepare_cached(
        "SELECT saga.id, saga.keys FROM key JOIN saga ON saga.n = key.saga
         WHERE key.hash = ?1 AND key.held = 1",
    )?;
    let mut rows = sagas.query([hash.short()])?;
    while let Some(row) = rows.next()? {
        if let Some(payload_hash) = Keys::stored(row.get(1)?).claim(hash) {
            return Ok(Some(Holder { saga: saga_id(row.get(0)?), payload_hash }));
        }
    }
    Ok(None)
}

/// Takes the keys that changed hands from whoever the catalog thinks holds them.
pub(super) fn free(connection: &Connection, claims: &[SettledClaim]) -> rusqlite::Result<()> {
    let mut held = connection.prepare_cached(
        "SELECT saga.n, saga.keys FROM key JOIN saga ON saga.n = key.saga
         WHERE key.hash = ?1 AND key.held = 1",
    )?;
    for claim in claims.iter().filter(|claim| claim.archived) {
        let hash = KeyHash::of(&claim.key);
        let mut rows = held.query([hash.short()])?;
        while let Some(row) = rows.next()? {
            if Keys::stored(row.get(1)?).claim(hash).is_some() {
                connection
                    .prepare_cached("UPDATE key SET held = 0 WHERE hash = ?1 AND saga = ?2")?
                    .execute(params![hash.short(), row.get::<_, i64>(0)?])?;
            }
        }
    }
    Ok(())
}

/// Lets a key lead to a saga, which may hold it.
pub(super) fn insert(
    connection: &Connection,
    n: i64,
    hash: KeyHash,
    is_held: bool,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO key (hash, saga, held) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET held = max(held, excluded.held)",
        )?
        .execute(params![hash.short(), n, is_held])?;
    Ok(())
}

/// Takes out all that names a saga.
pub(super) fn delete(connection: &Connection, n: i64, keys: &Keys) -> rusqlite::Result<()> {
    for (hash, _) in keys.iter() {
        connection
            .prepare_cached("DELETE FROM key WHERE hash = ?1 AND saga = ?2")?
            .execute(params![hash.short(), n])?;
    }
    Ok(())
}
