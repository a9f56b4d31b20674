//! `cargo xtask kills`: the test that kills the server under a running load, as often as one likes.

use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::Context;

/// As often as a release is to survive it.
const TIMES: u64 = 200;

/// What is asked for; unsaid is the usual number, and a seed that was not drawn before.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) times: Option<u64>,
    pub(crate) seed: Option<u64>,
}

/// Runs the test: did it end well?
pub(crate) fn kill(root: &Path, asked: &Asked) -> anyhow::Result<bool> {
    let times = asked.times.unwrap_or(TIMES);
    let seed = asked.seed.unwrap_or_else(|| UNIX_EPOCH.elapsed().unwrap_or_default().as_secs());
    let status = Command::new("cargo")
        .args(["test", "--locked", "--package", "amends", "--test", "kills", "--", "--nocapture"])
        .env("AMENDS_KILLS", times.to_string())
        .env("AMENDS_SEED", seed.to_string())
        .current_dir(root)
        .status()
        .context("cargo cannot be run")?;
    if !status.success() {
        eprintln!("again: cargo xtask kills --times {times} --seed {seed}");
    }
    Ok(status.success())
}
