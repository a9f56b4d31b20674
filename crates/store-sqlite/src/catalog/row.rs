//! A saga's row, to and from its columns.

use std::collections::HashMap;
use std::sync::Arc;

use amends_store::{CatalogError, SagaRow, ShardId};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::sqlite::{Failure, failure};

/// A saga's id as it is stored: big-endian, so that ids sort by creation.
pub(crate) const fn saga_bytes(saga: u128) -> [u8; 16] {
    saga.to_be_bytes()
}

pub(crate) const fn saga_id(bytes: [u8; 16]) -> u128 {
    u128::from_be_bytes(bytes)
}

/// The latest time that is stored; it is not this one's worry how far off that is.
const TIME_MAX: u64 = i64::MAX as u64 - 1;

/// A time as it is stored.
pub(super) const fn time(at: u64) -> i64 {
    if at > TIME_MAX { TIME_MAX as i64 } else { at as i64 }
}

/// A due time as it is stored.
pub(super) fn due(due_at: Option<u64>) -> i64 {
    due_at.map_or(0, |at| time(at) + 1)
}

/// What [`saga_row`] reads, in its order.
pub(super) const COLUMNS: &str = "saga.id, saga.type, saga.version, saga.state, saga.paused, \
    saga.live, saga.shard, saga.seq, saga.created_at, saga.updated_at, saga.ended_at, saga.due, \
    saga.close_at, saga.expires_at, saga.attention, saga.business_key, saga.error, \
    saga.quarantined, saga.stuck_at";

/// How many columns those are.
pub(super) const COLUMNS_COUNT: usize = 19;

/// The names behind the numbers in a row; they never change, so what was read once is kept.
#[derive(Default)]
pub(super) struct Names {
    types: HashMap<i64, Arc<str>>,
    versions: HashMap<i64, (u32, [u8; 32])>,
}

impl Names {
    pub(super) fn saga_type(
        &mut self,
        connection: &Connection,
        n: i64,
    ) -> rusqlite::Result<Arc<str>> {
        if let Some(name) = self.types.get(&n) {
            return Ok(name.clone());
        }
        let name: Arc<str> = connection
            .prepare_cached("SELECT name FROM type WHERE n = ?1")?
            .query_row([n], |row| row.get(0))?;
        self.types.insert(n, name.clone());
        Ok(name)
    }

    fn version(&mut self, connection: &Connection, n: i64) -> rusqlite::Result<(u32, [u8; 32])> {
        if let Some(version) = self.versions.get(&n) {
            return Ok(*version);
        }
        let version = connection
            .prepare_cached("SELECT version, hash FROM version WHERE n = ?1")?
            .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.versions.insert(n, version);
        Ok(version)
    }

    /// The number of a type, when any saga has it.
    pub(super) fn type_number(
        connection: &Connection,
        saga_type: &str,
    ) -> rusqlite::Result<Option<i64>> {
        connection
            .prepare_cached("SELECT n FROM type WHERE name = ?1")?
            .query_row([saga_type], |row| row.get(0))
            .optional()
    }

    /// The row in [`COLUMNS`].
    pub(super) fn saga_row(
        &mut self,
        connection: &Connection,
        row: &Row<'_>,
    ) -> rusqlite::Result<SagaRow> {
        let optional_time = |at| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(at)?.map(|at| at as u64))
        };
        let (definition_version, definition_hash) = self.version(connection, row.get(2)?)?;
        Ok(SagaRow {
            saga: saga_id(row.get(0)?),
            saga_type: self.saga_type(connection, row.get(1)?)?,
            definition_version,
            definition_hash,
            state: row.get(3)?,
            paused: row.get(4)?,
            live: row.get(5)?,
            shard: ShardId(row.get(6)?),
            seq: row.get::<_, i64>(7)? as u64,
            created_at: row.get::<_, i64>(8)? as u64,
            updated_at: row.get::<_, i64>(9)? as u64,
            ended_at: optional_time(10)?,
            due_at: row.get::<_, i64>(11)?.checked_sub(1).and_then(|at| at.try_into().ok()),
            close_at: optional_time(12)?,
            expires_at: optional_time(13)?,
            attention: row.get(14)?,
            stuck_at: optional_time(18)?,
            business_key: row.get(15)?,
            error: row.get(16)?,
            quarantined: row.get(17)?,
        })
    }
}

/// What a failed read means: reading again may do, unless the file is damaged.
pub(super) fn unreadable(error: rusqlite::Error) -> CatalogError {
    let what = error.to_string();
    match failure(&error) {
        Failure::Busy => CatalogError::Busy { what },
        Failure::Full => CatalogError::Full { what },
        Failure::Damaged | Failure::Broken => CatalogError::Damaged { what },
    }
}
