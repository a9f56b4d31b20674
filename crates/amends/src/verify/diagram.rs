//! A story as a sequence diagram of characters: amends at the left, the services beside it, what a
//! service does at the right.

use amends_explore::verify::story::{Entry, Fate, Line, Message, Story};

use super::word;

/// Where the engine's own line stands.
const ENGINE: usize = 3;

/// The longest word at the right, `nothing; tombstone`, and a blank before it.
const MARGIN: usize = 19;

/// Two lines that are closer leave no room for their heads.
const GAP_MIN: usize = 9;

/// A name that is longer is cut.
const GAP_MAX: usize = 16;

/// What a message needs beside its words: its ends and a stretch of line.
const ARROW: usize = 7;

/// Draws it, no wider than that.
pub fn diagram(story: &Story, width: usize) -> String {
    let lanes = Lanes::of(story, width);
    let mut text = lanes.heads();
    for line in &story.lines {
        match line {
            Line::Message(message) => text += &lanes.message(message),
            Line::Note(words) => text += &lanes.note('├', words),
            Line::Told(reason, whose) => text += &lanes.note('!', &told(word(*reason), whose)),
        }
    }
    text.push('\n');
    text + &ledger(story, width)
}

/// `a person is told: outcome_unknown (reserve)`.
pub fn told(reason: &str, whose: &Option<String>) -> String {
    let whose = whose.as_ref().map_or_else(String::new, |whose| format!(" ({whose})"));
    format!("a person is told: {reason}{whose}")
}

/// What each participant did, a line for each step.
fn ledger(story: &Story, width: usize) -> String {
    let indent = " ".repeat(ENGINE);
    let mut text = String::new();
    for entry in &story.ledger {
        let (done, undone) = accounts(entry);
        let chars = ENGINE + done.chars().count() + 2 + undone.chars().count();
        text += &match (undone.is_empty(), chars <= width) {
            (true, _) => format!("{indent}{done}\n"),
            (false, true) => format!("{indent}{done}, {undone}\n"),
            (false, false) => format!("{indent}{done},\n{indent}  {undone}\n"),
        };
    }
    text
}

/// `PaymentService.ProcessPayment once` and `RefundPayment never`.
pub fn accounts(entry: &Entry) -> (String, String) {
    let done = format!("{} {}", entry.action, times(entry.done));
    let Some(undo) = &entry.compensation else { return (done, String::new()) };
    let same = entry.action.split('.').next() == undo.split('.').next();
    let undo = if same { undo.split('.').nth(1).unwrap_or(undo) } else { undo };
    (done, format!("{undo} {}", times(entry.undone)))
}

fn times(n: u8) -> &'static str {
    match n {
        0 => "never",
        1 => "once",
        2 => "twice",
        _ => "again and again",
    }
}

/// What a message is called: of several runs, which.
pub fn label(message: &Message) -> String {
    match message.step.split_once('.') {
        Some((_, run)) => format!("{} [{run}]", message.words),
        None => message.words.clone(),
    }
}

struct Lanes<'a> {
    /// The services, each with where its line stands.
    services: Vec<(&'a str, usize)>,
    /// All of them share one line, each message says whose it is.
    shared: bool,
    /// Where the words at the right begin.
    right: usize,
    width: usize,
}

impl<'a> Lanes<'a> {
    fn of(story: &'a Story, width: usize) -> Self {
        let messages = || {
            story.lines.iter().filter_map(|line| match line {
                Line::Message(message) => Some(message),
                _ => None,
            })
        };
        let mut names: Vec<&str> = Vec::new();
        for message in messages() {
            if !names.contains(&message.service.as_str()) {
                names.push(&message.service);
            }
        }
        let longest = messages().map(|m| label(m).chars().count()).max().unwrap_or(0);
        let first = ENGINE + longest + ARROW;
        let room = width.saturating_sub(first + MARGIN);
        let gaps = names.len().saturating_sub(1);
        let gap = room.checked_div(gaps).unwrap_or(GAP_MAX).min(GAP_MAX);
        let shared = gap < GAP_MIN;
        let (first, gap) = if shared {
            let named =
                |m: &Message| label(m).chars().count() + short(&m.service).chars().count() + 1;
            (ENGINE + messages().map(named).max().unwrap_or(0) + ARROW, 0)
        } else {
            (first, gap)
        };
        let first = first.min(width.saturating_sub(MARGIN)).max(ENGINE + ARROW);
        let services: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (*name, first + i * gap)).collect();
        let right = services.last().map_or(ENGINE, |(_, at)| *at) + 2;
        Self { services, shared, right, width }
    }

    fn heads(&self) -> String {
        let mut line = Canvas::default();
        line.put(0, "amends");
        if self.shared {
            let at = self.services.first().map_or(ENGINE, |(_, at)| *at);
            line.put(at.saturating_sub(4), "services");
            return line.end();
        }
        let gap = self.services.get(1).map_or(usize::MAX, |(_, at)| at - self.services[0].1 - 1);
        for (name, at) in &self.services {
            let name: String = short(name).chars().take(gap).collect();
            line.put(at.saturating_sub(name.chars().count() / 2), &name);
        }
        line.end()
    }

    fn rails(&self) -> Canvas {
        let mut line = Canvas::default();
        line.put(ENGINE, "│");
        for (_, at) in &self.services {
            line.put(*at, "│");
        }
        line
    }

    fn message(&self, message: &Message) -> String {
        let at = self.services.iter().find(|(name, _)| *name == message.service);
        let at = at.map_or(ENGINE + ARROW, |(_, at)| *at);
        let stroke = if message.fate == Fate::Late { '╌' } else { '─' };
        let mut words = label(message);
        if self.shared {
            words = format!("{} {words}", short(&message.service));
        }
        let chars = words.chars().count();
        let mut line = self.rails();
        let stops = matches!(message.fate, Fate::Lost | Fate::Delayed);
        let sign = if message.fate == Fate::Lost { "✗" } else { "…" };
        // Lost and delayed messages end where their words do.
        let (from, to) = match (message.answer, stops) {
            (_, false) => (ENGINE + 1, at),
            (false, true) => (ENGINE + 1, (ENGINE + chars + 4).min(at)),
            (true, true) => (at.saturating_sub(chars + 4).max(ENGINE + 1), at),
        };
        line.stroke(from, to, stroke);
        let words_at = if message.answer && stops { from + 2 } else { from + 1 };
        let words_at = if message.answer && !stops { words_at + 1 } else { words_at };
        line.put(words_at, &words);
        match (message.answer, stops) {
            (false, false) => line.put(to - 1, "▶"),
            (true, false) => line.put(from, "◀"),
            (false, true) => line.put(to - 1, sign),
            (true, true) => line.put(from, sign),
        }
        let beside = match (message.does, message.fate) {
            (Some(does), Fate::Late) => format!("late: {does}"),
            (Some(does), _) => does.to_owned(),
            (None, Fate::Late) => "late".to_owned(),
            (None, Fate::Lost) => "lost".to_owned(),
            (None, Fate::Delayed) => "on its way".to_owned(),
            (None, Fate::Arrives) => String::new(),
        };
        line.put(self.right, &beside);
        line.end()
    }

    /// Words of the engine's own, in as many lines as they take.
    fn note(&self, sign: char, words: &str) -> String {
        let room = self.width.saturating_sub(ENGINE + 2).max(GAP_MAX);
        let mut lines: Vec<String> = Vec::new();
        for word in words.split(' ') {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        let mut text = String::new();
        for (i, words) in lines.iter().enumerate() {
            let mut line = Canvas::default();
            line.put(ENGINE, if i == 0 { sign.to_string() } else { "│".to_owned() }.as_str());
            line.put(ENGINE + 2, words);
            text += &line.end();
        }
        text
    }
}

/// `Payment` for `PaymentService`: the heads are narrow, and the ledger below has the whole name.
fn short(service: &str) -> &str {
    service.strip_suffix("Service").filter(|short| !short.is_empty()).unwrap_or(service)
}

/// One line, written to at any place.
#[derive(Default)]
struct Canvas(Vec<char>);

impl Canvas {
    fn put(&mut self, at: usize, text: &str) {
        let end = at + text.chars().count();
        if self.0.len() < end {
            self.0.resize(end, ' ');
        }
        for (cell, c) in self.0[at..].iter_mut().zip(text.chars()) {
            *cell = c;
        }
    }

    /// A line from one place to another, that crosses what stands there.
    fn stroke(&mut self, from: usize, to: usize, stroke: char) {
        for cell in self.0.iter_mut().take(to).skip(from) {
            *cell = if *cell == '│' { '┼' } else { stroke };
        }
    }

    fn end(self) -> String {
        let line: String = self.0.into_iter().collect();
        format!("{}\n", line.trim_end())
    }
}
