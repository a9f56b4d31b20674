//! What the journal's writer asks the catalog, on a connection of its own.

use amends_store::{Archived, ClaimKey, Holder, JournalError};
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::{self, saga_bytes, saga_id};

pub(super) struct Archive {
    catalog: Connection,
    /// What is above is not in the catalog, save for sagas that are in memory all the same.
    highest: Option<u128>,
    is_reading: bool,
}

impl Archive {
    pub(super) fn new(catalog: Connection) -> rusqlite::Result<Self> {
        let highest: Option<[u8; 16]> =
            catalog.query_row("SELECT max(id) FROM saga", [], |row| row.get(0))?;
        Ok(Self { catalog, highest: highest.map(saga_id), is_reading: false })
    }

    /// The catalog now has these sagas.
    pub(super) fn has(&mut self, sagas: impl Iterator<Item = u128>) {
        self.highest = self.highest.max(sagas.max());
    }

    /// Lets go of the moment that the look-ups since the last call were of.
    pub(super) fn end(&mut self) {
        if self.is_reading {
            // A read that cannot be ended is ended with the next one, which fails loudly.
            self.is_reading = self.catalog.execute_batch("COMMIT").is_err();
        }
    }

    /// Many look-ups share one read transaction: beginning it costs as much as a look-up.
    fn reading(&mut self) -> rusqlite::Result<&Connection> {
        if !self.is_reading {
            self.catalog.execute_batch("BEGIN")?;
            self.is_reading = true;
        }
        Ok(&self.catalog)
    }
}

impl Archived for Archive {
    fn seq(&mut self, saga: u128) -> Result<Option<u64>, JournalError> {
        if self.highest.is_none_or(|highest| saga > highest) {
            return Ok(None);
        }
        let mut seq = || -> rusqlite::Result<Option<i64>> {
            self.reading()?
                .prepare_cached("SELECT seq FROM saga WHERE id = ?1")?
                .query_row([saga_bytes(saga)], |row| row.get(0))
                .optional()
        };
        Ok(seq().map_err(unreadable)?.map(|seq| seq as u64))
    }

    fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError> {
        self.reading().and_then(|catalog| catalog::holder(catalog, key)).map_err(unreadable)
    }
}

/// The journal itself is sound, so this append fails and those that need no look-up go on.
fn unreadable(error: rusqlite::Error) -> JournalError {
    JournalError::Busy { what: format!("the catalog could not be read: {error}") }
}
