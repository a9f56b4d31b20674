//! `cargo xtask folder`: the data folder of this version, with sagas in every state, which every later
//! version must open (docs/formats.md).

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// Makes it: was it made, and does every saga in it end as it must?
pub(crate) fn make(root: &Path, again: bool) -> anyhow::Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--locked", "--package", "amends-folders", "--"]).current_dir(root);
    if again {
        cargo.arg("--again");
    }
    Ok(cargo.status().context("cargo cannot be run")?.success())
}
