//! The table at the end of a run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use amends_example_services::judge::Verdict;

use crate::judge::Findings;
use crate::lacking::Lacking;
use crate::load::book::{CameTo, Closed};
use crate::nemesis::Struck;

/// As many as a reader looks at; the first ones tell most.
const WRONG_SHOWN_MAX: usize = 40;

/// What a run came to.
pub struct Report {
    pub seed: u64,
    /// The arguments that repeat it.
    pub again: String,
    pub folder: PathBuf,
    pub struck: Struck,
    /// What was wanted and not tried, and why.
    pub lacking: Vec<Lacking>,
    pub book: Closed,
    pub found: Findings,
    pub verdict: Verdict,
    pub stormed_for: Duration,
    pub quiet_after: Duration,
    pub log_tail: String,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.found.wrong.is_empty()
    }

    fn starts(&self, which: impl Fn(&CameTo) -> bool) -> usize {
        self.book.starts.iter().filter(|start| which(&start.came_to)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, times) in &self.struck {
            writeln!(f, "{:28} {times:>8}", kind.name())?;
        }
        for Lacking { what, why, .. } in &self.lacking {
            writeln!(f, "{what:28} not tried: {why}")?;
        }
        for ((saga, state), sagas) in &self.found.ends {
            writeln!(f, "{:28} {sagas:>8}", format!("{saga} {state}"))?;
        }
        let tally = &self.book.tally;
        let acknowledged = self.starts(|came_to| matches!(came_to, CameTo::Acknowledged(_)));
        let refused = self.starts(|came_to| *came_to == CameTo::Refused);
        let unknown = self.starts(|came_to| *came_to == CameTo::Unknown);
        let rows = [
            ("starts acknowledged", acknowledged as u64),
            ("starts refused", refused as u64),
            ("starts never known", unknown as u64),
            ("starts unknown, then found", tally.found),
            ("cancels taken", tally.cancelled),
            ("pauses taken", tally.paused),
            ("signals taken", tally.signalled),
            ("requests ok", tally.ok),
            ("requests refused", tally.refused),
            ("requests that found nobody", tally.not_sent),
            ("requests unknown", tally.unknown),
        ];
        for (what, times) in rows {
            writeln!(f, "{what:28} {times:>8}")?;
        }
        let secs = |span: Duration| format!("{:.1} s", span.as_secs_f64());
        writeln!(f, "{:28} {:>8}", "faults for", secs(self.stormed_for))?;
        writeln!(f, "{:28} {:>8}", "nothing owed after", secs(self.quiet_after))?;
        writeln!(f, "{:28} {:>8}", "longest without an answer", secs(self.book.longest_without))?;
        writeln!(
            f,
            "ledgers: {} sagas, {} effects, {} calls",
            self.verdict.sagas, self.verdict.effects, self.verdict.calls
        )?;
        if self.holds() {
            return write!(f, "nothing is lost; seed {}", self.seed);
        }
        let wrong = &self.found.wrong;
        writeln!(f, "{} things are wrong:", wrong.len())?;
        for wrong in wrong.iter().take(WRONG_SHOWN_MAX) {
            writeln!(f, "  {wrong}")?;
        }
        writeln!(f, "the end of the server's log:\n{}", self.log_tail)?;
        writeln!(f, "data, ledgers and logs: {}", self.folder.display())?;
        write!(f, "again: {}", self.again)
    }
}
