//! Whose turn it is to relay a database that holds no rows against another relay: SQLite, which has
//! one writer at a time, and none may wait for a broker meanwhile.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A turn, which ends when it is dropped, or with its process.
pub(super) struct Turn {
    /// None of a database in memory, which is no other process's.
    _held: Option<File>,
}

impl Turn {
    /// Takes the turn of this database, if no other process has it: a lock on a file beside it,
    /// `<database>-relay`, which holds nothing.
    pub(super) fn take(database: Option<&Path>) -> io::Result<Option<Self>> {
        let Some(database) = database else { return Ok(Some(Self { _held: None })) };
        let mut name = database.as_os_str().to_owned();
        name.push("-relay");
        let file = File::options().create(true).truncate(false).write(true).open(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _held: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_turn_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
        let turn = Turn::take(Some(&one)).unwrap();
        assert!(turn.is_some());
        assert!(Turn::take(Some(&one)).unwrap().is_none());
        assert!(Turn::take(Some(&other)).unwrap().is_some());
        drop(turn);
        assert!(Turn::take(Some(&one)).unwrap().is_some());
    }
}
