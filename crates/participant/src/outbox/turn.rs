//! Whose turn it is to relay a database that holds no rows against another relay: SQLite, which has
//! one writer at a time, and none may wait for a broker meanwhile.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A turn, which ends when it is dropped, or with its process.
pub(super) struct Turn {
    /// None of a database in memory, which is no other process's.
    held: Option<File>,
}

/// Closing the file would end it as well, unless a program is just being started, which has all that is
/// open until it begins: then the next turn would find this one still held.
impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            let _ = held.unlock(); // the file is closed in a moment
        }
    }
}

impl Turn {
    /// Takes the turn of this database, if no other process has it: a lock on a file beside it,
    /// `<database>-relay`, which holds nothing.
    pub(super) fn take(database: Option<&Path>) -> io::Result<Option<Self>> {
        let Some(database) = database else { return Ok(Some(Self { held: None })) };
        let mut name = database.as_os_str().to_owned();
        name.push("-relay");
        let file = File::options().create(true).truncate(false).write(true).open(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { held: Some(file) })),
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

    #[test]
    fn a_turn_ends_also_while_a_program_that_is_being_started_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.db");
        let turn = Turn::take(Some(&path)).unwrap().unwrap();
        let inherited = turn.held.as_ref().unwrap().try_clone().unwrap();
        drop(turn);
        assert!(Turn::take(Some(&path)).unwrap().is_some());
        drop(inherited);
    }
}
