//! How both files are opened, and what SQLite's errors mean here.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::files::FileSystem;
use crate::folder::{FORMAT, OpenError};
use crate::mutant::{Mutant, Mutation};

/// The oldest SQLite that is trusted: before it, resetting the write-ahead file while another
/// connection wrote could corrupt a database.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// After how many pages the write-ahead file is written back: near 1000 the work is spread out, at
/// 8192 writers were seen to stall for 100 ms.
const AUTOCHECKPOINT_PAGES: i64 = 1000;

/// How long a statement waits for another program, somebody's `sqlite3` say.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept a connection: more than there are different ones.
const STATEMENTS_MAX: usize = 64;

/// What a file is opened with.
pub(crate) struct Setup {
    /// In `PRAGMA application_id`, so that `file` and we tell the two apart.
    pub(crate) application_id: i32,
    pub(crate) page_bytes: i64,
    pub(crate) cache_bytes: i64,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) mutation: Mutation,
}

/// Is this the SQLite that is asked for?
pub(crate) fn check_version() -> Result<(), OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::SqliteTooOld { version: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Opens the connection that writes a file; it is made when it is not there.
pub(crate) fn open_writer(
    files: &dyn FileSystem,
    path: &Path,
    setup: &Setup,
) -> Result<Connection, OpenError> {
    let io = |source| OpenError::io(path, source);
    if !files.exists(path).map_err(io)? {
        files.create(path).map_err(io)?;
    }
    let connection = connect(files, path, setup)?;
    let sqlite = |source| OpenError::sqlite(path, source);
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    if application_id != 0 && application_id != setup.application_id {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let set = || -> rusqlite::Result<()> {
        // Before the first table, else it has no effect.
        connection.pragma_update(None, "page_size", setup.page_bytes)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = if setup.mutation.is(Mutant::SkipsTheSync) { "off" } else { "full" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let limit = setup.bytes_max.map(|bytes| bytes / page_bytes.max(1) as u64);
        // The default is SQLite's own limit, which a file may have been given a lower one of.
        let pages_max = limit.map_or(i64::from(u32::MAX - 1), |pages| pages.max(1) as i64);
        connection.query_row(&format!("PRAGMA max_page_count = {pages_max}"), [], |_| Ok(()))
    };
    set().map_err(sqlite)?;
    write_back(&connection, path)?;
    Ok(connection)
}

/// What the write-ahead file holds may be there for its readers only: when a sync has failed, and
/// the process ended over it, nothing will ever write it again by itself. So it is written into the
/// file, and that synced, before anything is built upon it.
fn write_back(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let path = path.to_owned();
    let pages = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match pages {
        // There is none. A disk that failed while the file was given one is the only way to that:
        // SQLite says nothing, names the mode 'wal', and commits by a rollback journal, which a
        // power cut may bring back.
        Ok((..0, _)) => Err(OpenError::NotAhead { path }),
        Ok((held, written)) if held > written => Err(OpenError::ReadElsewhere { path }),
        Ok(_) => Ok(()),
        Err(source) => Err(OpenError::sqlite(&path, source)),
    }
}

/// Opens a connection that only reads. It might write, since whichever connection is closed last
/// writes the write-ahead file back, so that a closed folder has none.
pub(crate) fn open_reader(
    files: &dyn FileSystem,
    path: &Path,
    setup: &Setup,
) -> Result<Connection, OpenError> {
    let connection = connect(files, path, setup)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|source| OpenError::sqlite(path, source))?;
    Ok(connection)
}

fn connect(files: &dyn FileSystem, path: &Path, setup: &Setup) -> Result<Connection, OpenError> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match files.vfs() {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
            None => Connection::open_with_flags(path, flags)?,
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // In pages, which are those of the file: in bytes, SQLite would count in pages of its own
        // usual size, as it has not read the file yet.
        connection.pragma_update(None, "cache_size", setup.cache_bytes / setup.page_bytes)?;
        // Not mapped: an error of the disk would be a signal that ends the process instead of an
        // answer, and pages that are written are copied either way.
        connection.query_row("PRAGMA mmap_size = 0", [], |_| Ok(()))?;
        connection.pragma_update(None, "temp_store", "memory")?;
        // On a Mac a plain fsync stops at the drive's cache.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::sqlite(path, source))
}

/// Makes the tables of a new file, unless the folder has been in use, and checks whose file an old
/// one is.
pub(crate) fn prepare_schema(
    connection: &mut Connection,
    path: &Path,
    setup: &Setup,
    origin: &str,
    schema: &str,
    in_use: impl FnOnce() -> Result<bool, OpenError>,
) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::sqlite(path, source);
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if version > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), found: version });
    }
    if version == 0 {
        if in_use()? {
            let what = format!("{} is empty, and the other one is not", path.display());
            let path = path.parent().unwrap_or(path).to_owned();
            return Err(OpenError::Torn { path, what });
        }
        let mut make = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(schema)?;
            transaction.execute_batch("CREATE TABLE origin (name TEXT NOT NULL) STRICT")?;
            transaction.execute("INSERT INTO origin VALUES (?1)", [origin])?;
            transaction.pragma_update(None, "application_id", setup.application_id)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
            transaction.commit()
        };
        return make().map_err(sqlite);
    }
    let held: String =
        connection.query_row("SELECT name FROM origin", [], |row| row.get(0)).map_err(sqlite)?;
    if held != origin {
        let what = format!("{} is of another data folder", path.display());
        let path = path.parent().unwrap_or(path).to_owned();
        return Err(OpenError::Torn { path, what });
    }
    Ok(())
}

/// What a failed statement means for those that come after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No room: nothing was written.
    Full,
    /// Another program is writing: nothing was written.
    Busy,
    /// The file is not a sound database.
    Damaged,
    /// Anything else: what is on the disk is not known.
    Broken,
}

pub(crate) fn failure(error: &rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Failure::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Failure::Damaged,
        _ => Failure::Broken,
    }
}
