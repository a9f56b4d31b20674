//! A saga as people see it: its state, and its steps with those still to come.

use serde::Deserialize;
use time::OffsetDateTime;

use super::columns::{below, cut};
use super::exit::{Exit, Failure};
use super::shown::paint;
use super::times::{ago, minute, took, until, utc};

/// A saga as the server shows it, as far as people look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct SagaView {
    pub saga_id: String,
    pub saga_type: String,
    pub version: u32,
    #[serde(default)]
    pub choreographed: bool,
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
    #[serde(default)]
    pub service: Option<String>,
    pub status: String,
    pub waiting_for: Option<String>,
    pub attempts: u32,
    pub next_attempt_at: Option<String>,
    pub error: Option<Fault>,
    pub compensation_attempts: u32,
    pub deadline: Option<String>,
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
            _ => {
                let what = format!("the time was up; the saga is {} and goes on", self.state);
                let next = format_args!("amends watch {}", self.saga_id);
                Err(Failure::new(Exit::TimedOut, what).hint(next))
            }
        }
    }

    /// Its state in words.
    pub fn state_words(&self) -> String {
        let state = match self.state.as_str() {
            "failed" if self.exceptions.is_empty() && self.attention.is_empty() => {
                "failed, rolled back"
            }
            "failed" => "failed, not rolled back as planned",
            "compensating" => "compensating (rolling back)",
            "started" | "pending" if self.error.is_some() => "to be undone (its services decide)",
            state => state,
        };
        // At the end there is nothing left that a pause could hold up.
        if self.paused && !self.ended() { format!("{state}, paused") } else { state.to_owned() }
    }

    /// All of it, a line a step, at most `width` characters wide.
    pub fn tree(&self, width: Option<usize>, colour: bool, now: OffsetDateTime) -> String {
        let mut text = String::new();
        let mut line = |words: &str, style: &str| {
            text += &paint(&cut(words, width), style, colour);
            text.push('\n');
        };
        let among = if self.choreographed { ", among its services" } else { "" };
        let head = format!("{} v{}  {}{among}", self.saga_type, self.version, self.state_words());
        line(&head, state_style(&self.state));
        line(&format!("  {}", self.saga_id), "");
        for words in below(&self.about(now), 2, width).lines() {
            line(words, "2");
        }
        if let Some(error) = &self.error {
            let step = error.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
            let fault = fault_words(error.code.as_deref(), &error.message);
            for words in below(&format!("because {step}{fault}"), 2, width).lines() {
                line(words, "31");
            }
        }
        let chars = |text: &str| text.chars().count();
        let names = self.steps.iter().map(|step| chars(&step.name)).max().unwrap_or(0);
        let statuses = self.steps.iter().map(|step| chars(&step.status)).max().unwrap_or(0);
        for step in &self.steps {
            let (mark, name, status) = (mark(&step.status), &step.name, &step.status);
            let words = step.words(now);
            let words = format!("  {mark} {name:names$}  {status:statuses$}  {words}");
            line(words.trim_end(), status_style(&step.status));
            let told = self.error.as_ref().is_some_and(|e| e.step.as_ref() == Some(&step.name));
            if let Some(fault) = step.error.as_ref().filter(|_| !told) {
                let fault = fault.words();
                for words in below(&fault, names + 6, width).lines() {
                    line(words, "2");
                }
            }
        }
        for item in &self.attention {
            let step = item.step.as_deref().unwrap_or("the saga");
            let undo = if item.direction == "compensation" { " (its undo)" } else { "" };
            let words = format!("! {step}{undo}: {}", reason_words(&item.reason));
            for words in below(&words, 2, width).lines() {
                line(words, "1;33");
            }
        }
        for item in &self.exceptions {
            let words = format!("~ {}: {} ({})", item.step, item.reason, item.note);
            for words in below(&words, 2, width).lines() {
                line(words, "33");
            }
        }
        text
    }

    fn about(&self, now: OffsetDateTime) -> String {
        let mut about = format!("started {}", utc(&self.created_at));
        match self.ended_at.as_deref() {
            Some(end) => {
                about.extend(took(&self.created_at, end).map(|took| format!(", took {took}")));
            }
            None => about.push_str(&format!(", last moved {}", ago(&self.updated_at, now))),
        }
        if let Some(key) = &self.business_key {
            about.push_str(&format!(", key {key}"));
        }
        about
    }

    /// Does one of its steps wait for a signal?
    pub fn waits_for_signal(&self) -> bool {
        self.steps.iter().any(Step::waits_for_signal)
    }

    /// What it is called, so that nobody mistakes it for another.
    pub fn named(&self) -> String {
        let key = self.business_key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
        format!("{} {}{key}: {}", self.saga_type, self.saga_id, self.state_words())
    }

    /// The step, or its undo where that is under way.
    pub fn part(&self, step: &str) -> String {
        let undone = |held: &Step| held.name == step && held.status == "compensating";
        if self.steps.iter().any(undone) { format!("the undo of {step}") } else { step.to_owned() }
    }

    /// What a person can do now, as commands.
    pub fn next(&self, signals: &[(String, String)]) -> Vec<String> {
        let id = self.business_key.as_deref().filter(|key| is_plain(key));
        let id = id.unwrap_or(&self.saga_id);
        let mut next: Vec<String> = Vec::new();
        for item in &self.attention {
            let Some(step) = &item.step else { continue };
            next.extend(verbs(&item.reason).iter().map(|verb| match *verb {
                "resolve --as" => format!("amends resolve {id} {step} --as completed|refused"),
                "edit" => format!("amends edit {id} {step} --body JSON"),
                verb => format!("amends {verb} {id} {step}"),
            }));
        }
        for step in self.steps.iter().filter(|step| step.waits_for_signal()) {
            let signal = signals.iter().find(|(name, _)| *name == step.name);
            let signal = signal.map_or("SIGNAL", |(_, signal)| signal);
            next.push(format!("amends signal {id} {signal} --data JSON"));
        }
        if self.paused && !self.ended() {
            next.push(format!("amends resume {id}"));
        }
        next.dedup();
        next
    }
}

/// Can it be typed as it is, in any shell?
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}

/// The verbs that help with it.
fn verbs(reason: &str) -> &'static [&'static str] {
    match reason {
        "pivot_unknown" | "outcome_unknown" => &["resolve --as"],
        "compensation_failed" | "poison" => &["retry", "resolve", "edit", "skip"],
        "refused_after_pivot" => &["edit", "resolve", "skip"],
        "retriable_slow" | "overdue" => &["extend", "resolve", "skip"],
        "expression" => &["edit", "skip"],
        "contradicted" => &["acknowledge"],
        _ => &[],
    }
}

impl Step {
    fn waits_for_signal(&self) -> bool {
        self.waiting_for.as_deref() == Some("signal")
    }

    fn words(&self, now: OffsetDateTime) -> String {
        let mut words = String::new();
        let waiting = self.waiting_for.as_deref().map(|waiting| match waiting {
            // What is pending comes after what stands above it; that needs no words.
            "steps" => String::new(),
            "room" => "waits for room at its service".to_owned(),
            "reply" => "waits for the answer".to_owned(),
            "accepted" => "accepted; the answer comes later".to_owned(),
            "retry" => match &self.next_attempt_at {
                Some(at) => format!("again {}", until(at, now)),
                None => "again soon".to_owned(),
            },
            "signal" => match &self.deadline {
                Some(at) => format!("waits for its signal until {}", minute(at)),
                None => "waits for its signal".to_owned(),
            },
            "event" if self.status == "completed" => "to be undone by its service".to_owned(),
            "event" => match &self.deadline {
                Some(at) => format!("its service's turn, until {}", minute(at)),
                None => "its service's turn".to_owned(),
            },
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
        words.trim_start().to_owned()
    }
}

impl Fault {
    /// The code, where there is one, and the words.
    pub fn words(&self) -> String {
        fault_words(self.code.as_deref(), &self.message)
    }
}

fn fault_words(code: Option<&str>, message: &str) -> String {
    match code {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    }
}

/// Why a person is needed, in words.
pub fn reason_words(reason: &str) -> String {
    let words = match reason {
        "pivot_unknown" => "the point of no return has no answer; resolve it when you know",
        "outcome_unknown" => "it may have happened; resolve it when you know",
        "refused_after_pivot" => "refused after the point of no return",
        "retriable_slow" => "takes longer than its deadline; it is asked on",
        "overdue" => "past its deadline",
        "compensation_failed" => "the undo has used up its retries; it is sent again later",
        "poison" => "the undo was given up; retry, edit, resolve or skip it",
        "undo_slow" => "the undo is not acknowledged for more than a minute",
        "contract" => "its service broke the protocol; see the history",
        "contradicted" => "an answer contradicts what an operator decided; acknowledge it",
        "unbound_service" => "it is not known how its service is reached",
        "expression" => "an expression failed; edit the step",
        "unheard" => "nothing was heard of it in its time; look at its service",
        "unreadable" => "it cannot be read",
        other => return other.to_owned(),
    };
    format!("{words} [{reason}]")
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
    use serde_json::json;
    use time::format_description::well_known::Rfc3339;

    fn step(name: &str, status: &str, more: serde_json::Value) -> serde_json::Value {
        let mut step = json!({
            "name": name, "status": status, "waiting_for": null, "attempts": 1,
            "next_attempt_at": null, "error": null, "compensation_attempts": 0, "deadline": null,
            "by": null,
        });
        for (key, value) in more.as_object().unwrap() {
            step[key] = value.clone();
        }
        step
    }

    fn stuck() -> SagaView {
        let saga = json!({
            "saga_id": "01a219ab-b374-70d1-b06b-f5dfd978e516", "saga_type": "Trip", "version": 1,
            "state": "compensating", "paused": false, "exceptions": [], "business_key": "t-1",
            "attention": [
                {"step": "book_a", "direction": "compensation", "reason": "compensation_failed"},
            ],
            "error": {"step": "book_c", "code": "BECAUSE", "message": "DoC said 409"},
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:30Z",
            "ended_at": null, "seq": 9,
            "steps": [
                step("book_a", "compensating", json!({
                    "waiting_for": "retry", "next_attempt_at": "2026-01-31T12:01:39.5Z",
                    "compensation_attempts": 4,
                    "error": {"code": "BECAUSE", "message": "UndoA said 500, as it has for a while now, and will"},
                })),
                step("book_b", "compensated", json!({})),
                step("book_c", "failed", json!({})),
                step("approve", "executing", json!({
                    "waiting_for": "signal", "deadline": "2026-02-03T12:00:00Z",
                })),
                step("later", "pending", json!({"waiting_for": "steps", "attempts": 0})),
            ],
        });
        serde_json::from_value(saga).unwrap()
    }

    #[test]
    fn a_saga_is_shown_with_what_it_waits_for_and_no_line_is_too_wide() {
        let now = OffsetDateTime::parse("2026-01-31T12:01:00Z", &Rfc3339).unwrap();
        let shown = stuck().tree(Some(80), false, now);
        let expected = "\
Trip v1  compensating (rolling back)
  01a219ab-b374-70d1-b06b-f5dfd978e516
  started 2026-01-31 12:00:00 UTC, last moved 30 s ago, key t-1
  because book_c: BECAUSE: DoC said 409
  ◂ book_a   compensating  again in 40 s (4 undo attempts)
             BECAUSE: UndoA said 500, as it has for a while now, and will
  ↶ book_b   compensated
  ✗ book_c   failed
  ▸ approve  executing     waits for its signal until 2026-02-03 12:00 UTC
  · later    pending
  ! book_a (its undo): the undo has used up its retries; it is sent again later
  [compensation_failed]
";
        assert_eq!(shown, expected);
        for width in [40, 60] {
            let shown = stuck().tree(Some(width), false, now);
            assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
        }
    }

    #[test]
    fn what_can_be_done_is_said_as_commands() {
        let signals = [("approve".to_owned(), "approval".to_owned())];
        let expected = [
            "amends retry t-1 book_a",
            "amends resolve t-1 book_a",
            "amends edit t-1 book_a --body JSON",
            "amends skip t-1 book_a",
            "amends signal t-1 approval --data JSON",
        ];
        assert_eq!(stuck().next(&signals), expected);
        let mut odd = stuck();
        odd.business_key = Some("two words".to_owned());
        assert!(odd.next(&[])[0].contains(&odd.saga_id), "{:?}", odd.next(&[]));
    }
}
