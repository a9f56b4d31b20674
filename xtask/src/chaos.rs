//! `cargo xtask kills` and `cargo xtask chaos`: the chaos of the tests as a program, on a release
//! build, for as long as one likes.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// What is asked for; unsaid is what the program has as its usual.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) times: Option<u64>,
    pub(crate) minutes: Option<u64>,
    pub(crate) kills: Option<u64>,
    pub(crate) seed: Option<u64>,
}

/// Runs the command, `kills` or `storm`: did it end well?
pub(crate) fn run(root: &Path, command: &str, asked: &Asked) -> anyhow::Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--locked", "--release", "--package", "amends", "--test", "chaos", "--"])
        .arg(command)
        .current_dir(root);
    let said = [
        ("--times", asked.times),
        ("--minutes", asked.minutes),
        ("--kills", asked.kills),
        ("--seed", asked.seed),
    ];
    for (option, value) in said {
        if let Some(value) = value {
            cargo.arg(option).arg(value.to_string());
        }
    }
    Ok(cargo.status().context("cargo cannot be run")?.success())
}
