//! Where servers are kept that no Debian package has: they are had once, and again where they have
//! gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::program::Program;

/// The folder of this name. Where it is not whole it is made, by one process at a time.
pub(crate) fn folder(
    name: &str,
    is_whole: impl Fn(&Path) -> bool,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let cache = cache()?;
    let folder = cache.join(name);
    if is_whole(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("the cache cannot be locked")?;
    if !is_whole(&folder) {
        make(&folder)?;
    }
    Ok(folder)
}

fn cache() -> anyhow::Result<PathBuf> {
    let of = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let caches = caches.context("neither XDG_CACHE_HOME nor HOME says where servers are kept")?;
    Ok(caches.join("amends-testbed"))
}

/// Runs a program to its end; what it said is in the error.
pub(crate) fn run(program: &Program) -> anyhow::Result<()> {
    let output = program.output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}:\n{}", output.status, String::from_utf8_lossy(&said));
    Ok(())
}
