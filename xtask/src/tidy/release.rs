//! What the shipped binary must not be built with: mistakes that tests build in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::Finding;

/// The feature that builds mistakes into the machine, as cargo writes it.
const TRAPS: &str = "amends-core feature \"mutants\"";

/// Asks cargo itself, because features of one build are put together.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["tree", "--offline", "--locked", "--package", "amends"]);
    cargo.args(["--edges", "normal,build,features", "--invert", "amends-core"]);
    let output = cargo.current_dir(root).output().context("cargo cannot be run")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo does not say what amends is of: {}", error.trim());
    let tree = String::from_utf8_lossy(&output.stdout);
    ensure!(tree.contains("amends-core"), "cargo's tree of amends has no amends-core");
    Ok(found_in(&tree))
}

fn found_in(tree: &str) -> Vec<Finding> {
    let what = "amends would be built with the feature `mutants` of amends-core: take \
                amends-explore without its default features";
    let finding =
        Finding { path: "crates/amends/Cargo.toml".to_owned(), line: 0, what: what.to_owned() };
    if tree.contains(TRAPS) { vec![finding] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_the_traps_is_found() {
        let without = "amends-core v0.1.0\n└── amends-core feature \"default\"\n";
        assert_eq!(found_in(without), []);
        let with = format!("{without}└── {TRAPS}\n    └── amends-explore feature \"traps\"\n");
        assert_eq!(found_in(&with).len(), 1);
    }
}
