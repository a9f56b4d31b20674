//! Taking in what the journal said: one transaction, sagas in the order of their ids, so that the
//! pages at the end of the table and the indexes are filled one after the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use amends_store::{
    CatalogError, Checkpoint, Checkpointed, Holder, Position, SagaRow, Settled, SettledClaim,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::keys::{self, KeyHash, Keys};
use super::row::{due, saga_bytes, time};
use super::writer::{Abort, Numbers, Writer};

/// The keys that sagas of a checkpoint hold: who holds which, and what the start said.
type KeysHeld = HashMap<u128, Vec<(KeyHash, [u8; 32])>>;

/// By (type, state): how many sagas more, how many live ones more.
pub(super) type CountChanges = BTreeMap<(i64, u8), (i64, i64)>;

/// What is held of a saga.
struct Held {
    n: i64,
    seq: u64,
    listed: (i64, u8, bool),
    keys: Keys,
    tail: Option<i64>,
}

impl Writer {
    pub(super) fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<Position, CatalogError> {
        let Checkpoint { position, mut sagas } = checkpoint;
        sagas.sort_unstable_by_key(|saga| saga.row.saga);
        let mut rows = HashMap::with_capacity(sagas.len());
        for Checkpointed { row, .. } in &sagas {
            if rows.insert(row.saga, row.seq).is_some() {
                let what = format!("a checkpoint with saga {:032x} twice", row.saga);
                return Err(CatalogError::Malformed { what });
            }
        }
        let judge = self.journal.ask(move |journal| {
            let settled = journal.settle(position, &rows);
            (rows, settled)
        });
        let (rows, settled) = judge.ok_or(CatalogError::Closed)?;
        let settled = settled?;

        let highest = self.highest;
        let place = Position(self.position.load(Ordering::Acquire)).max(position);
        self.transact(|transaction, numbers| {
            let mut held_keys = keys_held(&settled);
            keys::free(transaction, &settled.claims)?;
            let mut changes = CountChanges::new();
            for saga in &sagas {
                // A rising id is mostly a new one; looking it up would cost as much as writing it.
                let held = if highest.is_none_or(|highest| saga.row.saga > highest) {
                    None
                } else {
                    held(transaction, saga.row.saga)?
                };
                let keys = held_keys.remove(&saga.row.saga).unwrap_or_default();
                put(transaction, numbers, &mut changes, saga, held, keys)?;
            }
            for (saga, keys) in held_keys {
                // Its row came with an earlier checkpoint.
                if let Some(mut held) = held(transaction, saga)? {
                    put_keys(transaction, &mut held, &keys)?;
                    let (n, keys) = (held.n, held.keys.bytes());
                    transaction
                        .execute("UPDATE saga SET keys = ?2 WHERE n = ?1", params![n, keys])?;
                }
            }
            put_counts(transaction, changes)?;
            transaction
                .prepare_cached("UPDATE place SET position = ?1")?
                .execute([place.0 as i64])?;
            Ok(())
        })?;
        self.highest = self.highest.max(sagas.last().map(|saga| saga.row.saga));
        self.position.store(place.0, Ordering::Release);
        // A journal that is closed by now has nothing to forget.
        self.journal.ask(move |journal| journal.settled(place, &rows, &settled));
        Ok(place)
    }
}

fn keys_held(settled: &Settled) -> KeysHeld {
    let mut held: KeysHeld = HashMap::new();
    for SettledClaim { key, holder, .. } in &settled.claims {
        if let Some(Holder { saga, payload_hash }) = holder {
            held.entry(*saga).or_default().push((KeyHash::of(key), *payload_hash));
        }
    }
    held
}

fn held(connection: &Connection, saga: u128) -> rusqlite::Result<Option<Held>> {
    connection
        .prepare_cached("SELECT n, seq, type, state, live, keys, tail FROM saga WHERE id = ?1")?
        .query_row([saga_bytes(saga)], |row| {
            Ok(Held {
                n: row.get(0)?,
                seq: row.get::<_, i64>(1)? as u64,
                listed: (row.get(2)?, row.get(3)?, row.get(4)?),
                keys: Keys::stored(row.get(5)?),
                tail: row.get(6)?,
            })
        })
        .optional()
}

/// Writes one saga.
fn put(
    connection: &Connection,
    numbers: &mut Numbers,
    changes: &mut CountChanges,
    saga: &Checkpointed,
    held: Option<Held>,
    claimed: Vec<(KeyHash, [u8; 32])>,
) -> Result<(), Abort> {
    let Checkpointed { row, events } = saga;
    let seq = held.as_ref().map_or(0, |held| held.seq);
    if row.seq < seq {
        if let Some(mut held) = held {
            put_keys(connection, &mut held, &claimed)?;
            update_keys(connection, &held)?;
        }
        return Ok(());
    }
    let brings_events = row.seq > seq;
    if brings_events && (events.first_seq != seq + 1 || events.last_seq() != row.seq) {
        let (saga, first_seq) = (row.saga, events.first_seq);
        let refusal = CatalogError::OutOfSequence { saga, held: seq, first_seq, seq: row.seq };
        return Err(refusal.into());
    }
    let saga_type = numbers.saga_type(connection, &row.saga_type)?;
    let version =
        numbers.version(connection, (saga_type, row.definition_version, row.definition_hash))?;
    count(changes, (saga_type, row.state, row.live), 1);

    // A business key leads to its saga even when it was let go before this checkpoint.
    let named = row.business_key.as_ref().map(|key| KeyHash::of_business(&row.saga_type, key));
    if let Some(mut held) = held {
        count(changes, held.listed, -1);
        if brings_events {
            connection
                .prepare_cached("INSERT INTO segment (before, events) VALUES (?1, ?2)")?
                .execute(params![held.tail, &events.bytes[..]])?;
            held.tail = Some(connection.last_insert_rowid());
        }
        put_keys(connection, &mut held, &claimed)?;
        if let Some(hash) = named {
            keys::insert(connection, held.n, hash, false)?;
            held.keys.note(hash, None);
        }
        update(connection, row, (saga_type, version), &held)?;
        return Ok(());
    }
    let mut keys = Keys::default();
    for (hash, payload_hash) in &claimed {
        keys.note(*hash, Some(*payload_hash));
    }
    if let Some(hash) = named {
        keys.note(hash, None);
    }
    let n = insert(connection, row, (saga_type, version), &keys, &events.bytes)?;
    for (hash, payload_hash) in keys.iter() {
        keys::insert(connection, n, hash, payload_hash.is_some())?;
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    row: &SagaRow,
    (saga_type, version): (i64, i64),
    keys: &Keys,
    events: &[u8],
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO saga (id, type, version, state, paused, live, shard, seq, created_at,
                updated_at, ended_at, due, close_at, expires_at, attention, business_key, error,
                quarantined, keys, events, stuck_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            saga_bytes(row.saga),
            saga_type,
            version,
            row.state,
            row.paused,
            row.live,
            row.shard.0,
            row.seq as i64,
            time(row.created_at),
            time(row.updated_at),
            row.ended_at.map(time),
            due(row.due_at),
            row.close_at.map(time),
            row.expires_at.map(time),
            row.attention,
            row.business_key,
            row.error,
            row.quarantined,
            keys.bytes(),
            events,
            row.stuck_at.map(time),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Everything but what never changes: the id, when it was created, the first part of its history.
fn update(
    connection: &Connection,
    row: &SagaRow,
    (saga_type, version): (i64, i64),
    held: &Held,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE saga SET type = ?2, version = ?3, state = ?4, paused = ?5, live = ?6,
                shard = ?7, seq = ?8, updated_at = ?9, ended_at = ?10, due = ?11, close_at = ?12,
                expires_at = ?13, attention = ?14, business_key = ?15, error = ?16,
                quarantined = ?17, keys = ?18, tail = ?19, stuck_at = ?20
             WHERE n = ?1",
        )?
        .execute(params![
            held.n,
            saga_type,
            version,
            row.state,
            row.paused,
            row.live,
            row.shard.0,
            row.seq as i64,
            time(row.updated_at),
            row.ended_at.map(time),
            due(row.due_at),
            row.close_at.map(time),
            row.expires_at.map(time),
            row.attention,
            row.business_key,
            row.error,
            row.quarantined,
            held.keys.bytes(),
            held.tail,
            row.stuck_at.map(time),
        ])?;
    Ok(())
}

/// Gives a saga keys that it claimed; its row is not written yet.
fn put_keys(
    connection: &Connection,
    held: &mut Held,
    claimed: &[(KeyHash, [u8; 32])],
) -> rusqlite::Result<()> {
    for (hash, payload_hash) in claimed {
        keys::insert(connection, held.n, *hash, true)?;
        held.keys.note(*hash, Some(*payload_hash));
    }
    Ok(())
}

fn update_keys(connection: &Connection, held: &Held) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE saga SET keys = ?2 WHERE n = ?1")?
        .execute(params![held.n, held.keys.bytes()])?;
    Ok(())
}

pub(super) fn count(
    changes: &mut CountChanges,
    (saga_type, state, live): (i64, u8, bool),
    by: i64,
) {
    let change = changes.entry((saga_type, state)).or_default();
    change.0 += by;
    change.1 += if live { by } else { 0 };
}

pub(super) fn put_counts(connection: &Connection, changes: CountChanges) -> rusqlite::Result<()> {
    for ((saga_type, state), (sagas, live)) in changes {
        connection
            .prepare_cached(
                "INSERT INTO count (type, state, sagas, live) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET sagas = sagas + excluded.sagas,
                    live = live + excluded.live",
            )?
            .execute(params![saga_type, state, sagas, live])?;
    }
    Ok(())
}
