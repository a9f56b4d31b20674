//! A rehearsal for people: the table of services and rules, and every broken rule with what it is,
//! what was seen, what it does in production, and the fix.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stderr};

use super::super::columns::below;
use super::super::shown::paint;
use crate::rehearse::{Broken, Cell, Report, Shown as Exchange, Stopped, Suite};

/// Under a broken rule's head.
const INDENT: usize = 4;

/// Before the words of a line below a broken rule: `in production  `.
const LABEL_CHARS: usize = 15;

/// Between two columns of the table.
const GAP: usize = 2;

/// What a line has where neither a terminal nor COLUMNS says: enough for any, and no book's page.
const WIDTH_DEFAULT: usize = 100;

/// The whole report.
pub fn words(report: &Report, width: Option<usize>, colour: bool) -> String {
    let width = width.unwrap_or(WIDTH_DEFAULT);
    let mut text = table(report, width, colour);
    text += &untried(report, width, colour);
    for (n, broken) in (1..).zip(&report.broken) {
        text += &of_broken(n, broken, width, colour);
    }
    for stopped in &report.stopped {
        text += &of_stopped(stopped, report.not_played, width, colour);
    }
    for unfinished in &report.unfinished {
        let words = format!("{}: {}", unfinished.drill, unfinished.why);
        let head = match unfinished.is_expression {
            true => "an expression gave no value: the definition does not bear this fault",
            false => "the saga did not end",
        };
        let _ = write!(text, "\n{} {head}\n", paint("!", "33", colour));
        text += &below(&words, INDENT, Some(width));
    }
    text + "\n" + &summary(report, colour)
}

fn summary(report: &Report, colour: bool) -> String {
    let seconds = report.took.as_secs_f32();
    let drills = plural(report.drills, "scenario");
    let of = (report.broken.len(), report.stopped.len(), report.unfinished.len());
    let verdict = match of {
        (0, 0, 0) if !report.commanded_any() => paint("no step was commanded", "33", colour),
        (0, 0, 0) => paint("every rule that was tried was kept", "32", colour),
        (0, 0, n) => {
            let went_on = report.unfinished.iter().all(|unfinished| unfinished.is_expression);
            let how = if went_on { "failed at an expression" } else { "did not end" };
            paint(&format!("{} {how}", plural(n, "saga")), "33", colour)
        }
        (0, n, _) => paint(&format!("{} stopped answering", plural(n, "service")), "31", colour),
        (n, _, _) => paint(&format!("{} broken", plural(n, "promise")), "31", colour),
    };
    let tried = match report.suite {
        Suite::Rehearsal => report.saga_type.clone(),
        Suite::Conformance => report.services.join(", "),
    };
    format!("{verdict}: {tried} in {drills} and {seconds:.1} s\n")
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Rules down, services across; where they are too many or too long, under numbers.
fn table(report: &Report, width: usize, colour: bool) -> String {
    let rules = report
        .suite
        .rules()
        .iter()
        .map(|rule| rule.words().short.chars().count())
        .max()
        .unwrap_or(0);
    let named: Vec<String> = report.services.iter().map(|name| short(name).to_owned()).collect();
    let room = |heads: &[String]| {
        rules + heads.iter().map(|head| head.chars().count().max(CELL) + GAP).sum::<usize>()
    };
    let numbered = room(&named) > width;
    let heads: Vec<String> = match numbered {
        false => named,
        true => (1..=report.services.len()).map(|n| n.to_string()).collect(),
    };
    let mut text = String::new();
    if numbered {
        for (n, name) in (1..).zip(&report.services) {
            let _ = writeln!(text, "{n}  {name}");
        }
        text.push('\n');
    }
    let mut line = format!("{:rules$}", "");
    for head in &heads {
        let wide = head.chars().count().max(CELL);
        let _ = write!(line, "{:GAP$}{head:wide$}", "");
    }
    text += &paint(line.trim_end(), "1", colour);
    text.push('\n');
    for &rule in report.suite.rules() {
        let _ = write!(text, "{:rules$}", rule.words().short);
        for (at, (head, service)) in heads.iter().zip(&report.services).enumerate() {
            let (word, style) = match report.cell(rule, service) {
                Cell::Kept(_) => ("✓ kept", "32"),
                Cell::Broken(..) => ("✗ BROKEN", "1;31"),
                Cell::NotTried(_) => ("·", "2"),
            };
            let wide = if at + 1 == heads.len() { 0 } else { head.chars().count().max(CELL) };
            let blanks = wide.saturating_sub(word.chars().count());
            let _ = write!(text, "{:GAP$}{}{:blanks$}", "", paint(word, style, colour), "");
        }
        text.push('\n');
    }
    text
}

/// The widest word of a cell.
const CELL: usize = 8;

/// A service without the word that they all have.
fn short(name: &str) -> &str {
    name.strip_suffix("Service").filter(|short| !short.is_empty()).unwrap_or(name)
}

/// Why a dot is a dot: rules with the same reason together.
fn untried(report: &Report, width: usize, colour: bool) -> String {
    let mut reasons: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
    for service in &report.services {
        for &rule in report.suite.rules() {
            let Cell::NotTried(why) = report.cell(rule, service) else { continue };
            let short = rule.words().short;
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, rules)) if rules.contains(&short) => {}
                Some((_, rules)) => rules.push(short),
                None => reasons.push((why, vec![short])),
            }
        }
    }
    let mut text = String::new();
    for (why, rules) in reasons {
        let rules = match rules.len() {
            1..=2 => rules.join("; "),
            n => format!("{n} rules"),
        };
        let words = below(&format!("· {rules}: {why}"), 0, Some(width));
        text += &paint(words.trim_end(), "2", colour);
        text.push('\n');
    }
    if !report.unmade.is_empty() {
        let drills = report.unmade.join(", ");
        let words = format!("· the saga never came to these with this data: {drills}");
        text += &paint(below(&words, 0, Some(width)).trim_end(), "2", colour);
        text.push('\n');
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn of_broken(n: usize, broken: &Broken, width: usize, colour: bool) -> String {
    let rule = broken.rule.words();
    let head = format!("{n}. {}: {}", broken.service, rule.short);
    let mut text = head_of(&head, colour);
    let mut line = |label: &str, words: &str| text += &labelled(label, words, width, colour);
    line("the rule", &format!("{} ({})", rule.rule, rule.place));
    line("the scenario", &broken.drill);
    line("what was seen", &broken.what);
    broken.exchanges.iter().flat_map(lines_of).for_each(|words| line("", &words));
    line("in production", rule.consequence);
    line("the fix", rule.fix);
    text
}

fn of_stopped(stopped: &Stopped, not_played: usize, width: usize, colour: bool) -> String {
    let mut text = head_of(&format!("{} stopped answering", stopped.service), colour);
    let mut line = |label: &str, words: &str| text += &labelled(label, words, width, colour);
    line("the scenario", &stopped.scenario);
    line("what was seen", &format!("it cannot be reached any more: {}", stopped.why));
    if !stopped.unanswered.is_empty() {
        line("", "what it left without an answer, one of which may have made it stop:");
    }
    for (scenario, shown) in &stopped.unanswered {
        line("", &format!("in {scenario}"));
        lines_of(shown).iter().for_each(|words| line("", words));
    }
    if not_played > 0 {
        line("not played", &format!("{}, with this service gone", plural(not_played, "scenario")));
    }
    line("in production", Stopped::CONSEQUENCE);
    line("the fix", Stopped::FIX);
    text
}

fn head_of(head: &str, colour: bool) -> String {
    format!("\n{} {}\n", paint("✗", "1;31", colour), paint(head, "1", colour))
}

fn labelled(label: &str, words: &str, width: usize, colour: bool) -> String {
    let below = below(words, INDENT + LABEL_CHARS, Some(width));
    let label = paint(&format!("{label:LABEL_CHARS$}"), "36", colour);
    format!("{:INDENT$}{label}{}", "", below.trim_start())
}

/// What was asked, what was said, and what came by callback.
fn lines_of(exchange: &Exchange) -> Vec<String> {
    let mut lines = vec![
        format!("{}  {}", exchange.request, exchange.key),
        format!("  {}", exchange.body),
        format!("← {}", exchange.answer),
    ];
    lines.extend(exchange.callbacks.iter().map(|callback| format!("→ {callback}")));
    lines
}

/// Shows on a terminal how far it is; nothing anywhere else. What was shown is gone when it is
/// dropped.
pub fn progress() -> impl FnMut(usize, usize) {
    let shown = Shown(stderr().is_terminal());
    move |done, of| shown.say(done, of)
}

struct Shown(bool);

impl Shown {
    fn say(&self, done: usize, of: usize) {
        if self.0 {
            let _ = write!(stderr(), "\r\u{1b}[Kscenario {done} of {of}");
            let _ = stderr().flush();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}
