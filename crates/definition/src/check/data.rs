//! The data schema, and the fields that are to be kept out of sight.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Subject;
use crate::compile::DataSchema;
use crate::file::SagaFile;
use crate::finding::Findings;
use crate::rule::Rule;
use crate::source::{SOURCE_BYTES_MAX, Source};
use crate::surroundings::Surroundings;
use crate::tree::{self, Value, shorten};

/// How many references are followed on one path through a schema.
const REFERENCES_MAX: usize = 16;

/// The schema: written in the file, or read from beside it.
pub(super) fn schema(
    file: &SagaFile,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Json> {
    let field = file.data.as_ref()?.value.schema.as_ref()?;
    match &field.value.json {
        Json::String(path) => read(path, surroundings)
            .map_err(|error| {
                let message = format!("the schema `{}` cannot be read: {error}", shorten(path));
                findings.add(Rule::BadSchema, field.span, message);
            })
            .ok(),
        Json::Object(_) => Some(field.value.json.clone()),
        _ => {
            findings.add(Rule::BadSchema, field.span, "the schema is no mapping and no path");
            None
        }
    }
}

fn read(path: &str, surroundings: &Surroundings<'_>) -> Result<Json, String> {
    let bytes = surroundings.read(path)?;
    if bytes.len() > SOURCE_BYTES_MAX {
        return Err(format!(
            "it has more than {SOURCE_BYTES_MAX} bytes (1 MiB), which is the limit"
        ));
    }
    // The same reader as for definitions: the same limits, and YAML is welcome.
    let source = Source::new(path, &bytes);
    let mut found = Findings::default();
    let json = tree::read(&bytes, &source, &mut found).map(|node| node.json(&mut found));
    match (json, found.finish(&source).first()) {
        (_, Some(finding)) => Err(format!("{} in line {}", finding.message, finding.line)),
        (Some(json), None) if json.is_object() => Ok(json),
        _ => Err("it is no mapping".to_owned()),
    }
}

/// The schema, ready to check data against.
pub(super) fn validator(
    file: &SagaFile,
    schema: Option<&Json>,
    findings: &mut Findings,
) -> Option<DataSchema> {
    let schema = schema?;
    let span = file.data.as_ref()?.value.schema.as_ref()?.span;
    match DataSchema::new(schema.clone()) {
        Ok(schema) => Some(schema),
        Err(error) => {
            let message = format!("the data schema is wrong: {}", shorten(&error));
            findings.add(Rule::BadSchema, span, message);
            None
        }
    }
}

/// What a schema says of a path.
pub(super) enum InSchema<'s> {
    Found(&'s Json),
    /// Nothing can be told: the schema leaves it open.
    Open,
    Missing {
        field: String,
        known: Vec<String>,
        closed: bool,
    },
}

/// Follows properties and local references; anything cleverer is left open.
pub(super) fn look_up<'s>(schema: &'s Json, path: &[String]) -> InSchema<'s> {
    let mut at = schema;
    for field in path {
        let Some(here) = resolve(schema, at) else { return InSchema::Open };
        let clever = ["anyOf", "oneOf", "allOf", "if", "patternProperties", "$dynamicRef"];
        if clever.iter().any(|key| here.get(key).is_some()) {
            return InSchema::Open;
        }
        let Some(properties) = here.get("properties").and_then(Json::as_object) else {
            return InSchema::Open;
        };
        match properties.get(field) {
            Some(next) => at = next,
            None => {
                return InSchema::Missing {
                    field: field.clone(),
                    known: properties.keys().cloned().collect(),
                    closed: here.get("additionalProperties") == Some(&Json::Bool(false)),
                };
            }
        }
    }
    resolve(schema, at).map_or(InSchema::Open, InSchema::Found)
}

fn resolve<'s>(root: &'s Json, at: &'s Json) -> Option<&'s Json> {
    let mut at = at;
    for _ in 0..REFERENCES_MAX {
        match at.get("$ref").and_then(Json::as_str) {
            None => return Some(at),
            Some(reference) => at = root.pointer(reference.strip_prefix('#')?)?,
        }
    }
    None
}

/// `redact` names fields that the step sends: of its input, or of the data.
pub(super) fn check_redaction(subject: &Subject<'_>, findings: &mut Findings) {
    for laid in subject.laid {
        let Some(redact) = &laid.file.redact else { continue };
        let fields: Option<BTreeSet<&str>> = match &laid.file.input {
            Some(input) => match &input.value.node.value {
                Value::Map(entries) => Some(entries.iter().map(|e| e.key.as_str()).collect()),
                _ => None,
            },
            None => match subject.schema.map(|schema| look_up(schema, &[])) {
                Some(InSchema::Found(root)) => root
                    .get("properties")
                    .and_then(Json::as_object)
                    .map(|properties| properties.keys().map(String::as_str).collect()),
                _ => None,
            },
        };
        let Some(fields) = fields else { continue };
        for name in &redact.value {
            // A path hides what is below its first field.
            let first = name.value.split('.').next().unwrap_or_default();
            if !fields.contains(first) {
                let shown = shorten(&name.value);
                let message = format!("`{}` sends no field `{shown}`", shorten(laid.name()));
                let near = crate::finding::did_you_mean(first, fields.iter().copied());
                match near {
                    Some(near) => {
                        let fix = format!("did you mean `{near}`?");
                        findings.add_with_fix(Rule::RedactUnknown, name.span, message, fix);
                    }
                    None => findings.add(Rule::RedactUnknown, name.span, message),
                }
            }
        }
    }
}
