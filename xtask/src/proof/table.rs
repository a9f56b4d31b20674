//! The rows of the page, as text and back.

use std::fmt::Write;

use super::laws::LAWS;
use super::suites::Suite;
use crate::mistakes::Mistake;

/// A check of a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its number.
    pub(super) law: String,
    checked_by: String,
    over: Over,
    /// What it caught, in words; empty when nothing was built in for it.
    pub(super) mistakes: String,
}

/// How much was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Over {
    /// So many of something; may not fall.
    Number(u64, String),
    Words(String),
}

const HEAD: &str = "\
# What is proved, and how

<!-- Written by `cargo xtask proof`; a run of all stages holds it against what the checks say. -->

Each law of [semantics.md](semantics.md), section 6: where it is checked, over how much, and the
mistakes, built in on purpose, that the check caught. For every law a check catches one in every test run. The
explorer and the simulator say themselves what they caught. Of tests it is written by hand which of their
mistakes break which law: the page fails when such a test is gone, or such a mistake in its list.

- *explorer*: every state of every small saga, [exploration.md](exploration.md); the numbers are those
  of the quick part, which every test run explores.
- *simulator*: the engine on simulated time, store, network and participants,
  [simulation.md](simulation.md); the number is in how many of the 1 000 seeds that every test run plays
  there was something to look at for the law, at least: with fewer, the run fails.
- Tests are named by file and function. A row that says `cargo xtask mistakes` names the file in a copy
  of which that command, which is no part of a test run, makes the mistake.
- What takes longer than a test run is listed in [releasing.md](releasing.md).

";

impl Row {
    /// A line that a program printed: law, by what, over how many, mistakes, tabs in between.
    pub(super) fn said(line: &str, who: &str, unit: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [law, by, over, mistakes] = columns[..] else { return None };
        let law = law.split(':').next()?;
        let numbered = law.strip_prefix(['S', 'L'])?.parse::<u8>().is_ok();
        let count = over.replace([' ', ','], "").parse().ok()?;
        numbered.then(|| Self {
            law: law.to_owned(),
            checked_by: format!("{who}: {by}"),
            over: Over::Number(count, unit.to_owned()),
            mistakes: mistakes.to_owned(),
        })
    }

    pub(super) fn tested(suite: &Suite) -> Self {
        Self {
            law: suite.law.to_owned(),
            checked_by: format!("`{}`, `{}`", suite.file, suite.test),
            over: Over::Words(suite.over.to_owned()),
            mistakes: suite.mistakes.iter().map(|(_, words)| *words).collect::<Vec<_>>().join("; "),
        }
    }

    pub(super) fn of_mistake(mistake: &Mistake) -> Self {
        Self {
            law: mistake.law.to_owned(),
            checked_by: format!("`{}`, `{}`", mistake.test_file, mistake.test),
            over: Over::Words("1 test".to_owned()),
            mistakes: format!("{} (`{}`, by `cargo xtask mistakes`)", mistake.name, mistake.file),
        }
    }

    fn text(&self) -> String {
        let over = match &self.over {
            Over::Number(count, unit) => format!("{} {unit}", grouped(*count)),
            Over::Words(words) => words.clone(),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        let (by, mistakes) = (cell(&self.checked_by), cell(&self.mistakes));
        format!("| {} | {by} | {over} | {mistakes} |", self.law)
    }

    /// The row without its number, and the number. What is told in words has none, and is compared
    /// whole.
    fn parts(text: &str) -> (String, u64) {
        let columns: Vec<&str> = text.split(" | ").collect();
        let over = columns.get(2).copied().unwrap_or_default();
        let Some((count, unit)) = numbered(over) else { return (text.to_owned(), 0) };
        let unnumbered =
            columns.iter().enumerate().map(|(at, text)| if at == 2 { unit } else { text });
        (unnumbered.collect::<Vec<_>>().join(" | "), count)
    }
}

/// The number and the unit of `12 345 states`.
fn numbered(over: &str) -> Option<(u64, &str)> {
    let (count, unit) = over.rsplit_once(' ')?;
    Some((count.replace(' ', "").parse().ok()?, unit))
}

/// The page: a table for each law.
pub(super) fn page(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    for (law, words) in LAWS {
        let _ = writeln!(page, "## {law}: {words}\n");
        let _ = writeln!(page, "| | checked by | over | caught |\n|---|---|---|---|");
        for row in rows.iter().filter(|row| row.law == *law) {
            let _ = writeln!(page, "{}", row.text());
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// In which rows the page is not what was said. A number that grew is none.
pub(super) fn differences(page: &str, rows: &[Row]) -> Vec<String> {
    let written: Vec<(String, u64)> = page
        .lines()
        .filter(|line| line.starts_with("| S") || line.starts_with("| L"))
        .map(Row::parts)
        .collect();
    let said: Vec<(String, u64)> = rows.iter().map(|row| Row::parts(&row.text())).collect();
    let mut differences = Vec::new();
    for (row, count) in &written {
        match said.iter().find(|(other, _)| other == row) {
            None => differences.push(format!("gone: {row}")),
            Some((_, now)) if now < count => {
                differences.push(format!("fell from {count} to {now}: {row}"));
            }
            Some(_) => {}
        }
    }
    let new = said.iter().filter(|(row, _)| !written.iter().any(|(other, _)| other == row));
    differences.extend(new.map(|(row, _)| format!("new: {row}")));
    differences
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<Row> {
        let line = format!("S1: words\tevery state\t{count}\tone; another");
        Row::said(&line, "explorer", "states").into_iter().collect()
    }

    #[test]
    fn a_page_is_what_was_said_until_a_number_falls_or_a_row_goes() {
        let page = page(&rows(12_345_678));
        assert!(page.contains("| S1 | explorer: every state | 12 345 678 states | one; another |"));
        assert_eq!(differences(&page, &rows(12_345_678)), [""; 0]);
        assert_eq!(differences(&page, &rows(12_345_679)), [""; 0]);
        assert!(differences(&page, &rows(12_345_677))[0].starts_with("fell from 12345678"));
        assert!(differences(&page, &[])[0].starts_with("gone: | S1"));
        assert!(differences("", &rows(1))[0].starts_with("new: | S1"));
    }

    #[test]
    fn words_and_units_of_how_much_was_checked_are_part_of_the_row() {
        let suite = |over| {
            let mistakes = &[("M", "m")];
            Row::tested(&Suite { law: "S4", file: "f.rs", test: "t", over, list: "f.rs", mistakes })
        };
        let page = page(&[suite("every saga of a folder")]);
        assert_eq!(differences(&page, &[suite("every saga of a folder")]), [""; 0]);
        let changed = differences(&page, &[suite("one saga of a folder")]);
        assert!(changed[0].starts_with("gone: | S4") && changed[1].starts_with("new: | S4"));
        let page = super::page(&rows(7));
        let runs = Row::said("S1: words\tevery state\t7\tone; another", "explorer", "runs");
        assert_eq!(differences(&page, &[runs.expect("it is a row")]).len(), 2);
    }

    #[test]
    fn what_is_no_row_is_not_taken_for_one() {
        for line in ["", "S1 S2", "a\tb\tc\td", "S1\ta\tmany\tb", "group\t1\t2\t3"] {
            assert_eq!(Row::said(line, "explorer", "states"), None, "{line}");
        }
    }
}
