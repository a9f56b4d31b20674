//! Definitions, notes, orphan replies and the audit.

use amends_store::{
    Audit, AuditBreak, AuditEntry, CatalogError, Definition, ORPHANS_MAX, Orphan, PAGE_ROWS_MAX,
    StoredOrphan, check_audit,
};
use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::reader::Reader;
use super::row::{saga_bytes, saga_id, time, unreadable};
use super::writer::Writer;

impl Writer {
    pub(super) fn put_definition(&mut self, definition: &Definition) -> Result<(), CatalogError> {
        let Definition { saga_type, version, hash, source, created_at } = definition;
        self.transact(|transaction, _| {
            let held: Option<[u8; 32]> = transaction
                .query_row(
                    "SELECT hash FROM definition WHERE saga_type = ?1 AND version = ?2",
                    params![saga_type, version],
                    |row| row.get(0),
                )
                .optional()?;
            match held {
                Some(held) if held != *hash => {
                    let (saga_type, version) = (saga_type.clone(), *version);
                    Err(CatalogError::DefinitionConflict { saga_type, version, held }.into())
                }
                Some(_) => Ok(()),
                None => {
                    transaction.execute(
                        "INSERT INTO definition (saga_type, version, hash, source, created_at)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![saga_type, version, hash, &source[..], time(*created_at)],
                    )?;
                    Ok(())
                }
            }
        })
    }

    pub(super) fn put_note(&mut self, name: &str, note: &[u8]) -> Result<(), CatalogError> {
        self.transact(|transaction, _| {
            transaction.execute(
                "INSERT INTO note (name, note) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET note = excluded.note",
                params![name, note],
            )?;
            Ok(())
        })
    }

    pub(super) fn put_orphan(&mut self, orphan: &Orphan) -> Result<u64, CatalogError> {
        let Orphan { received_at, saga, source, reply } = orphan;
        self.transact(|transaction, _| {
            let held: i64 =
                transaction.query_row("SELECT count(*) FROM orphan", [], |row| row.get(0))?;
            if held as u64 >= ORPHANS_MAX {
                return Err(CatalogError::OrphansFull { orphans_max: ORPHANS_MAX }.into());
            }
            transaction.execute(
                "INSERT INTO orphan (received_at, saga, source, reply) VALUES (?1, ?2, ?3, ?4)",
                params![time(*received_at), saga_bytes(*saga), source, &reply[..]],
            )?;
            Ok(transaction.last_insert_rowid() as u64)
        })
    }

    pub(super) fn remove_orphan(&mut self, number: u64) -> Result<bool, CatalogError> {
        self.transact(|transaction, _| {
            let removed =
                transaction.execute("DELETE FROM orphan WHERE number = ?1", [number as i64])?;
            Ok(removed > 0)
        })
    }

    pub(super) fn append_audit(&mut self, audit: Audit) -> Result<AuditEntry, CatalogError> {
        let entry = AuditEntry::following(self.last_audit, audit);
        self.transact(|transaction, _| {
            let AuditEntry { number, hash, audit } = &entry;
            transaction
                .prepare_cached(
                    "INSERT INTO audit (number, hash, at, actor, action, saga, detail)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    *number as i64,
                    hash,
                    audit.at as i64,
                    audit.actor,
                    audit.action,
                    audit.saga.map(saga_bytes),
                    &audit.detail[..],
                ])?;
            Ok(())
        })?;
        self.last_audit = Some((entry.number, entry.hash));
        Ok(entry)
    }
}

const DEFINITION: &str = "SELECT saga_type, version, hash, source, created_at FROM definition";

impl Reader {
    pub(super) fn definition(
        &mut self,
        saga_type: &str,
        version: u32,
    ) -> Result<Option<Definition>, CatalogError> {
        self.connection
            .prepare_cached(&format!("{DEFINITION} WHERE saga_type = ?1 AND version = ?2"))
            .and_then(|mut one| one.query_row(params![saga_type, version], definition).optional())
            .map_err(unreadable)
    }

    pub(super) fn definitions(&mut self) -> Result<Vec<Definition>, CatalogError> {
        self.connection
            .prepare_cached(&format!("{DEFINITION} ORDER BY saga_type, version"))
            .and_then(|mut all| all.query_map([], definition)?.collect())
            .map_err(unreadable)
    }

    pub(super) fn note(&mut self, name: &str) -> Result<Option<Bytes>, CatalogError> {
        let note = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
        self.connection
            .prepare_cached("SELECT note FROM note WHERE name = ?1")
            .and_then(|mut one| one.query_row([name], note).optional())
            .map(|note| note.map(Bytes::from))
            .map_err(unreadable)
    }

    pub(super) fn orphans(
        &mut self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredOrphan>, CatalogError> {
        let stored = |row: &Row<'_>| {
            Ok(StoredOrphan {
                number: row.get::<_, i64>(0)? as u64,
                orphan: Orphan {
                    received_at: row.get::<_, i64>(1)? as u64,
                    saga: saga_id(row.get(2)?),
                    source: row.get(3)?,
                    reply: Bytes::from(row.get::<_, Vec<u8>>(4)?),
                },
            })
        };
        self.connection
            .prepare_cached(
                "SELECT number, received_at, saga, source, reply FROM orphan WHERE number > ?1
                 ORDER BY number LIMIT ?2",
            )
            .and_then(|mut page| {
                page.query_map(params![time(after), rows(limit)], stored)?.collect()
            })
            .map_err(unreadable)
    }

    pub(super) fn audits(
        &mut self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, CatalogError> {
        let entries = self.audit_entries(saga, after, limit).map_err(unreadable)?;
        if saga.is_none()
            && let Some(first) = entries.first()
        {
            let before = match first.number {
                1 => None,
                number => Some(self.audit_before(number)?),
            };
            check_audit(before, &entries)?;
        }
        Ok(entries)
    }

    fn audit_entries(
        &mut self,
        saga: Option<u128>,
        after: u64,
        limit: usize,
    ) -> rusqlite::Result<Vec<AuditEntry>> {
        const AUDIT: &str = "SELECT number, hash, at, actor, action, saga, detail FROM audit";
        let of = if saga.is_some() { "saga = ?3" } else { "?3 IS NULL" };
        let sql = format!("{AUDIT} WHERE number > ?1 AND {of} ORDER BY number LIMIT ?2");
        self.connection
            .prepare_cached(&sql)?
            .query_map(params![time(after), rows(limit), saga.map(saga_bytes)], |row| {
                Ok(AuditEntry {
                    number: row.get::<_, i64>(0)? as u64,
                    hash: row.get(1)?,
                    audit: Audit {
                        at: row.get::<_, i64>(2)? as u64,
                        actor: row.get(3)?,
                        action: row.get(4)?,
                        saga: row.get::<_, Option<[u8; 16]>>(5)?.map(saga_id),
                        detail: Bytes::from(row.get::<_, Vec<u8>>(6)?),
                    },
                })
            })?
            .collect()
    }

    fn audit_before(&self, number: u64) -> Result<(u64, [u8; 32]), CatalogError> {
        let before = number - 1;
        let hash = self
            .connection
            .query_row("SELECT hash FROM audit WHERE number = ?1", [before as i64], |row| {
                row.get(0)
            })
            .optional()
            .map_err(unreadable)?;
        hash.map(|hash| (before, hash)).ok_or_else(|| AuditBreak { number: before }.into())
    }
}

fn definition(row: &Row<'_>) -> rusqlite::Result<Definition> {
    Ok(Definition {
        saga_type: row.get(0)?,
        version: row.get(1)?,
        hash: row.get(2)?,
        source: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        created_at: row.get::<_, i64>(4)? as u64,
    })
}

fn rows(limit: usize) -> i64 {
    limit.min(PAGE_ROWS_MAX) as i64
}
