//! A saga as people see it: its state, and its steps with those still to come.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::columns::cut;
use super::exit::{Exit, Failure};
use super::shown::paint;

/// A saga as the server shows it, as far as people look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct SagaView {
    pub saga_id: String,
    pub saga_type: String,
    pub version: u32,
    pub state: String,
    pub paused: bool,
    pub attention: Vec<Attention>,
    pub exceptions: Vec<Exception>,
    pub business_key: Option<String>,
    pub error: Option<SagaError>,
    pub created_at: String,
    pub updated_at: String,
    pub ended_at: Option<String>,
    pub seq: u64,
    pub steps: Vec<Step>,
}

/// What a person is needed for.
#[derive(Clone, Debug, Deserialize)]
pub struct Attention {
    pub step: Option<String>,
    pub direction: String,
    pub reason: String,
}

/// What makes an end not clean.
#[derive(Clone, Debug, Deserialize)]
pub struct Exception {
    pub step: String,
    pub reason: String,
    pub note: String,
}

/// Why a saga turned.
#[derive(Clone, Debug, Deserialize)]
pub struct SagaError {
    pub step: Option<String>,
    pub code: Option<String>,
    pub message: String,
}

/// A step, or one run of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    pub name: String,
    pub status: String,
    pub waiting_for: Option<String>,
    pub attempts: u32,
    pub next_attempt_at: Option<String>,
    pub error: Option<Fault>,
    pub compensation_attempts: u32,
    pub by: Option<String>,
}

/// An error as a participant words it.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    pub code: Option<String>,
    pub message: String,
}

impl SagaView {
    /// Has it ended?
    pub fn ended(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed")
    }

    /// What its end, or its stand, is for a script that waits for it.
    pub fn outcome(&self) -> Result<(), Failure> {
        let needs_person = !self.attention.is_empty();
        match (self.state.as_str(), needs_person) {
            ("completed", false) => Ok(()),
            ("failed", false) => Err(Failure::silent(Exit::RolledBack)),
            (_, true) => Err(Failure::silent(Exit::Attention)),
            _ => Err(Failure::new(
                Exit::TimedOut,
                format!("the saga is {} still; it goes on", self.state),
            )
            .hint(format_args!("amends watch {}", self.saga_id))),
        }
    }

    /// Its state in words.
    pub fn state_words(&self) -> String {
        let state = match self.state.as_str() {
            "failed" if self.exceptions.is_empty() && self.attention.is_empty() => {
                "failed, rolled back"
            }
            "compensating" => "compensating (rolling back)",
            state => state,
        };
        if self.paused { format!("{state}, paused") } else { state.to_owned() }
    }

    /// All of it, a line a step, at most `width` characters wide.
    pub fn tree(&self, width: Option<usize>, colour: bool) -> String {
        let mut lines = Vec::new();
        let mut line =
            |text: String, style: &str| lines.push(paint(&cut(&text, width), style, colour));
        let head = format!("{} v{}  {}", self.saga_type, self.version, self.state_words());
        line(head, state_style(&self.state));
        line(format!("  {}", self.saga_id), "");
        line(format!("  {}", self.about()), "2");
        if let Some(error) = &self.error {
            let step = error.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
            let fault = fault_words(error.code.as_deref(), &error.message);
            line(format!("  because {step}{fault}"), "31");
        }
        let names = self.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        for step in &self.steps {
            let mark = mark(&step.status);
            let text = format!("  {mark} {:names$}  {}", step.name, step.words());
            line(text.trim_end().to_owned(), status_style(&step.status));
            let told = self.error.as_ref().is_some_and(|e| e.step.as_ref() == Some(&step.name));
            if let Some(fault) = step.error.as_ref().filter(|_| !told) {
                let text = fault_words(fault.code.as_deref(), &fault.message);
                line(format!("    {:names$}  {text}", ""), "2");
            }
        }
        for item in &self.attention {
            let step = item.step.as_deref().unwrap_or("the saga");
            let undo = if item.direction == "compensation" { " (its undo)" } else { "" };
            line(format!("  ! {step}{undo}: {}", reason_words(&item.reason)), "1;33");
        }
        for item in &self.exceptions {
            line(format!("  ~ {}: {} ({})", item.step, item.reason, item.note), "33");
        }
        lines.join("\n") + "\n"
    }

    fn about(&self) -> String {
        let mut about = format!("started {}", short_time(&self.created_at));
        if let Some(took) = self.ended_at.as_deref().and_then(|end| took(&self.created_at, end)) {
            about.push_str(&format!(", took {took}"));
        } else if self.ended_at.is_none() {
            about.push_str(&format!(", last moved {}", short_time(&self.updated_at)));
        }
        if let Some(key) = &self.business_key {
            about.push_str(&format!(", key {key}"));
        }
        about
    }
}

impl Step {
    fn words(&self) -> String {
        let mut words = format!("{:12}", self.status);
        let waiting = self.waiting_for.as_deref().map(|waiting| match waiting {
            "steps" => "waits for the steps before it".to_owned(),
            "room" => "waits for room at its service".to_owned(),
            "reply" => "waits for the answer".to_owned(),
            "accepted" => "accepted; the answer comes later".to_owned(),
            "retry" => match &self.next_attempt_at {
                Some(at) => format!("again at {}", short_time(at)),
                None => "again soon".to_owned(),
            },
            "signal" => "waits for its signal".to_owned(),
            "dependents" => "undone after the steps that depend on it".to_owned(),
            "person" => "waits for a person".to_owned(),
            "resume" => "waits to be resumed".to_owned(),
            other => format!("waits for {other}"),
        });
        words.extend(waiting);
        for (count, of) in
            [(self.attempts, "attempts"), (self.compensation_attempts, "undo attempts")]
        {
            if count > 1 {
                words.push_str(&format!(" ({count} {of})"));
            }
        }
        if let Some(by) = &self.by {
            words.push_str(&format!(" by {by}"));
        }
        words
    }
}

/// Why a person is needed, in words.
pub fn reason_words(reason: &str) -> String {
    let words = match reason {
        "pivot_unknown" => "the point of no return has no answer; resolve it when you know",
        "outcome_unknown" => "it may have happened; resolve it when you know",
        "refused_after_pivot" => "refused after the point of no return",
        "retriable_slow" => "takes longer than its deadline; it is asked on",
        "overdue" => "past its deadline, after the point of no return",
        "compensation_failed" => "the undo has used up its retries; it is sent again later",
        "poison" => "the undo was given up; retry, edit, resolve or skip it",
        "undo_slow" => "the undo is not acknowledged for more than a minute",
        "contract" => "its service broke the protocol; see the history",
        "contradicted" => "an answer contradicts what an operator decided; acknowledge it",
        "unbound_service" => "it is not known how its service is reached",
        "expression" => "an expression failed; edit the step",
        "unreadable" => "it cannot be read",
        other => return other.to_owned(),
    };
    format!("{words} [{reason}]")
}

/// `2026-01-31 23:59:58` of RFC 3339.
pub fn short_time(text: &str) -> String {
    const SECONDS_END: usize = 19;
    let short = text.get(..SECONDS_END).unwrap_or(text);
    short.replace('T', " ")
}

/// How long from one instant to another.
fn took(from: &str, to: &str) -> Option<String> {
    let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let took = at(to)? - at(from)?;
    let ms = took.whole_milliseconds();
    Some(match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    })
}

fn fault_words(code: Option<&str>, message: &str) -> String {
    match code {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    }
}

const fn mark(status: &str) -> char {
    match status.as_bytes() {
        b"completed" => '✓',
        b"executing" => '▸',
        b"failed" => '✗',
        b"unknown" => '?',
        b"compensating" => '◂',
        b"compensated" => '↶',
        b"skipped" => '–',
        _ => '·',
    }
}

fn status_style(status: &str) -> &'static str {
    match status {
        "completed" => "32",
        "executing" => "36",
        "failed" => "31",
        "unknown" | "compensating" => "33",
        "compensated" => "35",
        _ => "2",
    }
}

/// The style of a saga's state.
pub fn state_style(state: &str) -> &'static str {
    match state {
        "completed" => "1;32",
        "failed" => "1;31",
        "compensating" => "1;33",
        _ => "1;36",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        let from = "2026-01-01T00:00:00.000Z";
        for (to, expected) in [
            ("2026-01-01T00:00:00.012Z", "12 ms"),
            ("2026-01-01T00:00:01.250Z", "1.2 s"),
            ("2026-01-01T00:02:05.000Z", "2 min 5 s"),
            ("2026-01-02T01:30:00.000Z", "25 h 30 min"),
        ] {
            assert_eq!(took(from, to).unwrap(), expected);
        }
    }
}
