//! A folder as it is checked in: every file compressed, and the sums of all of them in one list.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// What is added to the name of a packed file.
const SUFFIX: &str = ".gz";

/// A process's name in the lock's file would be another every time, and says nothing.
const LOCK: &[u8] = b"pid 1\nsince 2026-11-27 00:00:00\n";

/// Packs a folder.
pub fn pack(folder: &Path, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    for name in names(folder)? {
        let bytes = if name == "lock" { LOCK.to_vec() } else { fs::read(folder.join(&name))? };
        let file = File::create(into.join(format!("{name}{SUFFIX}")))?;
        let mut packed = GzEncoder::new(file, Compression::best());
        packed.write_all(&bytes)?;
        packed.finish()?;
    }
    Ok(())
}

/// Unpacks a folder.
pub fn unpack(packed: &Path, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    for name in names(packed)? {
        let plain = name.strip_suffix(SUFFIX).with_context(|| format!("{name} is not packed"))?;
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(packed.join(&name))?).read_to_end(&mut bytes)?;
        fs::write(into.join(plain), bytes)?;
    }
    Ok(())
}

/// The SHA-256 of every file of a version, a line each, as `sha256sum` writes them.
pub fn sums(version: &Path) -> anyhow::Result<String> {
    let mut lines = String::new();
    for part in ["killed", "stopped"] {
        for name in names(&version.join(part))? {
            lines += &sum(version, &format!("{part}/{name}"))?;
        }
    }
    lines += &sum(version, "manifest.json")?;
    Ok(lines)
}

fn sum(version: &Path, name: &str) -> anyhow::Result<String> {
    let bytes = fs::read(version.join(name)).with_context(|| name.to_owned())?;
    let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let version = version.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{sum}  {version}/{name}\n"))
}

/// The names in a folder, in order.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        names.push(file?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
