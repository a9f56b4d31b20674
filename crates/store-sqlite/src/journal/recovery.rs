//! Opening: the whole journal is read once, every record checked against its own checksum and the
//! one before it, and what the catalog does not hold is taken into memory (`semantics.md` S20).
//!
//! A row of SQLite is written whole or not at all, so a tail that is not whole is rare: a disk
//! that lies about syncs, a copy made without the write-ahead file. A record that is not whole and
//! stands last was never acknowledged; it is cut, and its bytes are put aside. One that is whole
//! and has the wrong content may have been acknowledged; that halts, wherever it stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use amends_store::{Admission, Epoch, JournalError, JournalSize, Position, ShardId};
use bytes::Bytes;
use rusqlite::Connection;

use super::archive::Archive;
use super::load;
use super::writer::Writer;
use crate::folder::{Folder, OpenError};
use crate::mutant::{Mutant, Mutation};
use crate::record::{self, Fault};

pub(super) fn recover(
    mut connection: Connection,
    mut archive: Archive,
    catalog_position: Arc<AtomicU64>,
    folder: &Folder,
    mutation: Mutation,
) -> Result<Writer, OpenError> {
    let path = folder.journal();
    let read = read(&connection, &mut archive, load(&catalog_position), &path, mutation)?;
    archive.end();
    if let Some(torn) = read.torn.filter(|_| !mutation.is(Mutant::KeepsTheTornTail)) {
        tracing::warn!(position = torn.0, "the journal's last record is not whole and is cut");
        put_aside(&mut connection, torn).map_err(|source| OpenError::sqlite(&path, source))?;
    }
    let (last, held) = (read.size.last, load(&catalog_position));
    if last < held {
        let what = format!("the catalog holds everything up to {held}, the journal ends at {last}");
        return Err(OpenError::Torn { path: folder.path().to_owned(), what });
    }
    Ok(Writer {
        connection,
        admission: read.admission,
        archive,
        catalog_position,
        cursors: read.cursors,
        checksum: read.checksum,
        size: Arc::new(Mutex::new(read.size)),
        cuts: Vec::new(),
        broken: None,
        buffer: Vec::new(),
        mutation,
    })
}

struct Read {
    admission: Admission,
    cursors: BTreeMap<String, Position>,
    size: JournalSize,
    checksum: u64,
    torn: Option<Position>,
}

fn read(
    connection: &Connection,
    archive: &mut Archive,
    catalog_position: Position,
    path: &Path,
    mutation: Mutation,
) -> Result<Read, OpenError> {
    let sqlite = |source| OpenError::sqlite(path, source);
    let halt = |source| OpenError::Journal { path: path.to_owned(), source };
    let mut read = restore_marks(connection).map_err(sqlite)?;
    let proven = read.cursors.values().copied().fold(catalog_position, Position::max);
    let end: Option<i64> = connection
        .query_row("SELECT max(position) FROM record", [], |r| r.get(0))
        .map_err(sqlite)?;
    let end = Position(end.unwrap_or(0) as u64);

    let mut records = connection
        .prepare("SELECT position, bytes FROM record ORDER BY position")
        .map_err(sqlite)?;
    let mut rows = records.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let position = Position(row.get::<_, i64>(0).map_err(sqlite)? as u64);
        let bytes = Bytes::from(row.get::<_, Vec<u8>>(1).map_err(sqlite)?);
        let length = bytes.len() as u64;
        let expected = read.size.last.next();
        let damaged = |what: String| halt(JournalError::Damaged { position: expected, what });
        if position != expected {
            return Err(damaged(format!("it is missing, the next one there is {position}")));
        }
        let sound = match record::check(bytes.clone(), position, read.checksum) {
            Ok(sound) => sound,
            Err(Fault::Checksum) if mutation.is(Mutant::IgnoresTheChecksum) => {
                record::trust(bytes, position)
            }
            Err(Fault::Torn) if position == end && position > proven => {
                read.torn = Some(position);
                break;
            }
            Err(Fault::Version(found)) if found > record::VERSION => {
                let path = path.to_owned();
                return Err(OpenError::NewerRecord { path, position, found });
            }
            Err(fault) => return Err(damaged(fault.to_string())),
        };
        read.checksum = sound.checksum;
        read.size.last = position;
        read.size.records += 1;
        read.size.bytes += length;
        if position > catalog_position {
            let record = sound.content().map_err(|fault| damaged(fault.to_string()))?;
            read.admission.restore(&record, archive).map_err(halt)?;
        }
    }
    Ok(read)
}

/// What is in the small tables.
fn restore_marks(connection: &Connection) -> rusqlite::Result<Read> {
    let mut admission = Admission::default();
    let mut owners = connection.prepare("SELECT shard, epoch FROM owner")?;
    let mut rows = owners.query([])?;
    while let Some(row) = rows.next()? {
        let epoch = Epoch(row.get::<_, i64>(1)? as u64);
        admission.restore_epoch(ShardId(row.get(0)?), epoch);
    }
    let mut cursors = connection.prepare("SELECT name, position FROM cursor")?;
    let cursors = cursors
        .query_map([], |row| Ok((row.get(0)?, Position(row.get::<_, i64>(1)? as u64))))?
        .collect::<rusqlite::Result<_>>()?;
    let (cut, checksum) = cut(connection)?;
    let size = JournalSize { cut, last: cut, ..JournalSize::default() };
    Ok(Read { admission, cursors, size, checksum, torn: None })
}

/// The last record that was cut, and its checksum.
pub(super) fn cut(connection: &Connection) -> rusqlite::Result<(Position, u64)> {
    connection.prepare_cached("SELECT position, checksum FROM cut")?.query_row([], |row| {
        Ok((Position(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64))
    })
}

fn put_aside(connection: &mut Connection, torn: Position) -> rusqlite::Result<()> {
    let at = torn.0 as i64;
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO torn SELECT * FROM record WHERE position = ?1", [at])?;
    transaction.execute("DELETE FROM record WHERE position = ?1", [at])?;
    transaction.commit()
}
