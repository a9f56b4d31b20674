//! What the checker has to say about a definition: each finding with its place, reason and fix.

use serde::{Serialize, Serializer};

use crate::rule::Rule;
use crate::source::{Source, Span};

/// The most findings of one file. A file with more is no definition, and a person reads no more.
pub const FINDINGS_MAX: usize = 200;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The definition cannot run.
    Error,
    /// It runs, and will probably not do what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing the checker found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule; written as its stable id (`A044`).
    #[serde(serialize_with = "as_id")]
    pub id: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// The events on the way to it, where it is a choreography's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub way: String,
    /// Lines to write into the file, as they stand.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub add: String,
    /// The file.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The bytes it is about.
    pub span: Span,
}

fn as_id<S: Serializer>(rule: &Rule, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(rule.id())
}

/// Findings while they are collected: places are still bytes.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Said>,
}

/// One thing to say.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) rule: Rule,
    pub(crate) span: Span,
    pub(crate) message: String,
    /// The rule's own where there is none.
    pub(crate) fix: Option<String>,
    pub(crate) way: String,
    pub(crate) add: String,
}

impl Said {
    pub(crate) fn new(rule: Rule, span: Span, message: String) -> Self {
        Self { rule, span, message, fix: None, way: String::new(), add: String::new() }
    }

    #[must_use]
    pub(crate) fn fixed(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    pub(crate) fn place(self, source: &Source) -> Finding {
        let place = source.place(self.span.start);
        Finding {
            id: self.rule,
            severity: self.rule.severity(),
            message: self.message,
            why: self.rule.why().to_owned(),
            fix: self.fix.unwrap_or_else(|| self.rule.fix().to_owned()),
            way: self.way,
            add: self.add,
            path: source.path().to_owned(),
            line: place.line,
            column: place.column,
            span: self.span,
        }
    }
}

impl Findings {
    /// Adds a finding with the rule's own fix.
    pub(crate) fn add(&mut self, rule: Rule, span: Span, message: impl Into<String>) {
        self.say(Said::new(rule, span, message.into()));
    }

    /// Adds a finding with a fix made for it.
    pub(crate) fn add_with_fix(
        &mut self,
        rule: Rule,
        span: Span,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.say(Said::new(rule, span, message.into()).fixed(fix));
    }

    /// Adds a finding with the way to it and what to write.
    pub(crate) fn say(&mut self, said: Said) {
        // The cap of what is kept while collecting is generous, so that hostile files cost little
        // and an error late in a noisy file is still seen.
        if self.found.len() < 20 * FINDINGS_MAX {
            self.found.push(said);
        } else if said.rule.severity() == Severity::Error && !self.any_error() {
            self.found[0] = said;
        }
    }

    /// Has anything been found that keeps the definition from running?
    pub(crate) fn any_error(&self) -> bool {
        self.found.iter().any(|said| said.rule.severity() == Severity::Error)
    }

    /// In the order of the file, with lines and columns.
    pub(crate) fn finish(mut self, source: &Source) -> Vec<Finding> {
        self.found.sort_by_key(|said| (said.span.start, said.rule.severity()));
        self.found.dedup_by(|a, b| (a.rule, a.span, &a.message) == (b.rule, b.span, &b.message));
        // Where there are too many, what keeps the definition from running is not among those
        // left out.
        if self.found.len() > FINDINGS_MAX {
            self.found.sort_by_key(|said| said.rule.severity());
            self.found.truncate(FINDINGS_MAX);
            self.found.sort_by_key(|said| said.span.start);
        }
        self.found.into_iter().map(|said| said.place(source)).collect()
    }
}

/// The one of `known` that `word` is probably a slip of.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long words are no typing errors, and the distance is quadratic.
    const WORD_CHARS_MAX: usize = 64;
    // A person's file has fewer names than this; a hostile one shall not make this slow.
    const CANDIDATES_MAX: usize = 256;
    if word.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    // With every letter changed it is another word: `S` is no slip of `P`.
    let near = (1 + word.chars().count() / 3).min(word.chars().count().saturating_sub(1));
    let lower = word.to_lowercase();
    known
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|k| k.len() <= WORD_CHARS_MAX && k.len().abs_diff(word.len()) <= near)
        .map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
