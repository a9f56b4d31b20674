//! Inputs that are kept: seeds, what reached something new, and what broke something once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// The root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Every input of a target that is kept, with its name: `fuzz/corpus/<target>/*`, and its seeds.
pub fn kept(target: &Target) -> io::Result<Vec<(String, Vec<u8>)>> {
    let seeds = (target.seeds)().into_iter().enumerate();
    let mut inputs: Vec<_> = seeds.map(|(i, bytes)| (format!("seed {i}"), bytes)).collect();
    for path in files(&root().join("fuzz/corpus").join(target.name))? {
        inputs.push((path.display().to_string(), fs::read(&path)?));
    }
    Ok(inputs)
}

/// The files of a folder, by name; none where there is no folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The files of these folders that end so, for seeds. What cannot be read gives fewer seeds, and
/// the tests say how many there must be at least.
pub(crate) fn seeds_from(folders: &[&str], ending: &str) -> Vec<Vec<u8>> {
    let paths = folders.iter().flat_map(|folder| files(&root().join(folder)).unwrap_or_default());
    let wanted = paths.filter(|path| path.to_string_lossy().ends_with(ending));
    wanted.filter_map(|path| fs::read(path).ok()).collect()
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}
