//! A disk of its own for the server's data, small enough to be filled: a file that is mounted, for
//! which one has to be root.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Room for more sagas than an hour brings; the file takes what is written of it.
const DISK_BYTES: u64 = 4 << 30;

/// Why there is none.
pub struct NoDisk {
    pub why: String,
    /// One may not mount it here: not everybody is root, and not every root may. Else something is
    /// missing that could be there.
    pub is_refused: bool,
}

impl From<String> for NoDisk {
    fn from(why: String) -> Self {
        Self { why, is_refused: false }
    }
}

/// A file system in a file, unmounted when it is dropped.
pub struct Disk {
    mounted: PathBuf,
}

impl Disk {
    /// Makes and mounts one at `<folder>/disk`; or says why it cannot.
    pub fn mount(folder: &Path) -> Result<Self, NoDisk> {
        let refused = |why| NoDisk { why, is_refused: true };
        if !rustix::process::geteuid().is_root() {
            return Err(refused("it takes root to mount a disk".to_owned()));
        }
        let (image, mounted) = (folder.join("disk.img"), folder.join("disk"));
        let made = File::create(&image).and_then(|file| file.set_len(DISK_BYTES));
        made.map_err(|error| error.to_string())?;
        std::fs::create_dir(&mounted).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let mount = run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted));
        mount.map_err(refused)?;
        Ok(Self { mounted })
    }

    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Takes all the room there is.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let room = statvfs(&self.mounted)?;
        // What this leaves over is taken byte by byte.
        let most = (room.f_bavail * room.f_frsize).saturating_sub(1 << 20);
        if most > 0 {
            fallocate(&ballast, FallocateFlags::KEEP_SIZE, 0, most)?;
            io::Seek::seek(&mut ballast, io::SeekFrom::Start(most))?;
        }
        let block = [1; 4096];
        loop {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives it back.
    pub fn free(&self) -> io::Result<()> {
        std::fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.mounted.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Its processes are gone by now; what still holds it lets it go when it ends.
        let _ = run(Command::new("umount").arg("-l").arg(&self.mounted));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
