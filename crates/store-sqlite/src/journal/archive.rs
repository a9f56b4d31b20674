//! What the journal's writer asks the catalog, on a connection of its own.

use amends_store::{Archived, ClaimKey, Holder, JournalError};
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::{self, saga_bytes};

pub(super) struct Archive {
    catalog: Connection,
}

impl Archive {
    pub(super) const fn new(catalog: Connection) -> Self {
        Self { catalog }
    }
}

impl Archived for Archive {
    fn seq(&mut self, saga: u128) -> Result<Option<u64>, JournalError> {
        let seq = || -> rusqlite::Result<Option<i64>> {
            self.catalog
                .prepare_cached("SELECT seq FROM saga WHERE id = ?1")?
                .query_row([saga_bytes(saga)], |row| row.get(0))
                .optional()
        };
        Ok(seq().map_err(unreadable)?.map(|seq| seq as u64))
    }

    fn holder(&mut self, key: &ClaimKey) -> Result<Option<Holder>, JournalError> {
        catalog::holder(&self.catalog, key).map_err(unreadable)
    }
}

/// The journal itself is sound, so this append fails and those that need no look-up go on.
fn unreadable(error: rusqlite::Error) -> JournalError {
    JournalError::Busy { what: format!("the catalog could not be read: {error}") }
}
