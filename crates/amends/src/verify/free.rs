//! A free choreography tried in every order: which reaction takes place when, and how it goes.

use std::time::{Duration, Instant};

use amends_definition::{
    Analysis, Checked, End, Reactions, Remark, Rule, Severity, Told, findings_json,
};
use amends_explore::verify::finding::End as SagaEnd;
use serde_json::{Map, Value, json};

use super::words::{Shown, counted, grouped, wrapped};
use super::{BYTES_MAX, Task, advice, numbered};

const TRIED: &str = "Tried in every order: each event reaches each service sooner or later, and more \
    than once; each action is done or fails, those apart that are tried until they succeed; an undo \
    comes before its action or after it.";

const LEFT_OUT: &str = "Left out: how long things take, what is in the data, and events that never \
    arrive: a broker keeps them until they do.";

/// What is looked at in every order.
const RULES: [Rule; 7] = [
    Rule::LeftStanding,
    Rule::NoEndReached,
    Rule::BothEnds,
    Rule::UndoneTooEarly,
    Rule::UndoneAfterDone,
    Rule::FailedAndDone,
    Rule::UndoOvertakes,
];

/// What was tried and found.
pub struct Report {
    /// What the exploration came to.
    pub analysis: Analysis,
    /// Whether it was stopped before all was tried.
    pub interrupted: bool,
    within: Duration,
    took: Duration,
    full: bool,
    told: Vec<Told>,
    ends: Vec<(End, usize, Vec<String>)>,
}

/// Tries a free choreography. `Err` says why that cannot be done.
pub fn verify(
    of: &Reactions,
    checked: &Checked<Reactions>,
    task: &Task<'_>,
) -> Result<Report, String> {
    if !task.suppositions.is_empty() {
        let why = "--suppose: of a free choreography no promise can be supposed broken; say the fence \
                   that its services have";
        return Err(why.to_owned());
    }
    let begun = Instant::now();
    let (mut interrupted, mut full) = (false, false);
    let analysis = of.explore(&mut |bytes| {
        interrupted = (task.interrupted)();
        full = bytes > BYTES_MAX;
        !interrupted && !full && begun.elapsed() < task.within
    });
    let took = begun.elapsed();
    let (told, ends) = (analysis.told(of, &checked.source), analysis.ends(of));
    Ok(Report { analysis, interrupted, within: task.within, took, full, told, ends })
}

impl Report {
    /// Is there an order in which it goes wrong?
    pub fn is_broken(&self) -> bool {
        !self.analysis.is_sound()
    }
}

/// Can it not be tried? What is waited for must be said, and nothing go round.
pub fn is_unfit(checked: &Checked<Reactions>) -> bool {
    checked.findings.iter().any(|found| matches!(found.id, Rule::EventNotWritten | Rule::Circle))
}

/// Leaves of what the check found only what the report does not tell.
pub fn retain_untold(checked: &mut Checked<Reactions>) {
    let told = |rule: Rule| {
        let warned = matches!(rule, Rule::SaidTooEarly | Rule::UndoneTwice | Rule::NotAllExplored);
        warned || RULES.contains(&rule)
    };
    checked.findings.retain(|found| !told(found.id));
}

/// `OrderFulfillment, 7 reactions among 3 services`.
pub fn size(of: &Reactions) -> String {
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}, {} among {}",
        of.name(),
        many(of.len(), "reaction"),
        many(of.services(), "service")
    )
}

/// The whole report for a person.
pub fn words(
    report: &Report,
    checked: &Checked<Reactions>,
    of: &Reactions,
    shown: &Shown,
) -> String {
    let width = shown.width();
    let mut text = wrapped(TRIED, 0, width);
    let end = match report.analysis.complete {
        true => shown.paint("all of them", "32"),
        false if report.interrupted => "not all: interrupted".to_owned(),
        false if report.full => "not all: they take about 1 GiB, the limit".to_owned(),
        false => format!("not all: {} were up", advice::time(report.within)),
    };
    text += &format!("\n  {:>11} states  {end}\n\n", grouped(report.analysis.states));
    if report.is_broken() {
        text += &shown.head("Not kept:");
    } else {
        text += &shown.head(match report.analysis.complete {
            true => "In each of these states:",
            false => "Nothing is wrong in what was tried, and that proves nothing yet:",
        });
    }
    let broken = |rule: Rule| report.told.iter().any(|told| told.finding.id == rule);
    for rule in RULES.into_iter().filter(|rule| !report.is_broken() || broken(*rule)) {
        text += &format!("  {}  {}\n", rule.id(), rule.title());
    }
    text.push('\n');
    text += &shown.head("How it ends:");
    for (end, states, story) in &report.ends {
        text += &counted(&end_title(*end, of), *states);
        if shown.ends.iter().any(|asked| is_asked(*asked, *end)) {
            text += &format!("\n{}\n", numbered(story, width));
        }
    }
    text.push('\n');
    for told in &report.told {
        text += &remark(told, checked, shown);
        text += &format!("\n{}\n", numbered(&told.story, width));
    }
    text += &wrapped(LEFT_OUT, 0, width);
    text.push('\n');
    text + &wrapped(&verdict(report, checked, of, shown), 0, width)
}

fn remark(told: &Told, checked: &Checked<Reactions>, shown: &Shown) -> String {
    let found = &told.finding;
    let words = [("why", found.why.as_str()), ("fix", found.fix.as_str())];
    let (severity, id, span) = (found.severity, found.id.id(), found.span);
    let remark =
        Remark { severity, id, message: &found.message, span, words: &words, add: &found.add };
    remark.render_within(checked, shown.colour, Some(shown.width()))
}

fn end_title(end: End, of: &Reactions) -> String {
    match end {
        End::Done => of.done().to_owned(),
        End::Undone => of.undone().to_owned(),
        End::Both => format!("{} and {}", of.done(), of.undone()),
        End::Neither => "not at all".to_owned(),
    }
}

/// Sagas and choreographies end alike: `--show completed`, `--show rolled-back`.
fn is_asked(asked: SagaEnd, end: End) -> bool {
    matches!((asked, end), (SagaEnd::Completed, End::Done) | (SagaEnd::RolledBack, End::Undone))
}

fn verdict(report: &Report, checked: &Checked<Reactions>, of: &Reactions, shown: &Shown) -> String {
    let wrong = report.told.iter().filter(|told| told.finding.severity == Severity::Error).count();
    let said = match (wrong, report.analysis.complete) {
        (0, true) => shown.paint("it holds in every order", "1;32"),
        (0, false) => shown.paint("nothing is proved", "1;33"),
        (1, _) => shown.paint("1 thing goes wrong", "1;31"),
        (n, _) => shown.paint(&format!("{n} things go wrong"), "1;31"),
    };
    format!(
        "{}: {}: {said} ({} states, {:.1} s)",
        checked.source.path(),
        size(of),
        grouped(report.analysis.states),
        report.took.as_secs_f64()
    )
}

/// The whole report as JSON text.
pub fn json(report: &Report, checked: &Checked<Reactions>, of: &Reactions) -> String {
    let ends: Map<String, Value> = report
        .ends
        .iter()
        .map(|(end, states, story)| {
            let word = match end {
                End::Done => "done",
                End::Undone => "undone",
                End::Both => "both",
                End::Neither => "neither",
            };
            (word.to_owned(), json!({ "states": states, "story": story }))
        })
        .collect();
    let rule = |rule: Rule| {
        let broken = report.told.iter().any(|told| told.finding.id == rule);
        // Null: nothing is proved of it.
        let holds = if broken { Some(false) } else { report.analysis.complete.then_some(true) };
        json!({ "id": rule.id(), "words": rule.title(), "holds": holds })
    };
    let found = report.told.iter().map(|told| {
        let mut found = serde_json::to_value(&told.finding).unwrap_or_default();
        found["story"] = json!(told.story);
        found
    });
    let cut = match report.analysis.complete {
        true => None,
        false if report.interrupted => Some("interrupted"),
        false if report.full => Some("memory"),
        false => Some("time"),
    };
    json!({
        "path": checked.source.path(),
        "choreography": of.name(),
        "reactions": of.len(),
        "services": of.services(),
        "states": report.analysis.states,
        "complete": report.analysis.complete,
        "cut": cut,
        "rules": RULES.map(rule),
        "ends": ends,
        "findings": found.collect::<Vec<_>>(),
        "warnings": findings_json(&checked.warnings()),
    })
    .to_string()
}
