//! Findings as people read them, in their source with a caret, and as editors do.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::check::Checked;
use crate::finding::{Finding, Severity};
use crate::rule::Rule;
use crate::source::{Source, Span};

/// The longest piece of a source line that is shown. A line may be a whole minified file.
const LINE_CHARS_MAX: usize = 120;

/// How many characters stay in view before the caret when the line is cut.
const LEAD_CHARS: usize = 40;

/// In a narrower terminal the lines are as if it had this width: narrower ones cannot be read.
const WIDTH_MIN: usize = 60;

/// All findings, each with its place, line, caret, reason and fix, and a last line that counts
/// them; empty when there are none.
pub fn render<T>(checked: &Checked<T>, colour: bool) -> String {
    render_within(checked, colour, None)
}

/// The same for a terminal that is so many characters wide: words go on in the next line, below
/// where they began, and source lines are cut around the caret.
pub fn render_within<T>(checked: &Checked<T>, colour: bool, width: Option<usize>) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    let source = without_secrets(checked);
    let width = width.map(|width| width.max(WIDTH_MIN));
    for finding in &checked.findings {
        let Finding { id, severity, message, why, fix, way, add, span, .. } = finding;
        let words = [("why", why.as_str()), ("way", way.as_str()), ("fix", fix.as_str())];
        let (id, severity, span) = (id.id(), *severity, *span);
        let remark = Remark { severity, id, message, span, words: &words, add };
        one(remark, &source, paint, width, &mut text);
        text.push('\n');
    }
    if !checked.findings.is_empty() {
        let mut counts = Vec::new();
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            match checked.count(severity) {
                0 => {}
                1 => counts.push(format!("1 {}", severity.word())),
                n => counts.push(format!("{n} {}s", severity.word())),
            }
        }
        let _ = writeln!(text, "{}: {}", checked.source.path(), counts.join(", "));
    }
    text
}

/// Something said of a place in a file, in the form that findings have.
#[derive(Clone, Copy, Debug)]
pub struct Remark<'a> {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of remark it is: the word in brackets.
    pub id: &'a str,
    /// What there is to say.
    pub message: &'a str,
    /// The bytes it is about.
    pub span: Span,
    /// What stands below the source: a word such as `why`, and what is said.
    pub words: &'a [(&'a str, &'a str)],
    /// Lines to write into the file, as they stand.
    pub add: &'a str,
}

impl Remark<'_> {
    /// As [`render_within`] shows findings, in the source that was checked.
    pub fn render_within<T>(
        self,
        checked: &Checked<T>,
        colour: bool,
        width: Option<usize>,
    ) -> String {
        let mut text = String::new();
        let width = width.map(|width| width.max(WIDTH_MIN));
        one(self, &without_secrets(checked), Paint { colour }, width, &mut text);
        text
    }
}

/// The source with what was found to be a secret blanked out: what is shown here ends in logs
/// (`semantics.md` S24).
fn without_secrets<T>(checked: &Checked<T>) -> Cow<'_, Source> {
    let secret = |f: &&Finding| matches!(f.id, Rule::SecretInClear | Rule::CredentialsInUrl);
    let mut text = String::new();
    let mut done = 0;
    for finding in checked.findings.iter().filter(secret) {
        let found = checked.source.slice(finding.span);
        if finding.span.start < done || found.is_empty() {
            continue;
        }
        text.push_str(&checked.source.text()[done..finding.span.start]);
        // As many bytes as there were, so that places stay what they are.
        text.extend(found.bytes().map(|b| if b == b'\n' { '\n' } else { '*' }));
        done = finding.span.end;
    }
    if done == 0 {
        return Cow::Borrowed(&checked.source);
    }
    text.push_str(&checked.source.text()[done..]);
    Cow::Owned(Source::new(checked.source.path(), text.as_bytes()))
}

/// The findings as JSON, for editors and scripts.
pub fn findings_json(findings: &[Finding]) -> serde_json::Value {
    // Plain text and numbers: nothing in it can fail to be written.
    serde_json::to_value(findings).unwrap_or_default()
}

fn one(
    remark: Remark<'_>,
    source: &Source,
    paint: Paint,
    within: Option<usize>,
    text: &mut String,
) {
    let (strong, severity) = (Style::Strong, Style::of(remark.severity));
    let head = format!("{}[{}]", remark.severity.word(), remark.id);
    let message = wrapped(remark.message, head.len() + 2, within);
    let _ = writeln!(
        text,
        "{}{} {}",
        paint.with(severity, &head),
        paint.with(strong, ":"),
        paint.with(strong, &message)
    );
    let place = source.place(remark.span.start);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let arrow = paint.with(Style::Frame, &format!("{gutter}-->"));
    let bar = paint.with(Style::Frame, &format!("{gutter} |"));
    let _ = writeln!(text, "{arrow} {}:{}:{}", source.path(), place.line, place.column);
    let line = source.line(place.line);
    // Beside the line stand its number, a bar, and an ellipsis at either end.
    let room = within.map_or(LINE_CHARS_MAX, |width| width - gutter.len() - 5).min(LINE_CHARS_MAX);
    let shown =
        Excerpt::of(line, place.column - 1, width(remark.span, place.column, source, line), room);
    let _ = writeln!(text, "{bar}");
    let _ = writeln!(text, "{} {}", paint.with(Style::Frame, &format!("{number} |")), shown.line);
    let carets = paint.with(severity, &"^".repeat(shown.width));
    let _ = writeln!(text, "{bar} {}{carets}", " ".repeat(shown.before));
    let _ = writeln!(text, "{bar}");
    let equals = paint.with(Style::Frame, &format!("{gutter} ="));
    for (word, said) in remark.words.iter().filter(|(_, said)| !said.is_empty()) {
        let word = format!("{word}:");
        let said = wrapped(said, gutter.len() + 4 + word.len(), within);
        let _ = writeln!(text, "{equals} {} {said}", paint.with(strong, &word));
    }
    // Whoever copies them wants them whole, however narrow the terminal.
    for line in remark.add.lines() {
        let _ = writeln!(text, "{} {line}", paint.with(Style::Frame, &format!("{gutter} +")));
    }
}

/// The words in lines that end before `width`, all but the first after `indent` blanks. A word that
/// is longer than a line has one of its own.
fn wrapped(words: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return words.to_owned() };
    let mut text = String::new();
    let mut column = indent;
    for word in words.split(' ') {
        let chars = word.chars().count();
        if text.is_empty() {
            column += chars;
        } else if column + 1 + chars <= width {
            text.push(' ');
            column += 1 + chars;
        } else {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent + chars;
        }
        text.push_str(word);
    }
    text
}

/// How many characters of the line the remark is about, at least one.
fn width(span: Span, column: usize, source: &Source, line: &str) -> usize {
    let about = source.slice(span);
    let first = about.lines().next().unwrap_or_default().chars().count();
    let left = (line.chars().count() + 1).saturating_sub(column);
    first.min(left).max(1)
}

/// The part of a line that is shown, tabs and other controls as blanks so that carets stand right.
struct Excerpt {
    line: String,
    before: usize,
    width: usize,
}

impl Excerpt {
    fn of(line: &str, before: usize, width: usize, chars_max: usize) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let long = line.chars().count() > chars_max;
        let skip = if long { before.saturating_sub(LEAD_CHARS) } else { 0 };
        let mut shown: String = line.chars().skip(skip).take(chars_max).map(plain).collect();
        let mut lead = before - skip;
        let room = chars_max.saturating_sub(lead).max(1);
        if skip > 0 {
            shown.insert(0, '…');
            lead += 1;
        }
        if line.chars().count() > skip + chars_max {
            shown.push('…');
        }
        Self { line: shown.trim_end().to_owned(), before: lead, width: width.min(room) }
    }
}

#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

#[derive(Clone, Copy)]
enum Style {
    Strong,
    Frame,
    Error,
    Warning,
    Note,
}

impl Style {
    fn of(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Note,
        }
    }
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Frame => "1;34",
            Style::Error => "1;31",
            Style::Warning => "1;33",
            Style::Note => "1;36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Surroundings, check};

    #[test]
    fn a_finding_is_shown_in_its_line() {
        let text = "saga: Order\nsteps:\n  - name: reserve\n    acton: Stock.Reserve\n    compensation: none\n";
        let checked = check(text.as_bytes(), "order.yaml", &Surroundings::none());
        insta::assert_snapshot!(render(&checked, false), @r#"
        error[A010]: unknown key `acton`
         --> order.yaml:4:5
          |
        4 |     acton: Stock.Reserve
          |     ^^^^^
          |
          = why: a mistyped key would be left out silently, and with it what it says
          = fix: did you mean `action`?

        order.yaml: 1 error
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("{{\"saga\": \"A\", \"x\": \"{}\", \"stepz\": []}}", "y".repeat(500));
        let checked = check(text.as_bytes(), "a.json", &Surroundings::none());
        insta::assert_snapshot!(render(&checked, false), @r#"
        error[A010]: unknown key `x`
         --> a.json:1:15
          |
        1 | {"saga": "A", "x": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
          |               ^^^
          |
          = why: a mistyped key would be left out silently, and with it what it says
          = fix: known here: saga, version, pattern, business_key, deadline, data, services, messaging, defaults, steps, alerts

        error[A010]: unknown key `stepz`
         --> a.json:1:524
          |
        1 | …yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "stepz": []}
          |                                          ^^^^^^^
          |
          = why: a mistyped key would be left out silently, and with it what it says
          = fix: did you mean `steps`?

        a.json: 2 errors
        "#);
    }

    #[test]
    fn in_a_terminal_no_line_is_wider_than_it() {
        let text = "saga: A\nsteps:\n  - { name: a, action: S.A, compensation: none, input: { a: \"${ data.one.two.three.four.five }\", b: \"${ dta.x }\" } }\nservices: { S: { http: { url: \"http://h\" } } }\n";
        let checked = check(text.as_bytes(), "a.yaml", &Surroundings::none());
        insta::assert_snapshot!(render_within(&checked, false, Some(80)), @r#"
        error[A083]: `dta` is not known here
         --> a.yaml:3:105
          |
        3 | …data.one.two.three.four.five }", b: "${ dta.x }" } }
          |                                          ^^^
          |
          = why: an unknown name fails in every saga
          = fix: did you mean `data`?

        note[A100]: the service `S` does not say its fence
         --> a.yaml:4:13
          |
        4 | services: { S: { http: { url: "http://h" } } }
          |             ^
          |
          = why: it is treated as `settle`, except that its refusals are not taken as
                 settled: a refused step is undone all the same
          = fix: add `fence: barrier`, `settle` or `none`

        a.yaml: 1 error, 1 note
        "#);
        for width in [1, 60, 80, 120] {
            let shown = render_within(&checked, false, Some(width));
            let widest = shown.lines().map(|line| line.chars().count()).max();
            assert!(widest.is_some_and(|widest| widest <= width.max(WIDTH_MIN)), "{shown}");
        }
    }

    #[test]
    fn colour_is_only_added_when_asked_for() {
        let checked = check(b"saga: A", "a.yaml", &Surroundings::none());
        assert!(!render(&checked, false).contains('\u{1b}'));
        let coloured = render(&checked, true);
        assert!(coloured.contains("\u{1b}[1;31merror[A021]\u{1b}[0m"), "{coloured}");
    }

    #[test]
    fn a_secret_written_in_the_file_is_not_shown() {
        let text = "saga: A\nsteps: []\nservices: { S: { http: { url: \"http://u:hunter2@h\", secret: hunter2 } } }\n";
        let checked = check(text.as_bytes(), "a.yaml", &Surroundings::none());
        let shown = render(&checked, false);
        assert!(shown.contains("A105") && shown.contains("A109"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!findings_json(&checked.findings).to_string().contains("hunter2"));
    }

    #[test]
    fn editors_get_json() {
        let checked = check(b"saga: A\n", "a.yaml", &Surroundings::none());
        let json = findings_json(&checked.findings);
        assert_eq!(json[0]["id"], "A021");
        assert_eq!(json[0]["severity"], "error");
        assert_eq!(json[0]["line"], 1);
        assert_eq!(json[0]["span"]["start"], 0);
    }
}
