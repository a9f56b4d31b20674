//! A report for tools.

use amends_definition::{Checked, Span, findings_json};
use amends_explore::laws::Law;
use amends_explore::verify::finding::End;
use amends_explore::verify::search::Cut;
use amends_explore::verify::story::{Fate, Line, Message, Story};
use serde_json::{Map, Value, json};

use super::{
    Counterexample, Finding, Report, SEVERITY, Supposition, advice, laws, place, rule, word,
};

/// The whole report as JSON text.
pub fn json(report: &Report, checked: &Checked, saga_type: &str) -> String {
    let found = &report.found;
    let levels = found.levels.iter().map(|level| {
        json!({ "faults": level.faults, "states": level.states, "complete": level.complete })
    });
    let ends: Map<String, Value> = report
        .ends
        .iter()
        .map(|(end, states, story)| {
            (end_word(*end).to_owned(), json!({ "states": states, "story": story_json(story) }))
        })
        .collect();
    let law = |law: Law| {
        let (id, words) = rule(law);
        let broken = report.counterexample.as_ref().is_some_and(|found| found.law == law);
        // Null: nothing is proved of it.
        let holds = if broken { Some(false) } else { report.proved().map(|_| true) };
        json!({ "id": id, "words": words, "holds": holds })
    };
    let laws: Vec<Value> = laws().map(law).collect();
    json!({
        "path": checked.source.path(),
        "saga_type": saga_type,
        "steps": report.steps,
        "supposed": report.suppositions.iter().map(Supposition::text).collect::<Vec<_>>(),
        "levels": levels.collect::<Vec<_>>(),
        "cut": if report.interrupted { Some("interrupted") } else { found.cut.map(cut_word) },
        "proved_faults": report.proved(),
        "depth_max": found.depth_max,
        "laws": laws,
        "ends": ends,
        "findings": report.findings.iter().map(|f| finding(f, checked)).collect::<Vec<_>>(),
        "told": report.told,
        "warnings": findings_json(&checked.warnings()),
        "counterexample": report.counterexample.as_ref().map(|c| counterexample(c, checked)),
    })
    .to_string()
}

/// The name of an end.
pub fn end_word(end: End) -> &'static str {
    match end {
        End::Completed => "completed",
        End::RolledBack => "rolled_back",
        End::NothingDone => "nothing_done",
        End::NotClean => "not_clean",
    }
}

fn cut_word(cut: Cut) -> &'static str {
    match cut {
        Cut::Time => "time",
        Cut::Memory => "memory",
    }
}

fn finding(finding: &Finding, checked: &Checked) -> Value {
    let mut value = json!({
        "id": advice::id(finding.trouble),
        "severity": SEVERITY.word(),
        "step": finding.step,
        "service": finding.service,
        "message": finding.message,
        "why": advice::why(finding.trouble),
        "fix": finding.fix,
        "states": finding.states,
        "story": story_json(&finding.story),
    });
    put_place(&mut value, checked, finding.span);
    value
}

fn counterexample(found: &Counterexample, checked: &Checked) -> Value {
    let (id, words) = rule(found.law);
    let mut value = json!({
        "id": id,
        "law": words,
        "message": found.message,
        "why": found.why,
        "fix": found.fix,
        "story": story_json(&found.story),
    });
    put_place(&mut value, checked, found.span);
    value
}

fn put_place(value: &mut Value, checked: &Checked, span: Span) {
    let (line, column) = place(checked, span);
    value["line"] = line.into();
    value["column"] = column.into();
}

fn story_json(story: &Story) -> Value {
    let lines = story.lines.iter().map(|line| match line {
        Line::Note(words) => json!({ "note": words }),
        Line::Told(reason, step) => json!({ "told": word(*reason), "step": step }),
        Line::Message(message) => message_json(message),
    });
    let ledger = story.ledger.iter().map(|entry| {
        json!({
            "step": entry.step,
            "action": entry.action,
            "done": entry.done,
            "compensation": entry.compensation,
            "undone": entry.undone,
        })
    });
    json!({ "lines": lines.collect::<Vec<_>>(), "ledger": ledger.collect::<Vec<_>>() })
}

fn message_json(message: &Message) -> Value {
    let fate = match message.fate {
        Fate::Arrives => "arrives",
        Fate::Late => "late",
        Fate::Delayed => "delayed",
        Fate::Lost => "lost",
    };
    json!({
        "message": message.words,
        "step": message.step,
        "service": message.service,
        "to": if message.answer { "amends" } else { message.service.as_str() },
        "fate": fate,
        "does": message.does,
    })
}
