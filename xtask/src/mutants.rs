//! `cargo xtask mutants`: the machine is broken in every small way there is, one at a time, and its
//! tests must find each.
//!
//! A way that they do not find stands in `crates/core/mutants.txt` with the reason why it need not
//! be found, or it is a hole in the tests. Entries name the line's text and not its number, so that
//! they outlive what is written above them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::machine;

const EXPLAINED: &str = "crates/core/mutants.txt";

/// The longest that the tests may take against one mutant, in seconds: some make them run for ever,
/// and have then been found.
const SECONDS_MAX: &str = "60";

/// Breaks these files of the machine, or all: is every way found or explained?
pub(crate) fn mutants(root: &Path, files: &[&str]) -> anyhow::Result<bool> {
    let program = machine::cargo_mutants(root)?;
    let out = root.join("target/mutants");
    let mut command = Command::new(program);
    command
        .args(["mutants", "--package", "amends-core", "--timeout", SECONDS_MAX, "--output"])
        .arg(&out)
        // The traps of `mutant.rs` are mistakes already, and the explorer's.
        .args(["--exclude", "crates/core/src/mutant.rs", "--no-shuffle"]);
    for file in files {
        command.args(["--file", file]);
    }
    // The drawn sagas are the same in every run, so that what they find is too.
    let command = command.args(["--", "--tests"]).env("PROPTEST_RNG_SEED", "1").current_dir(root);
    let status = command.status().context("cargo-mutants cannot be run")?;
    // 2: some were not found, 3: some took too long; anything else is no verdict.
    ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo-mutants did not come to an end");
    let missed = std::fs::read_to_string(out.join("mutants.out/missed.txt"))?;
    judge(root, &missed, files.is_empty())
}

/// Is every one of these explained? With `all`, is everything explained still there?
fn judge(root: &Path, missed: &str, all: bool) -> anyhow::Result<bool> {
    let list = std::fs::read_to_string(root.join(EXPLAINED))?;
    let explained: BTreeSet<&str> = list.lines().filter(|line| line.starts_with("src/")).collect();
    let mut holes = Vec::new();
    let mut seen = BTreeSet::new();
    for line in missed.lines().filter(|line| !line.is_empty()) {
        let entry = entry(root, line).with_context(|| format!("cannot be read: {line}"))?;
        if !explained.contains(entry.as_str()) {
            holes.push(format!("{entry}    ({line})"));
        }
        seen.insert(entry);
    }
    for hole in &holes {
        eprintln!("not found and not explained: {hole}");
    }
    let stale: Vec<_> = explained.iter().filter(|entry| all && !seen.contains(**entry)).collect();
    for entry in &stale {
        eprintln!("explained in {EXPLAINED}, and found by the tests or gone: {entry}");
    }
    println!("{} not found, of which {} are not explained", seen.len(), holes.len());
    Ok(holes.is_empty() && stale.is_empty())
}

/// `src/rules.rs: <the line's text> => <what was done to it>`, from `<file>:<line>:<column>: <what>`.
fn entry(root: &Path, missed: &str) -> Option<String> {
    let mut parts = missed.splitn(4, ':');
    let (path, line, _, what) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let text = std::fs::read_to_string(root.join(path)).ok()?;
    let written = text.lines().nth(line.parse::<usize>().ok()?.checked_sub(1)?)?.trim();
    let what = what.trim().rsplit_once(" in ").map_or(what.trim(), |(what, _)| what);
    Some(format!("{}: {written} => {what}", path.strip_prefix("crates/core/")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_the_line_and_not_its_number() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
        let missed = "crates/core/src/lib.rs:1:5: replace // with nothing in the docs";
        let entry = entry(root, missed);
        let line = "//! The saga machine: pure decisions over facts.";
        assert_eq!(entry, Some(format!("src/lib.rs: {line} => replace // with nothing")));
    }
}
