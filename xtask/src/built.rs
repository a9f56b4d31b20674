//! The workspace's own programs, as the tests have built them.
//!
//! Built by its package alone, a program would have fewer features of what it depends on than the
//! whole workspace has, and most of that would be built once more for it.

use std::path::Path;
use std::process::Command;

/// Builds these targets together with the features that the whole workspace asks for.
pub(crate) fn building(root: &Path, targets: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    // A test among the targets: only then do the features that tests ask for count, too.
    cargo.args(["build", "--locked", "--workspace", "--test", STORM]).args(targets);
    cargo.current_dir(root);
    cargo
}

/// A program that was built.
pub(crate) fn program(root: &Path, name: &str) -> Command {
    Command::new(root.join("target/debug").join(name))
}

/// The test of the kit that other stages run again, with services of their own.
pub(crate) const STORM: &str = "storm";
