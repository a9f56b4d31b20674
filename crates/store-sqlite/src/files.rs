//! What is asked of the file system beside SQLite, so that tests can put one underneath that fails
//! and forgets.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Where data folders lie. Every call is one thing that can fail, or be the last before a crash.
pub trait FileSystem: Send + Sync {
    /// The name of the VFS through which SQLite opens its files; its own when there is none.
    fn vfs(&self) -> Option<&str>;
    /// Is there anything of this name? That it cannot be told is an error, and not a no.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes one folder that nobody else may read.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which names there are in a folder.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// All of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Makes an empty file that nobody else may read.
    fn create(&self, path: &Path) -> io::Result<()>;
    /// Writes a whole file that nobody else may read, in place of what was there, and syncs it.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name, in place of what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Locks a file, which is made when it is not there, and writes into it who holds it.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locked>;
}

/// Who holds a lock.
pub enum Locked {
    /// The caller, until it drops this.
    Here(Box<dyn Any + Send + Sync>),
    /// Another, which has written this into the file.
    Elsewhere(String),
}

/// The one that the operating system has.
pub(crate) struct System;

impl FileSystem for System {
    fn vfs(&self) -> Option<&str> {
        None
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        #[allow(unused_mut)] // only Unix has modes
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path; // folders cannot be synced there
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        private().create_new(true).open(path).map(drop)
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = private().create(true).truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Locked> {
        let mut file = private().read(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // It may just be changing hands; then the holder has no name yet.
                let _ = file.read_to_string(&mut text);
                return Ok(Locked::Elsewhere(text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())?;
        Ok(Locked::Here(Box::new(Held(file))))
    }
}

/// A lock, which ends when it is dropped, or with its process.
struct Held(File);

/// Closing the file would end it as well, unless a program is just being started, which has all that is
/// open until it begins: then a start right after a stop would find the folder still open.
impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // the file is closed in a moment
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Option<Box<dyn Any + Send + Sync>> {
        match System.lock(path, "a test").unwrap() {
            Locked::Here(lock) => Some(lock),
            Locked::Elsewhere(holder) => {
                assert_eq!(holder, "a test");
                None
            }
        }
    }

    #[test]
    fn a_lock_has_one_holder_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = take(&path);
        assert!(lock.is_some());
        assert!(take(&path).is_none());
        drop(lock);
        assert!(take(&path).is_some());
    }

    #[test]
    fn a_lock_ends_also_while_a_program_that_is_being_started_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = take(&path).unwrap();
        let inherited = lock.downcast_ref::<Held>().unwrap().0.try_clone().unwrap();
        drop(lock);
        assert!(take(&path).is_some());
        drop(inherited);
    }
}
