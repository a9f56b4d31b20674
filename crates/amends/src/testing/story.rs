//! What happened so far, a line each: what a failed expectation shows.

use std::fmt;
use std::time::Duration;

/// The lines, each with the time at which it happened.
#[derive(Debug, Default)]
pub struct Story {
    lines: Vec<(Duration, String)>,
}

/// Waits of the engine itself, between two commands, are no part of the story.
const SHOWN_MIN: Duration = Duration::from_millis(100);

impl Story {
    /// Adds a line.
    pub fn tell(&mut self, at: Duration, line: impl Into<String>) {
        self.lines.push((at, line.into()));
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Duration::ZERO;
        for (at, line) in &self.lines {
            let passed = at.saturating_sub(before);
            if passed >= SHOWN_MIN {
                writeln!(f, "     … {} later", words(passed))?;
            }
            writeln!(f, "  {line}")?;
            before = *at;
        }
        Ok(())
    }
}

/// `3 days`, `1.5 min`: the largest unit that it is at least one of.
fn words(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let units = [(86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit);
    let (size, name) = unit.unwrap_or((0.001, "ms"));
    let number = (seconds / size * 10.0).round() / 10.0;
    format!("{number} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_between_two_lines_is_said() {
        let mut story = Story::default();
        story.tell(Duration::ZERO, "→ A.Do");
        story.tell(Duration::from_millis(30), "← done");
        story.tell(Duration::from_secs(90), "→ A.Do");
        story.tell(Duration::from_secs(4 * 86_400), "the end");
        let expected = "  → A.Do\n  ← done\n     … 1.5 min later\n  → A.Do\n     … 4 days later\n  \
                        the end\n";
        assert_eq!(story.to_string(), expected);
    }
}
