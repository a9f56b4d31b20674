//! `docs/proof.md`: each law, where it is checked, over how much, and the mistake that the check
//! catches. The explorer and the simulator say it themselves; what is shown by tests and by mistakes
//! in the source is listed here.
//!
//! A run of all stages holds the page against what was said: no row may be missing or new, and no
//! number may fall.

mod laws;
mod suites;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::mistakes::MISTAKES;
use laws::LAWS;
use suites::SUITES;
use table::Row;

const PAGE: &str = "docs/proof.md";

/// The stages whose programs say what they checked, and what they count.
const SPEAKERS: &[(&str, &str, &str)] =
    &[("exploration", "explorer", "states"), ("simulation", "simulator", "runs of 1 000")];

/// What the stages said.
#[derive(Default)]
pub(crate) struct Evidence {
    rows: Vec<Row>,
    heard: Vec<&'static str>,
}

impl Evidence {
    /// Takes in what a stage printed, if it is one that speaks.
    pub(crate) fn hear(&mut self, stage: &str, lines: &[String]) {
        let Some((name, who, unit)) = SPEAKERS.iter().find(|(name, ..)| *name == stage) else {
            return;
        };
        self.heard.push(name);
        self.rows.extend(lines.iter().filter_map(|line| Row::said(line, who, unit)));
    }

    /// Have all spoken?
    pub(crate) fn complete(&self) -> bool {
        self.heard.len() == SPEAKERS.len()
    }

    /// Writes the page.
    pub(crate) fn write(self, root: &Path) -> anyhow::Result<()> {
        let rows = self.all(root)?;
        fs::write(root.join(PAGE), table::page(&rows)).with_context(|| format!("writing {PAGE}"))
    }

    /// Holds the page against what was said.
    pub(crate) fn compare(self, root: &Path) -> anyhow::Result<()> {
        let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("no {PAGE}"))?;
        let differences = table::differences(&page, &self.all(root)?);
        ensure!(
            differences.is_empty(),
            "{PAGE} is not what the checks say; `cargo xtask proof` writes it anew, and the change \
             must say why:\n{}",
            differences.join("\n")
        );
        Ok(())
    }

    /// With the rows that are listed here; for every law a check caught a mistake in this run.
    fn all(self, root: &Path) -> anyhow::Result<Vec<Row>> {
        let mut rows = self.rows;
        for suite in SUITES {
            let text = fs::read_to_string(root.join(suite.file)).context(suite.file)?;
            let there = is_a_test(&text, suite.test);
            ensure!(there, "{} has no test {}", suite.file, suite.test);
            let list = fs::read_to_string(root.join(suite.list)).context(suite.list)?;
            for (name, words) in suite.mistakes {
                ensure!(list.contains(name), "{} has no {name} ({words})", suite.list);
            }
            rows.push(Row::tested(suite));
        }
        for (law, words) in LAWS {
            let caught = rows.iter().any(|row| row.law == *law && !row.mistakes.is_empty());
            ensure!(caught, "{law} ({words}): no check has caught a mistake");
        }
        rows.extend(MISTAKES.iter().map(Row::of_mistake));
        for row in &rows {
            ensure!(LAWS.iter().any(|(law, _)| *law == row.law), "there is no law {}", row.law);
        }
        rows.sort_by_key(|row| LAWS.iter().position(|(law, _)| *law == row.law));
        Ok(rows)
    }
}

/// Is there a test of this name in the file?
fn is_a_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let Some((before, _)) = text.split_once(&function) else { return false };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    ["#[test]", "::test]", "::test("].iter().any(|attribute| attributes.contains(attribute))
}

/// The stages that must run before the page can be written.
pub(crate) fn speakers() -> Vec<&'static str> {
    SPEAKERS.iter().map(|(stage, ..)| *stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_that_is_written_by_hand_names_a_test_that_is_there_and_a_law() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a folder");
        for suite in SUITES {
            let text = fs::read_to_string(root.join(suite.file)).expect(suite.file);
            assert!(is_a_test(&text, suite.test), "{} has no test {}", suite.file, suite.test);
            assert!(LAWS.iter().any(|(law, _)| *law == suite.law), "there is no {}", suite.law);
            assert!(!suite.over.is_empty(), "{}: over how much?", suite.test);
            let list = fs::read_to_string(root.join(suite.list)).expect(suite.list);
            for (name, words) in suite.mistakes {
                assert!(list.contains(name), "{} has no {name} ({words})", suite.list);
            }
        }
    }

    #[test]
    fn a_function_that_is_no_test_shows_nothing() {
        let text = "fn help() {}\n\n#[test]\nfn shows() {}\n\n#[tokio::test]\nasync fn too() {}\n";
        let found = ["help", "shows", "too", "show"].map(|name| is_a_test(text, name));
        assert_eq!(found, [false, true, true, false]);
    }
}
