//! `cargo xtask folder`: the data folder of this version, with sagas in every state, which every later
//! version must open (docs/formats.md).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Makes it: was it made, and does every saga in it end as it must? What a release has left is never made
/// again: that it can be read is what the folder is there to show.
pub(crate) fn make(root: &Path, again: bool) -> anyhow::Result<bool> {
    let tag = concat!("v", env!("CARGO_PKG_VERSION"));
    let mut git = Command::new("git");
    let tags = git.args(["tag", "--list", tag]).current_dir(root).output();
    let tags = tags.context("git cannot be run")?;
    ensure!(tags.status.success(), "git does not list the tags");
    ensure!(tags.stdout.is_empty(), "{tag} is released: give the version another number first");
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--locked", "--package", "amends-folders", "--"]).current_dir(root);
    if again {
        cargo.arg("--again");
    }
    Ok(cargo.status().context("cargo cannot be run")?.success())
}
