//! `cargo xtask mistakes`: mistakes built into the source on purpose, one after the other, in a copy
//! of the tree; the test that keeps the law must fail.
//!
//! What breaks a law of the machine is sprung by the explorer, of the engine by the simulator. Here
//! are the laws that neither sees: what a wire believes, what a viewer is shown, what is paced.

mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

pub(crate) use list::MISTAKES;

/// A mistake, and the test that sees it.
pub(crate) struct Mistake {
    /// The law of `docs/semantics.md` that it breaks.
    pub(crate) law: &'static str,
    /// What goes wrong.
    pub(crate) name: &'static str,
    /// The file that it is made in.
    pub(crate) file: &'static str,
    /// What stands there, once.
    pub(crate) was: &'static str,
    /// What stands there instead.
    pub(crate) is: &'static str,
    /// Whose test sees it.
    pub(crate) package: &'static str,
    /// The file of that test.
    pub(crate) test_file: &'static str,
    /// Its name.
    pub(crate) test: &'static str,
}

/// What a mistake came to.
enum Fate {
    Caught,
    /// The test passes all the same.
    Escaped,
    /// It does not compile, so that it shows nothing.
    NotBuilt,
}

/// Makes every mistake whose law or name is among the wanted, or all: was each caught?
pub(crate) fn make(root: &Path, wanted: &[&str]) -> anyhow::Result<bool> {
    let chosen = |mistake: &&Mistake| {
        wanted.is_empty() || wanted.iter().any(|w| mistake.law == *w || mistake.name.contains(w))
    };
    let chosen: Vec<&Mistake> = MISTAKES.iter().filter(chosen).collect();
    ensure!(!chosen.is_empty(), "no mistake is called that");
    let tree = copy(root)?;
    let mut all_caught = true;
    for mistake in chosen {
        ensure!(
            test(&tree, mistake, false)?,
            "`{}` fails without any mistake: mend that first",
            mistake.test
        );
        let place = tree.join(mistake.file);
        let text = fs::read_to_string(&place)?;
        fs::write(&place, with(&text, mistake)?)?;
        let fate = fate(&tree, mistake);
        fs::write(&place, text)?;
        let word = match fate? {
            Fate::Caught => "caught",
            Fate::Escaped => "ESCAPED",
            Fate::NotBuilt => "NOT BUILT",
        };
        all_caught &= word == "caught";
        println!("{}\t{}\t{}\t{word}", mistake.law, mistake.name, mistake.test);
    }
    Ok(all_caught)
}

/// The text with the mistake in it.
fn with(text: &str, mistake: &Mistake) -> anyhow::Result<String> {
    let Mistake { file, was, is, .. } = mistake;
    let times = text.matches(was).count();
    ensure!(times == 1, "`{was}` stands in {file} {times} times and not once: mend the list");
    Ok(text.replace(was, is))
}

fn fate(tree: &Path, mistake: &Mistake) -> anyhow::Result<Fate> {
    if !test(tree, mistake, true)? {
        return Ok(Fate::NotBuilt);
    }
    Ok(if test(tree, mistake, false)? { Fate::Escaped } else { Fate::Caught })
}

/// Builds the test of a mistake, and unless `only_build` runs it: did that end well?
fn test(tree: &Path, mistake: &Mistake, only_build: bool) -> anyhow::Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--locked", "--package", mistake.package]);
    if only_build {
        cargo.arg("--no-run");
    }
    let status = cargo
        .arg(mistake.test)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cargo cannot be run")?;
    Ok(status.success())
}

/// A copy of what git knows. A file that is as it was is left alone, so that cargo builds little.
fn copy(root: &Path) -> anyhow::Result<PathBuf> {
    let tree = root.join("target").join("mistakes").join("tree");
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listed = listed.context("git cannot be run")?;
    ensure!(listed.status.success(), "git does not list the files");
    for path in listed.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
        let path = std::str::from_utf8(path).context("a file's name is no UTF-8")?;
        let Ok(bytes) = fs::read(root.join(path)) else { continue };
        let to = tree.join(path);
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().context("a file stands in a folder")?)?;
        fs::write(to, bytes)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_can_be_made_and_has_its_test() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a folder");
        for mistake in MISTAKES {
            let text = fs::read_to_string(root.join(mistake.file)).expect(mistake.file);
            let changed = with(&text, mistake).expect(mistake.name);
            assert_ne!(changed, text, "{}", mistake.name);
            let tests = fs::read_to_string(root.join(mistake.test_file)).expect(mistake.test_file);
            let name = format!("fn {}(", mistake.test);
            assert!(tests.contains(&name), "{} has no {}", mistake.test_file, mistake.test);
        }
    }
}
