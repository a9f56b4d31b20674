//! Deleting what has expired, and setting aside what cannot be read.

use amends_store::{CatalogError, PAGE_ROWS_MAX, Quarantine};
use rusqlite::{Connection, OptionalExtension, params};

use super::checkpoint::{CountChanges, count, put_counts};
use super::keys::{self, Keys};
use super::row::{saga_bytes, saga_id, time, unreadable};
use super::writer::Writer;

impl Writer {
    pub(super) fn expire(&mut self, now: u64, limit: usize) -> Result<Vec<u128>, CatalogError> {
        let limit = limit.min(PAGE_ROWS_MAX);
        let expired = expired(&self.connection, now, limit).map_err(unreadable)?;
        if expired.is_empty() {
            return Ok(expired);
        }
        // From here on the journal takes nothing more for them, until they are gone.
        let retired = self.journal.ask(move |journal| journal.retire(expired));
        let retired = retired.ok_or(CatalogError::Closed)?;
        let deleted = self.transact(|transaction, _| {
            let mut changes = CountChanges::new();
            for saga in &retired {
                delete(transaction, *saga, &mut changes)?;
            }
            put_counts(transaction, changes)?;
            Ok(())
        });
        self.journal.ask(|journal| journal.retired());
        deleted.map(|()| retired)
    }

    pub(super) fn quarantine(
        &mut self,
        saga: u128,
        quarantine: &Quarantine,
    ) -> Result<(), CatalogError> {
        let Quarantine { reason, attention, stuck_at } = quarantine;
        self.transact(|transaction, _| {
            let marked = transaction
                .prepare_cached(
                    "UPDATE saga SET quarantined = ?2, attention = attention | ?3,
                        stuck_at = coalesce(stuck_at, ?4)
                     WHERE id = ?1",
                )?
                .execute(params![saga_bytes(saga), reason, attention, stuck_at.map(time)])?;
            if marked == 0 {
                return Err(CatalogError::NoSuchSaga { saga }.into());
            }
            Ok(())
        })
    }
}

fn expired(connection: &Connection, now: u64, limit: usize) -> rusqlite::Result<Vec<u128>> {
    connection
        .prepare_cached(
            "SELECT id FROM saga
             WHERE expires_at <= ?1 AND live = 0 AND quarantined IS NULL
                AND (close_at IS NULL OR close_at <= ?1)
             ORDER BY expires_at, id LIMIT ?2",
        )?
        .query_map(params![time(now), limit as i64], |row| Ok(saga_id(row.get(0)?)))?
        .collect()
}

fn delete(connection: &Connection, saga: u128, changes: &mut CountChanges) -> rusqlite::Result<()> {
    let held = connection
        .prepare_cached("SELECT n, type, state, live, keys, tail FROM saga WHERE id = ?1")?
        .query_row([saga_bytes(saga)], |row| {
            let n: i64 = row.get(0)?;
            let listed = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((n, listed, Keys::stored(row.get(4)?), row.get::<_, Option<i64>>(5)?))
        })
        .optional()?;
    let Some((n, listed, keys, mut tail)) = held else { return Ok(()) };
    count(changes, listed, -1);
    keys::delete(connection, n, &keys)?;
    while let Some(segment) = tail {
        tail = connection
            .prepare_cached("DELETE FROM segment WHERE n = ?1 RETURNING before")?
            .query_row([segment], |row| row.get(0))?;
    }
    connection.prepare_cached("DELETE FROM saga WHERE n = ?1")?.execute([n])?;
    Ok(())
}
