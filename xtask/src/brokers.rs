//! `cargo xtask brokers`: the orders over brokers of the tests as a program, on a release build, many
//! of them.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// What is asked for; unsaid is what the program has as its usual.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) sagas: Option<u64>,
    /// Whether the services run them among themselves.
    pub(crate) among: bool,
    /// Over which brokers; all of them when none is said.
    pub(crate) over: Vec<String>,
}

/// Runs them: is every ledger exact?
pub(crate) fn run(root: &Path, asked: &Asked) -> anyhow::Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--locked", "--release", "--package", "amends", "--test", "brokers", "--"])
        .arg(if asked.among { "among" } else { "run" })
        .current_dir(root);
    if let Some(sagas) = asked.sagas {
        cargo.arg("--sagas").arg(sagas.to_string());
    }
    for name in &asked.over {
        cargo.arg("--over").arg(name);
    }
    Ok(cargo.status().context("cargo cannot be run")?.success())
}
