//! What callers below operator do not see: the fields that steps `redact`, wherever the API would
//! show them (`semantics.md` S24).
//!
//! A redacted field is one of a step's command. The same value stands in the saga's data or in an
//! earlier result, from where the command's `input` takes it, and may come back in the step's own
//! result: so these places are hidden too. References are found in the text of the expressions;
//! where that leaves a doubt, more is hidden rather than less.

use std::collections::BTreeSet;

use amends_core::definition::{Definition, Work};
use amends_core::{Payload, StepIx};
use amends_definition::StepExtras;
use amends_wire::json;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json_text;

/// What stands in the place of a hidden value.
pub const REDACTED: &str = "[redacted]";

/// A path of keys from the top of a JSON text; an empty one is all of it. Lists on the way are
/// passed through.
type Path = Vec<String>;
type Paths = BTreeSet<Path>;

/// Which fields of a saga are hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    data: Paths,
    inputs: Vec<Paths>,
    results: Vec<Paths>,
}

impl Redaction {
    /// Hides nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Hides what the steps of a definition redact. `pinned` is its canonical form, in which the
    /// expressions stand as written.
    pub fn of(definition: &Definition, extras: &[StepExtras], pinned: &[u8]) -> Self {
        if extras.iter().all(|step| step.redact.is_empty()) {
            return Self::none();
        }
        let steps = definition.steps().len();
        let mut redaction = Self {
            data: Paths::new(),
            inputs: vec![Paths::new(); steps],
            results: vec![Paths::new(); steps],
        };
        let form: Value = serde_json::from_slice(pinned).unwrap_or_default();
        for (step, extras) in definition.indices().zip(extras) {
            let written = step_form(&form, &definition.step(step).name);
            for field in &extras.redact {
                let path: Path = field.split('.').map(str::to_owned).collect();
                redaction.hide_sources(definition, written, &path);
                redaction.inputs[step.get()].insert(path.clone());
                redaction.results[step.get()].insert(path.clone());
                redaction.data.insert(path);
            }
        }
        redaction
    }

    /// Is anything hidden at all?
    pub fn hides(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// The saga's data.
    pub fn data(&self, data: &Payload) -> Box<RawValue> {
        show(data, Some(&self.data))
    }

    /// What a step's command carries.
    pub fn input(&self, step: StepIx, input: &Payload) -> Box<RawValue> {
        show(input, self.inputs.get(step.get()))
    }

    /// A step's result.
    pub fn result(&self, step: StepIx, result: &Payload) -> Box<RawValue> {
        show(result, self.results.get(step.get()))
    }

    /// A body that an operator gave a command: it may hold what the input and the result hold.
    pub fn body(&self, step: StepIx, body: &Payload) -> Box<RawValue> {
        let paths = [self.inputs.get(step.get()), self.results.get(step.get())];
        let paths: Paths = paths.into_iter().flatten().flatten().cloned().collect();
        show(body, Some(&paths))
    }

    /// A signal's body, which becomes the result of the step that waits for it.
    pub fn signal(&self, definition: &Definition, name: &str, body: &Payload) -> Box<RawValue> {
        let waits = |step: &StepIx| matches!(&definition.step(*step).work, Work::Signal { signal, .. } if **signal == *name);
        let step = definition.indices().find(waits);
        show(body, step.and_then(|step| self.results.get(step.get())))
    }

    /// Hides where the field's value comes from.
    fn hide_sources(&mut self, definition: &Definition, step: Option<&Value>, field: &[String]) {
        let Some(step) = step else { return };
        let Some(input) = step.get("input") else { return };
        let (written, rest) = descend(input, field);
        for source in references(written) {
            self.hide_source(definition, step, source, rest);
        }
    }

    fn hide_source(
        &mut self,
        definition: &Definition,
        step: &Value,
        source: Reference,
        rest: &[String],
    ) {
        let Reference { root, mut path } = source;
        match root {
            Root::Item => {
                for list in step.get("for_each").into_iter().flat_map(references) {
                    if list.root != Root::Item {
                        let mut rest_of_item = path.clone();
                        rest_of_item.extend_from_slice(rest);
                        self.hide_source(definition, step, list, &rest_of_item);
                    }
                }
            }
            Root::Data => {
                path.extend_from_slice(rest);
                self.data.insert(path);
            }
            Root::Result => {
                path.extend_from_slice(rest);
                if path.is_empty() {
                    for paths in &mut self.results {
                        paths.insert(Path::new());
                    }
                    return;
                }
                let name = path.remove(0);
                if let Some(step) = definition.find(&name) {
                    self.results[step.get()].insert(path);
                }
            }
        }
    }
}

/// The step as the pinned form writes it.
fn step_form<'f>(form: &'f Value, name: &str) -> Option<&'f Value> {
    let items = form.get("steps")?.as_array()?;
    let within = |item: &'f Value| match item.get("parallel").and_then(Value::as_array) {
        Some(group) => group.iter().collect(),
        None => vec![item],
    };
    items.iter().flat_map(within).find(|step| step.get("name").is_some_and(|n| n == name))
}

/// Follows the field into the written input; stops at an expression, with what is left of the way.
fn descend<'v, 'p>(mut value: &'v Value, mut field: &'p [String]) -> (&'v Value, &'p [String]) {
    while let (Some((key, rest)), Some(within)) = (
        field.split_first(),
        field.first().and_then(|key| value.as_object().and_then(|object| object.get(key))),
    ) {
        debug_assert!(!key.is_empty());
        (value, field) = (within, rest);
    }
    (value, field)
}

/// A place that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    root: Root,
    path: Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Data,
    Result,
    Item,
}

/// Every place that the expressions within a written value read.
fn references(value: &Value) -> Vec<Reference> {
    match value {
        Value::String(text) => references_in(text),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => fields.values().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn references_in(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let (word, after) = split_word(rest);
        if word.is_empty() {
            before = Some(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let root = match word {
            "data" => Some(Root::Data),
            "result" => Some(Root::Result),
            "item" => Some(Root::Item),
            _ => None,
        };
        rest = after;
        if let (Some(root), true) = (root, before != Some('.')) {
            let (path, after) = split_path(after);
            found.push(Reference { root, path });
            rest = after;
        }
        before = None;
    }
    found
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

/// The fields after a root: `.name` and `["name"]`. A call and a computed index end the path, so
/// that all of what they are applied to is hidden.
fn split_path(mut text: &str) -> (Path, &str) {
    let mut path = Path::new();
    loop {
        let start = text.trim_start();
        if let Some(field) = start.strip_prefix('.') {
            let (name, after) = split_word(field.trim_start());
            if name.is_empty() || after.trim_start().starts_with('(') {
                return (path, after);
            }
            path.push(name.to_owned());
            text = after;
        } else if let Some((name, after)) = quoted_index(start) {
            path.push(name.to_owned());
            text = after;
        } else {
            return (path, text);
        }
    }
}

fn quoted_index(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?.trim_start();
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inner[1..].split_once(quote)?;
    Some((name, after.trim_start().strip_prefix(']')?))
}

fn show(payload: &Payload, hidden: Option<&Paths>) -> Box<RawValue> {
    match hidden.filter(|paths| !paths.is_empty()) {
        None => json_text::verbatim(payload),
        Some(paths) => {
            let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
            json_text::from_bytes(&hide(payload.bytes(), &paths))
        }
    }
}

/// The text with the values at these paths taken out, everything else as it is written.
fn hide(text: &[u8], paths: &[&[String]]) -> Vec<u8> {
    let redacted = || format!("\"{REDACTED}\"").into_bytes();
    if paths.is_empty() {
        return text.to_vec();
    }
    if paths.iter().any(|path| path.is_empty()) {
        return redacted();
    }
    match json::members(text) {
        Ok(Some(members)) => {
            let parts = members.iter().map(|member| {
                let name = member.name();
                let within: Vec<&[String]> = paths
                    .iter()
                    .filter_map(|path| path.split_first())
                    // A key that cannot be read may be any.
                    .filter(|(key, _)| name.as_ref().is_none_or(|name| name == *key))
                    .map(|(_, rest)| rest)
                    .collect();
                [member.key, b":", &hide(member.value, &within)].concat()
            });
            enclose(b'{', parts, b'}')
        }
        Ok(None) => match serde_json::from_slice::<Vec<&RawValue>>(text) {
            Ok(items) => {
                let items = items.iter().map(|item| hide(item.get().as_bytes(), paths));
                enclose(b'[', items, b']')
            }
            Err(_) => text.to_vec(), // a scalar has no fields
        },
        Err(_) => redacted(),
    }
}

fn enclose(open: u8, parts: impl Iterator<Item = Vec<u8>>, close: u8) -> Vec<u8> {
    let mut text = vec![open];
    for part in parts {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&part);
    }
    text.push(close);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(steps: &str) -> (Redaction, std::sync::Arc<Definition>) {
        let file = format!(
            "saga: Order\nsteps:\n{steps}\nservices:\n  A: {{ http: {{ url: \"http://127.0.0.1:1\" }} }}\n"
        );
        let checked = amends_definition::check(
            file.as_bytes(),
            "order.yaml",
            &amends_definition::Surroundings::none(),
        );
        let compiled = checked.compiled.unwrap_or_else(|| panic!("{:#?}", checked.findings));
        let redaction = Redaction::of(&compiled.definition, &compiled.extras, &compiled.pinned);
        (redaction, compiled.definition)
    }

    const PAY: &str = r#"
  - name: quote
    action: A.Quote
    compensation: none
  - name: pay
    action: A.Pay
    compensation: A.Refund
    input: { amount: "${ data.total }", card: { token: "${ data.card['no'] }", pin: "${ result.quote.pin }" } }
    redact: [card.token, card.pin]
"#;

    #[test]
    fn a_redacted_field_is_hidden_where_it_comes_from_and_where_it_goes() {
        let (redaction, definition) = redaction(PAY);
        let (quote, pay) = (definition.find("quote").unwrap(), definition.find("pay").unwrap());
        let data = redaction.data(&r#"{"total":1.50,"card":{"no":"4242","name":"Ada"}}"#.into());
        assert_eq!(data.get(), r#"{"total":1.50,"card":{"no":"[redacted]","name":"Ada"}}"#);
        let result = redaction.result(quote, &r#"{"pin":1,"price":2}"#.into());
        assert_eq!(result.get(), r#"{"pin":"[redacted]","price":2}"#);
        let input = r#"{"amount":1,"card":{"token":"4242","pin":1}}"#;
        let hidden = r#"{"amount":1,"card":{"token":"[redacted]","pin":"[redacted]"}}"#;
        assert_eq!(redaction.input(pay, &input.into()).get(), hidden);
        assert_eq!(redaction.body(pay, &input.into()).get(), hidden);
    }

    #[test]
    fn without_input_the_field_is_one_of_the_data() {
        let step = "  - { name: pay, action: A.Pay, compensation: A.Refund, redact: [token] }";
        let (redaction, _) = redaction(step);
        let shown = |data: &str| redaction.data(&data.into()).get().to_owned();
        assert_eq!(shown(r#"{"token":{"a":1},"b":2}"#), r#"{"token":"[redacted]","b":2}"#);
        assert_eq!(shown(r#"{"\u0074oken":1}"#), r#"{"\u0074oken":"[redacted]"}"#);
        assert_eq!(
            shown(r#"{"token":1,"token":2}"#),
            r#"{"token":"[redacted]","token":"[redacted]"}"#
        );
        assert_eq!(shown(r#"[{"token":1}]"#), r#"[{"token":"[redacted]"}]"#);
        assert_eq!(shown("7"), "7");
    }

    #[test]
    fn an_item_of_a_list_is_hidden_in_every_item() {
        let step = r#"
  - name: pay
    action: A.Pay
    compensation: A.Refund
    for_each: "${ data.cards }"
    input: { token: "${ item.no }" }
    redact: [token]"#;
        let (redaction, _) = redaction(step);
        let data = redaction.data(&r#"{"cards":[{"no":1,"of":"Ada"},{"no":2}]}"#.into());
        let hidden = r#"{"cards":[{"no":"[redacted]","of":"Ada"},{"no":"[redacted]"}]}"#;
        assert_eq!(data.get(), hidden);
    }

    #[test]
    fn a_definition_that_redacts_nothing_hides_nothing() {
        let (redaction, _) = redaction("  - { name: pay, action: A.Pay, compensation: A.Refund }");
        assert!(!redaction.hides());
        assert_eq!(redaction.data(&r#"{ "token" : 1 }"#.into()).get(), r#"{ "token" : 1 }"#);
    }

    #[test]
    fn references_are_found_in_any_expression() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = references_in(text)
                .into_iter()
                .map(|r| format!("{:?}/{}", r.root, r.path.join("/")))
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("${ data.a.b + result.x[\"y\"].z }", &["Data/a/b", "Result/x/y/z"]);
        check("${ data.a.trim() }", &["Data/a"]);
        check("${ data.list[0].a }", &["Data/list"]);
        check("${ metadata.a + x.data.b }", &[]);
        check("${ item }-${data}", &["Item/", "Data/"]);
        check("${ data . a }", &["Data/a"]);
        check("ünï data", &["Data/"]);
    }
}
