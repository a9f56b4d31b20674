//! A definition file: parsed, checked, compiled, drawn, and read back from its canonical form.

use amends_core::Definition;
use amends_definition::{
    Checked, Compiled, Document, EnvVar, FINDINGS_MAX, Severity, Surroundings, ascii, check,
    findings_json, mermaid, render, render_within, svg,
};
use serde_json::{Value as Json, json};

use super::Target;
use crate::kept::seeds_from;

pub(super) const TARGET: Target = Target {
    name: "definition",
    what: "definition file → findings, compiled form, graphs, canonical form",
    run,
    seeds,
};

/// So much of every name stands in its box.
const SHOWN_CHARS_MIN: usize = 16;

/// The most that checking a file may hold at one time for each byte of it, and beside that: an empty
/// list takes two bytes to write and a tree's node to read; the JSON Schema of the data brings its
/// own compiled form.
const HELD_BYTES_PER_BYTE_MAX: u64 = 4_000;
const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;

fn seeds() -> Vec<Vec<u8>> {
    let folders = [
        "examples/order",
        "examples/bank",
        "examples/travel",
        "examples/approval",
        "crates/definition/tests/good",
        "crates/definition/tests/bad",
        "crates/definition/tests/free",
    ];
    seeds_from(&folders, ".yaml")
}

fn surroundings() -> Surroundings<'static> {
    Surroundings::none()
        .with_env(|name| match name {
            "SET" => EnvVar::Set("value".to_owned()),
            "UNSET" => EnvVar::Unset,
            _ => EnvVar::NotAllowed,
        })
        .with_files(|path| match path {
            "order.schema.json" => Ok(br#"{"type":"object","required":["order_id"]}"#.to_vec()),
            _ => Err("not found".to_owned()),
        })
}

fn run(bytes: &[u8]) {
    let mut checked = None;
    let held = allocation_counter::measure(|| {
        checked = Some(check(bytes, "fuzzed.yaml", &surroundings()));
    });
    let bound = HELD_BYTES_MAX + HELD_BYTES_PER_BYTE_MAX * bytes.len() as u64;
    assert!(held.bytes_max <= bound, "{} bytes held for {}", held.bytes_max, bytes.len());
    if let Document::Free(checked) = Document::check(bytes, "fuzzed.yaml", &surroundings()) {
        findings_point_into_the_file(&checked);
        if let Some(reactions) = &checked.compiled {
            let shown: String = reactions.name().chars().take(SHOWN_CHARS_MIN).collect();
            assert!(reactions.ascii().contains(&shown), "{shown} is not drawn");
            drop((reactions.mermaid(), reactions.svg()));
        }
    }
    let Some(checked) = checked else { return };
    findings_point_into_the_file(&checked);
    let wrong = checked.count(Severity::Error) > 0;
    assert_eq!(checked.compiled.is_none(), wrong, "compiled unless something is wrong");
    if let Some(compiled) = &checked.compiled {
        what_is_accepted_is_taken_by_the_machine(compiled);
        the_canonical_form_reads_back(compiled);
    }
}

fn findings_point_into_the_file<T>(checked: &Checked<T>) {
    assert!(checked.findings.len() <= FINDINGS_MAX + 1, "more findings than anybody reads");
    for finding in &checked.findings {
        assert!(finding.span.start <= finding.span.end, "{finding:?}");
        assert!(finding.span.end <= checked.source.text().len(), "{finding:?}");
        let place = checked.source.place(finding.span.start);
        assert_eq!((finding.line, finding.column), (place.line, place.column), "{finding:?}");
    }
    for shown in [render(checked, false), render(checked, true)] {
        assert!(!shown.contains('\u{7}'), "a control character of the file rings");
    }
    for width in [1, 80] {
        render_within(checked, false, Some(width));
    }
    findings_json(&checked.findings);
}

fn what_is_accepted_is_taken_by_the_machine(compiled: &Compiled) {
    let def = &compiled.definition;
    let (saga_type, steps) = (def.saga_type().clone(), def.steps().to_vec());
    let again = Definition::new(saga_type, def.version(), def.deadline(), steps);
    assert_eq!(again.as_ref(), Ok(&**def), "the machine would refuse it");
    assert_eq!(compiled.extras.len(), def.steps().len());
    for step in def.steps() {
        assert!(mermaid(compiled).contains(&*step.name), "{} is not drawn", step.name);
        // In a box of a terminal a long name has no room to its end.
        let begins: String = step.name.chars().take(SHOWN_CHARS_MIN).collect();
        assert!(ascii(compiled).contains(&begins), "{} is not drawn", step.name);
    }
    svg(compiled);
}

/// The canonical form is the file again, short of its bindings: what a server keeps of a version can
/// be given to another one.
fn the_canonical_form_reads_back(compiled: &Compiled) {
    let form: Json = serde_json::from_slice(&compiled.pinned).expect("it is JSON");
    let Json::Object(mut file) = form else { panic!("the canonical form is no object") };
    if let Some(schema) = file.remove("schema") {
        file.insert("data".to_owned(), json!({ "schema": schema }));
    }
    let file = written_as_a_file(Json::Object(file), "").to_string();
    let checked = check(file.as_bytes(), "canonical.json", &surroundings());
    let Some(again) = &checked.compiled else {
        panic!("the canonical form is refused:\n{file}\n{}", render(&checked, false));
    };
    assert_eq!(again.pinned, compiled.pinned, "the canonical form has another one");
    assert_eq!(again.hash, compiled.hash);
}

/// The canonical form counts every span of time in milliseconds; a file writes the unit. What a
/// person's own data says under the same name is left alone.
fn written_as_a_file(value: Json, key: &str) -> Json {
    const SPANS: [&str; 8] =
        ["timeout", "accepted_timeout", "deadline", "initial", "max", "warn", "breach", "after"];
    match value {
        Json::Number(number) if SPANS.contains(&key) => json!(format!("{number}ms")),
        Json::Object(fields) if !matches!(key, "input" | "data" | "on_deadline") => Json::Object(
            fields.into_iter().map(|(k, v)| (k.clone(), written_as_a_file(v, &k))).collect(),
        ),
        Json::Array(items) if key != "input" => {
            items.into_iter().map(|item| written_as_a_file(item, "")).collect()
        }
        other => other,
    }
}
