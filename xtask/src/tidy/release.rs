//! What the shipped binary must not be built with: mistakes that tests build in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::Finding;

/// The crates that can have mistakes built in, each by its feature of this name.
const MISTAKEN: [&str; 4] = ["amends-core", "amends-engine", "amends-store-sqlite", "amends-wire"];

/// Asks cargo itself, because features of one build are put together.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in MISTAKEN {
        let mut cargo = Command::new("cargo");
        cargo.args(["tree", "--offline", "--locked", "--package", "amends"]);
        cargo.args(["--edges", "normal,build,features", "--invert", package]);
        let output = cargo.current_dir(root).output().context("cargo cannot be run")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo does not say what amends is of: {}", error.trim());
        let tree = String::from_utf8_lossy(&output.stdout);
        ensure!(tree.contains(package), "cargo's tree of amends has no {package}");
        findings.extend(found_in(&tree, package));
    }
    Ok(findings)
}

/// The feature, as cargo writes it.
fn feature(package: &str) -> String {
    format!("{package} feature \"mutants\"")
}

fn found_in(tree: &str, package: &str) -> Option<Finding> {
    let what = format!(
        "amends would be built with the feature `mutants` of {package}: only tests and the programs \
         that look for mistakes may have it"
    );
    let finding = Finding { path: "crates/amends/Cargo.toml".to_owned(), line: 0, what };
    tree.contains(&feature(package)).then_some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_mistakes_is_found() {
        let without = "amends-core v0.1.0\n└── amends-core feature \"default\"\n";
        assert_eq!(found_in(without, "amends-core"), None);
        let traps = feature("amends-core");
        let with = format!("{without}└── {traps}\n    └── amends-explore feature \"traps\"\n");
        assert!(found_in(&with, "amends-core").is_some());
    }
}
