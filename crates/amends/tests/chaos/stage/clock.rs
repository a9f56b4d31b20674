//! The server's wall clock, which can be made to jump: by libfaketime, where the machine has it.
//!
//! Only the wall clock is lent; monotonic time stays the machine's, as it does when somebody sets
//! the clock of a real machine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions keep it, below a folder for each architecture or directly.
const LIBRARY_FOLDERS: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// What to do where it is missing.
const INSTALL: &str = "libfaketime is not here (Debian: apt-get install faketime)";

/// The farthest from the right time: short of the day after which ended sagas are closed, and could
/// be deleted, by which the judge would lose its witnesses.
const OFFSET_SECS_MAX: i64 = 3 * 60 * 60;

/// A clock that the server is started with.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    offset_secs: i64,
}

impl Clock {
    /// A clock that is right, told by a file in the folder; or why there is none.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let library = library().ok_or(INSTALL)?;
        let mut clock = Self { library, file: folder.join("clock"), offset_secs: 0 };
        clock.jump(0).map_err(|error| error.to_string())?;
        Ok(clock)
    }

    /// The process sees this clock's time.
    pub fn lend(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }

    /// Sets it so much forward or back, within bounds.
    pub fn jump(&mut self, secs: i64) -> io::Result<()> {
        self.offset_secs = (self.offset_secs + secs).clamp(-OFFSET_SECS_MAX, OFFSET_SECS_MAX);
        // In one step: a reader must not find an empty file.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{:+}\n", self.offset_secs))?;
        std::fs::rename(next, &self.file)
    }

    /// Removes what libfaketime shares with children, which a killed process leaves behind.
    pub fn forget(process: u32) {
        for name in [format!("faketime_shm_{process}"), format!("sem.faketime_sem_{process}")] {
            // Where it is not there, there is nothing to do.
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}

fn library() -> Option<PathBuf> {
    LIBRARY_FOLDERS.iter().map(Path::new).find_map(|folder| {
        let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = below.map(|entry| entry.path()).chain([folder.to_owned()]);
        folders.map(|folder| folder.join(LIBRARY)).find(|library| library.is_file())
    })
}
