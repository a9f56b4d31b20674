//! What the stages came to: counted from what the test programs print, shown as a table.

use std::fmt::Write;
use std::ops::AddAssign;
use std::time::Duration;

/// Checks that a stage made: its tests, or itself where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Tests that are there and were not run: ignored, or skipped. They prove nothing, and nobody
    /// sees them where they count as nothing.
    pub(crate) left_out: u64,
}

impl Counts {
    /// One check, which ended well.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, left_out: 0 };

    /// One check, which did not.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, left_out: 0 };

    /// Was everything run, and did it all pass?
    pub(crate) const fn all_well(self) -> bool {
        self.failed == 0 && self.left_out == 0
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.left_out += other.left_out;
    }
}

/// Counts the tests in the lines that the test programs of cargo and Python end with.
#[derive(Default)]
pub(crate) struct Counter {
    cargo: Counts,
    pytest: Counts,
    python_ran: u64,
    python_failed: u64,
    python_skipped: u64,
}

impl Counter {
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let count = |what| number_before(rest, what);
            self.cargo += Counts {
                passed: count(" passed"),
                failed: count(" failed"),
                left_out: count(" ignored"),
            };
        } else if let Some(rest) = line.strip_prefix("Ran ") {
            self.python_ran += number_before(rest, " test");
        } else if let Some(rest) = ["FAILED (", "OK ("].iter().find_map(|w| line.strip_prefix(w)) {
            for part in rest.trim_end().trim_end_matches(')').split(", ") {
                let (what, number) = part.split_once('=').unwrap_or_default();
                let number: u64 = number.parse().unwrap_or(0);
                match what {
                    "failures" | "errors" | "unexpected successes" => self.python_failed += number,
                    "skipped" | "expected failures" => self.python_skipped += number,
                    _ => {}
                }
            }
        } else if let Some(counts) = of_pytest(line) {
            self.pytest += counts;
        }
    }

    /// Of a stage that ended well or not: one that has no test is a check itself, and one that
    /// failed has a failure even when no test says so (it did not compile, say).
    pub(crate) fn counts(&self, ended_well: bool) -> Counts {
        let mut counts = self.cargo;
        counts += self.pytest;
        // A Python test may fail for several of its parts.
        let left_out = self.python_skipped.min(self.python_ran);
        let failed = self.python_failed.min(self.python_ran - left_out);
        counts += Counts { passed: self.python_ran - left_out - failed, failed, left_out };
        if !ended_well && counts.failed == 0 {
            counts.failed = 1;
        }
        if ended_well && counts == Counts::default() {
            counts.passed = 1;
        }
        counts
    }
}

/// `1 failed, 45 passed in 3.21s`, which pytest ends with when it is quiet.
fn of_pytest(line: &str) -> Option<Counts> {
    let (parts, took) = line.split_once(" in ")?;
    if !took.trim_end().ends_with(['s', ')']) {
        return None;
    }
    let mut counts = Counts::default();
    for part in parts.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what {
            "passed" => counts.passed += number,
            "failed" | "error" | "errors" | "xpassed" => counts.failed += number,
            "skipped" | "xfailed" => counts.left_out += number,
            "warning" | "warnings" | "deselected" => {}
            _ => return None,
        }
    }
    Some(counts)
}

fn number_before(text: &str, what: &str) -> u64 {
    let before = text.split_once(what).map(|(before, _)| before);
    let digits = before.and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It ran.
    Ran(Counts),
    /// It could not run, and why: neither passed nor failed.
    NotRun(String),
    /// The machine does not have what the tests need, and what to do: a failure, whatever the stages
    /// came to without it.
    Missing(String),
}

/// A stage that is over.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) end: End,
    pub(crate) took: Duration,
}

/// The table of the stages and the line that counts.
pub(crate) fn table(rows: &[Row]) -> (String, Counts) {
    let heads = ["passed", "failed", "left out"].map(|head| format!("{head:>8}")).join(" ");
    let mut text = format!("{:20} {:8} {heads} {:>10}\n", "stage", "", "took");
    let mut all = Counts::default();
    for Row { name, end, took } in rows {
        let took = format!("{:.1} s", took.as_secs_f64());
        // Writing to a string does not fail.
        let _ = match end {
            End::Ran(counts) => {
                all += *counts;
                let word = if counts.all_well() { "ok" } else { "FAILED" };
                let Counts { passed, failed, left_out } = counts;
                writeln!(
                    text,
                    "{name:20} {word:8} {passed:>8} {failed:>8} {left_out:>8} {took:>10}"
                )
            }
            End::NotRun(why) => writeln!(text, "{name:20} not run  {why}"),
            End::Missing(what) => {
                all += Counts::FAILED;
                writeln!(text, "{name:20} MISSING  {what}")
            }
        };
    }
    let _ = write!(text, "{} passed, {} failed", all.passed, all.failed);
    if all.left_out > 0 {
        let _ = write!(text, ", {} left out", all.left_out);
    }
    (text, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &[&str], ended_well: bool) -> Counts {
        let mut counter = Counter::default();
        lines.iter().for_each(|line| counter.read(line));
        counter.counts(ended_well)
    }

    fn count(lines: &[&str], ended_well: bool) -> (u64, u64) {
        let Counts { passed, failed, left_out } = counts(lines, ended_well);
        assert_eq!(left_out, 0, "{lines:?}");
        (passed, failed)
    }

    #[test]
    fn the_tests_of_cargo_are_counted_over_all_its_programs() {
        let ok = "test result: ok. 45 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; x";
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(count(&["running 45 tests", ok, bad], false), (48, 2));
    }

    #[test]
    fn the_tests_of_python_are_counted() {
        assert_eq!(count(&["Ran 16 tests in 3.4s", "", "OK"], true), (16, 0));
        let bad = "FAILED (failures=1, errors=2)";
        assert_eq!(count(&["Ran 16 tests in 3.4s", "", bad], false), (13, 3));
        assert_eq!(count(&["Ran 1 test in 3.4s", "", bad], false), (0, 1));
    }

    #[test]
    fn the_tests_of_pytest_are_counted() {
        assert_eq!(count(&["..... [100%]", "346 passed in 9.61s"], true), (346, 0));
        assert_eq!(count(&["346 passed, 2 warnings in 69.61s (0:01:09)"], true), (346, 0));
        assert_eq!(count(&["2 failed, 3 passed, 1 error in 0.10s"], false), (3, 3));
        assert_eq!(count(&["2 rooms, 3 passed in 0.10s"], true), (1, 0));
    }

    #[test]
    fn what_was_left_out_is_no_success() {
        let left_out = |line: &str| counts(&["Ran 5 tests in 0.1s", line], true).left_out;
        assert_eq!(left_out("test result: ok. 4 passed; 0 failed; 2 ignored; 0 measured"), 2);
        assert_eq!(left_out("3 passed, 4 skipped in 0.10s"), 4);
        assert_eq!(left_out("3 passed, 1 xfailed in 0.10s"), 1);
        let python = ["Ran 5 tests in 0.1s", "OK (skipped=2, expected failures=1)"];
        assert_eq!(counts(&python, true), Counts { passed: 2, failed: 0, left_out: 3 });
        let python = ["Ran 5 tests in 0.1s", "FAILED (failures=1, skipped=2)"];
        assert_eq!(counts(&python, false), Counts { passed: 2, failed: 1, left_out: 2 });
        let took = Duration::ZERO;
        let ran = Counts { passed: 7, failed: 0, left_out: 1 };
        let (text, all) = table(&[Row { name: "tests", end: End::Ran(ran), took }]);
        assert!(text.lines().nth(1).is_some_and(|row| row.contains("FAILED")), "{text}");
        assert_eq!(text.lines().last(), Some("7 passed, 0 failed, 1 left out"));
        assert!(!all.all_well());
    }

    #[test]
    fn what_the_machine_lacks_is_a_failure_by_its_name() {
        let what = "as root run `apt-get install faketime`".to_owned();
        let row = Row { name: "faketime", end: End::Missing(what), took: Duration::ZERO };
        let (text, all) = table(&[row]);
        assert!(text.contains("faketime             MISSING  as root run"), "{text}");
        assert_eq!(text.lines().last(), Some("0 passed, 1 failed"));
        assert!(!all.all_well());
    }

    #[test]
    fn a_stage_without_tests_is_one_check() {
        assert_eq!(count(&["Finished"], true), (1, 0));
        assert_eq!(count(&["error: it does not compile"], false), (0, 1));
    }

    #[test]
    fn a_failure_that_no_test_tells_counts() {
        let ok = "test result: ok. 4 passed; 0 failed; 0 ignored";
        assert_eq!(count(&[ok, "error: another does not compile"], false), (4, 1));
    }

    #[test]
    fn the_table_ends_with_the_sum() {
        let took = Duration::from_millis(1_240);
        let ran = |passed, failed| End::Ran(Counts { passed, failed, left_out: 0 });
        let rows = [
            Row { name: "tests", end: ran(7, 1), took },
            Row { name: "tidy", end: ran(1, 0), took },
            Row { name: "advisories", end: End::NotRun("no network".to_owned()), took },
        ];
        let (text, all) = table(&rows);
        assert_eq!(text.lines().last(), Some("8 passed, 1 failed"));
        assert_eq!(all, Counts { passed: 8, failed: 1, left_out: 0 });
        assert!(text.contains("advisories           not run  no network"), "{text}");
        assert!(text.contains("1.2 s"), "{text}");
    }
}
