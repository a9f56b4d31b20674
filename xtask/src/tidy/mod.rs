//! `cargo xtask tidy`: the shape of the tree, as rules that a program can check.

mod edges;
mod release;
mod rules;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// A file that git knows, or would know after `git add`.
pub(crate) struct File {
    /// From the root, with `/`.
    path: String,
    /// `None` when it is no text.
    text: Option<String>,
}

/// Something that is not as a rule has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what } = self;
        match line {
            0 => write!(f, "{path}: {what}"),
            line => write!(f, "{path}:{line}: {what}"),
        }
    }
}

/// Checks the tree and prints what it finds: is all tidy?
pub(crate) fn print(root: &Path) -> anyhow::Result<bool> {
    let files = files(root)?;
    let mut found: Vec<Finding> = files.iter().flat_map(rules::check).collect();
    found.extend(edges::check(&metadata(root)?)?);
    found.extend(release::check(root)?);
    found.sort();
    found.iter().for_each(|finding| println!("{finding}"));
    println!("{} files, {} untidy places", files.len(), found.len());
    Ok(found.is_empty())
}

fn files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let output = git.current_dir(root).output().context("git cannot be run")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git does not list the files: {}", error.trim());
    let mut files = Vec::new();
    for path in output.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
        let path = String::from_utf8(path.to_owned()).context("a file's name is no UTF-8")?;
        // A file that is deleted but not yet from the index has nothing to say.
        if let Ok(bytes) = std::fs::read(root.join(&path)) {
            files.push(File { path, text: String::from_utf8(bytes).ok() });
        }
    }
    Ok(files)
}

fn metadata(root: &Path) -> anyhow::Result<Vec<u8>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = cargo.current_dir(root).output().context("cargo cannot be run")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo does not describe the workspace: {}", error.trim());
    Ok(output.stdout)
}
