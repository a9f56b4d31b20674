//! The picture for Markdown: a Mermaid flowchart.

use std::fmt::Write as _;

use amends_core::definition::{Kind, Work};

use super::{condition_words, undo_order, undo_words, work_words};
use crate::compile::Compiled;

/// Draws the definition as a Mermaid flowchart.
pub fn mermaid(compiled: &Compiled) -> String {
    let definition = &*compiled.definition;
    let mut text = String::from("flowchart TD\n");
    for ix in definition.indices() {
        let (n, step) = (ix.get(), definition.step(ix));
        let condition =
            condition_words(step).map(|w| format!("<br/><i>{w}</i>")).unwrap_or_default();
        let label = format!("<b>{}</b><br/>{}{condition}", step.name, work_words(step));
        let (open, close) = match (&step.work, step.kind) {
            (Work::Signal { .. }, _) => ("[/", "/]"),
            (_, Kind::Pivot) => ("{{", "}}"),
            (_, Kind::BestEffort) => ("(", ")"),
            _ => ("[", "]"),
        };
        let _ = writeln!(text, "    s{n}{open}\"{label}\"{close}");
    }
    for ix in definition.indices() {
        for before in definition.step(ix).after.iter() {
            let _ = writeln!(text, "    s{} --> s{}", before.get(), ix.get());
        }
    }
    for ix in definition.indices() {
        if let Some(undo) = undo_words(definition.step(ix)) {
            let n = ix.get();
            let _ = writeln!(text, "    u{n}([\"{undo}\"]):::undo");
            let _ = writeln!(text, "    u{n} -. undoes .-> s{n}");
        }
    }
    for (later, earlier) in undo_order(definition) {
        let _ = writeln!(text, "    u{} -.-> u{}", later.get(), earlier.get());
    }
    if let Some(pivot) = definition.pivot() {
        let _ = writeln!(text, "    s{}:::pivot", pivot.get());
        text.push_str("    classDef pivot stroke:#b45309,stroke-width:4px\n");
    }
    if definition.steps().iter().any(|step| step.compensation().is_some()) {
        text.push_str("    classDef undo stroke:#b91c1c,stroke-dasharray:4\n");
    }
    text
}
