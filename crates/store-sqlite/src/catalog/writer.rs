//! The one writer: every call is one transaction and one sync.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use amends_store::{AuditHash, CatalogError};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::journal::JournalLink;
use crate::sqlite::{Failure, failure};

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) position: Arc<AtomicU64>,
    pub(super) journal: JournalLink,
    pub(super) numbers: Numbers,
    /// No saga in the catalog has a greater id: what is above is new without being looked for.
    pub(super) highest: Option<u128>,
    pub(super) last_audit: Option<(u64, AuditHash)>,
    broken: Option<String>,
}

/// The numbers of types and versions. A transaction that fails may have made some up.
#[derive(Default)]
pub(super) struct Numbers {
    types: HashMap<Arc<str>, i64>,
    versions: HashMap<(i64, u32, [u8; 32]), i64>,
}

/// Why a transaction was not committed.
pub(super) enum Abort {
    Sqlite(rusqlite::Error),
    Refused(CatalogError),
}

impl From<rusqlite::Error> for Abort {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<CatalogError> for Abort {
    fn from(error: CatalogError) -> Self {
        Self::Refused(error)
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        position: Arc<AtomicU64>,
        journal: JournalLink,
    ) -> rusqlite::Result<Self> {
        let highest: Option<[u8; 16]> =
            connection.query_row("SELECT max(id) FROM saga", [], |row| row.get(0))?;
        let last_audit = connection
            .query_row("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
            })
            .optional()?;
        let highest = highest.map(super::saga_id);
        let (numbers, broken) = (Numbers::default(), None);
        Ok(Self { connection, position, journal, numbers, highest, last_audit, broken })
    }

    /// Runs one transaction; when it does not commit, nothing of it is left.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Numbers) -> Result<T, Abort>,
    ) -> Result<T, CatalogError> {
        if let Some(what) = &self.broken {
            return Err(CatalogError::Broken { what: what.clone() });
        }
        let numbers = &mut self.numbers;
        let done = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Abort::from)
            .and_then(|transaction| {
                let done = work(&transaction, numbers)?;
                transaction.commit()?;
                Ok(done)
            });
        done.map_err(|abort| {
            self.numbers = Numbers::default();
            match abort {
                Abort::Refused(error) => error,
                Abort::Sqlite(error) => self.failed(&error),
            }
        })
    }

    fn failed(&mut self, error: &rusqlite::Error) -> CatalogError {
        let what = error.to_string();
        match failure(error) {
            Failure::Full => CatalogError::Full { what },
            Failure::Busy => CatalogError::Busy { what },
            Failure::Damaged | Failure::Broken => {
                tracing::error!(what, "the catalog cannot be written any more");
                self.broken = Some(what.clone());
                CatalogError::Broken { what }
            }
        }
    }
}

impl Numbers {
    pub(super) fn saga_type(
        &mut self,
        connection: &Connection,
        name: &Arc<str>,
    ) -> rusqlite::Result<i64> {
        if let Some(n) = self.types.get(name) {
            return Ok(*n);
        }
        connection.execute("INSERT OR IGNORE INTO type (name) VALUES (?1)", [name])?;
        let n: i64 =
            connection.query_row("SELECT n FROM type WHERE name = ?1", [name], |row| row.get(0))?;
        self.types.insert(name.clone(), n);
        Ok(n)
    }

    pub(super) fn version(
        &mut self,
        connection: &Connection,
        key: (i64, u32, [u8; 32]),
    ) -> rusqlite::Result<i64> {
        if let Some(n) = self.versions.get(&key) {
            return Ok(*n);
        }
        let (saga_type, version, hash) = key;
        connection.execute(
            "INSERT OR IGNORE INTO version (type, version, hash) VALUES (?1, ?2, ?3)",
            params![saga_type, version, hash],
        )?;
        let n = connection.query_row(
            "SELECT n FROM version WHERE type = ?1 AND version = ?2 AND hash = ?3",
            params![saga_type, version, hash],
            |row| row.get(0),
        )?;
        self.versions.insert(key, n);
        Ok(n)
    }
}
