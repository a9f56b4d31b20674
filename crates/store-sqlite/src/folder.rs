//! The data folder: who may open it, and which format it has.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_store::{JournalError, Position};

use crate::files::{FileSystem, Locked};
use crate::sqlite::{Failure, failure};

/// The format that this version writes, and the newest that it reads. The number speaks for
/// everything in the folder, the engine's bytes included: it is what an older version looks at, and
/// all that it looks at, before it refuses (docs/formats.md).
pub const FORMAT: u32 = 1;

const FORMAT_PREFIX: &str = "amends data folder, format ";

/// Why a data folder was not opened. No fact in it has been changed, and of a folder with a newer
/// format not a byte.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data folder {} is open in process {pid} since {since} UTC: end that one, or give this one a folder of its own", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, as it says.
        pid: String,
        /// Since when, as it says.
        since: String,
    },
    /// A file has not got the write-ahead file that was asked for.
    #[error("{} could not be given a write-ahead file, without which a power cut could take back what was acknowledged: look at the disk, and try again", path.display())]
    NotAhead {
        /// The file.
        path: PathBuf,
    },
    /// Another program reads a file and holds up what the write-ahead file holds.
    #[error("another program reads {}, and what was written last cannot be made sure of before it ends: end it", path.display())]
    ReadElsewhere {
        /// The file.
        path: PathBuf,
    },
    /// A newer version has written it.
    #[error("{} has format {found}, and this version of amends reads formats up to {}: open it with the version that wrote it, or a newer one; nothing has been changed", path.display(), FORMAT)]
    NewerFormat {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A newer version has written a record of the journal.
    #[error("record {position} of {} has version {found}, and this version of amends reads versions up to {}: open the folder with the version that wrote it, or a newer one; no record has been changed", path.display(), crate::record::VERSION)]
    NewerRecord {
        /// The journal.
        path: PathBuf,
        /// Where the record stands.
        position: Position,
        /// Its version.
        found: u8,
    },
    /// It holds something else.
    #[error("{} is not of an amends data folder: choose an empty folder, or the right one", path.display())]
    Foreign {
        /// The file that does not fit.
        path: PathBuf,
    },
    /// The two files are of different folders, or of different moments.
    #[error("the journal and the catalog in {} do not belong together ({what}): restore both from one backup", path.display())]
    Torn {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The journal is not what was written.
    #[error("{}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: JournalError,
    },
    /// The SQLite in this binary has a known fault.
    #[error(
        "this binary has SQLite {version}, and one before 3.51.3 can corrupt a write-ahead file: build it with the bundled one"
    )]
    SqliteTooOld {
        /// Its version.
        version: String,
    },
    /// A file is not what SQLite has written.
    #[error("{} is damaged ({source}): put the data folder aside, and restore both files from one backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// SQLite could not open or read a file.
    #[error("{} cannot be opened: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The system could not open, read or write a file.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match failure(&source) {
            Failure::Damaged => Self::Damaged { path, source },
            Failure::Full | Failure::Busy | Failure::Broken => Self::Sqlite { path, source },
        }
    }
}

/// An open data folder; it is free again when this is dropped.
pub(crate) struct Folder {
    path: PathBuf,
    files: Arc<dyn FileSystem>,
    _lock: Box<dyn Any + Send + Sync>,
}

impl Folder {
    pub(crate) fn open(path: &Path, files: Arc<dyn FileSystem>) -> Result<Self, OpenError> {
        crate::sqlite::check_version()?;
        // Looked at before the lock is taken, which writes who has it.
        format(&*files, path)?;
        make(&*files, path).map_err(|source| OpenError::io(path, source))?;
        let lock = lock(&*files, path)?;
        check_format(&*files, path)?;
        Ok(Self { path: path.to_owned(), files, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn files(&self) -> &dyn FileSystem {
        &*self.files
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.db")
    }

    /// Makes durable which files there are. SQLite does so too, and takes no notice when it fails.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        self.files.sync_folder(&self.path).map_err(|source| OpenError::io(&self.path, source))
    }

    /// The folder's own name, which both files carry: made with the folder, second line of
    /// `format`.
    pub(crate) fn origin(&self) -> Result<String, OpenError> {
        let path = self.path.join("format");
        let text = read(&*self.files, &path)?.unwrap_or_default();
        match text.lines().nth(1) {
            Some(origin) => Ok(origin.to_owned()),
            None => Err(OpenError::Foreign { path }),
        }
    }
}

/// Makes the folder and those above it.
fn make(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for folder in path.ancestors().map(or_here) {
        if files.exists(folder)? {
            break;
        }
        missing.push(folder);
    }
    for folder in missing.into_iter().rev() {
        match files.make_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {} // another process was faster
        }
    }
    Ok(())
}

/// Makes the name of the folder, and of those above it, durable: one that was not synced is gone
/// after a power cut, with all that was synced in it. Who made it may have ended before its sync, so
/// that this is asked of every folder that nothing has been written into.
fn sync_above(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    for folder in path.ancestors().skip(1).map(or_here) {
        match files.sync_folder(folder) {
            // A folder that may not be read cannot be synced, and is hardly one that was made here.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// What is above a plain name is the folder that the process is in.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Locks the folder and writes into the lock's file who has done so.
fn lock(files: &dyn FileSystem, folder: &Path) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let path = folder.join("lock");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let holder = format!("pid {}\nsince {}\n", std::process::id(), date_time(now));
    match files.lock(&path, &holder).map_err(|source| OpenError::io(&path, source))? {
        Locked::Here(lock) => Ok(lock),
        Locked::Elsewhere(text) => {
            let said = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or("unknown").trim().to_owned()
            };
            let (pid, since) = (said("pid "), said("since "));
            Err(OpenError::Held { path: folder.to_owned(), pid, since })
        }
    }
}

/// `2026-01-31 23:59:58`, by the civil-from-days reckoning of the Gregorian calendar.
fn date_time(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from a 1st of March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The text of a file, when it is there.
fn read(files: &dyn FileSystem, path: &Path) -> Result<Option<String>, OpenError> {
    match files.read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(OpenError::Foreign { path: path.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::io(path, source)),
    }
}

/// The folder's format, where it says one; a newer one is refused.
fn format(files: &dyn FileSystem, folder: &Path) -> Result<Option<u32>, OpenError> {
    let path = folder.join("format");
    let Some(text) = read(files, &path)? else { return Ok(None) };
    let number = text.lines().next().and_then(|line| line.strip_prefix(FORMAT_PREFIX));
    match number.and_then(|number| number.parse().ok()) {
        Some(found) if found > FORMAT => {
            Err(OpenError::NewerFormat { path: folder.to_owned(), found })
        }
        Some(found) => Ok(Some(found)),
        None => Err(OpenError::Foreign { path }),
    }
}

/// Reads the folder's format, and writes it into a new one.
fn check_format(files: &dyn FileSystem, folder: &Path) -> Result<(), OpenError> {
    if format(files, folder)?.is_some() {
        return Ok(());
    }
    for file in ["journal.db", "catalog.db"] {
        // Files without their format are not ours to guess about.
        let path = folder.join(file);
        if files.exists(&path).map_err(|source| OpenError::io(&path, source))? {
            return Err(OpenError::Foreign { path });
        }
    }
    sync_above(files, folder).map_err(|source| OpenError::io(folder, source))?;
    let path = folder.join("format");
    write_format(files, folder, &path).map_err(|source| OpenError::io(&path, source))
}

/// Whole or not at all: a crash must not leave a folder with half a format.
fn write_format(files: &dyn FileSystem, folder: &Path, path: &Path) -> io::Result<()> {
    let whole = folder.join("format.new");
    let text = format!("{FORMAT_PREFIX}{FORMAT}\n{}\n", uuid::Uuid::now_v7());
    files.write_synced(&whole, text.as_bytes())?;
    files.rename(&whole, path)?;
    files.sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(date_time(Duration::from_secs(seconds)), expected);
        }
    }
}
