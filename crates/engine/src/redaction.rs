//! Where what steps `redact` stands in a saga (`semantics.md` S24): the places that nobody below
//! operator sees.
//!
//! A redacted field is one of a step's command. The same value stands in the saga's data or in an
//! earlier result, from where the command's `input` takes it, and may come back in the step's own
//! result: so these places are hidden too. References are found in the text of the expressions;
//! where that leaves a doubt, more is hidden rather than less.

use std::borrow::Cow;
use std::collections::BTreeSet;

use amends_core::StepIx;
use amends_core::definition::{Definition, Work};
use amends_core::saga::Saga;
use amends_definition::StepExtras;
use amends_wire::json;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::hidden::{Hidden, REDACTED, enclose};

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
    business_key: bool,
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
            business_key: false,
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
        let key = form.get("business_key").into_iter().flat_map(references);
        redaction.business_key =
            key.filter(|read| read.root == Root::Data).any(|read| redaction.reads(&read.path));
        redaction
    }

    /// Does the path lead to something hidden in the data, or to something that holds it?
    fn reads(&self, path: &[String]) -> bool {
        self.data.iter().any(|hidden| hidden.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Is anything hidden at all?
    pub fn hides(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// A definition's pinned form without what stands in a hidden field itself: a value where an
    /// expression is meant.
    pub fn pinned<'t>(&self, definition: &Definition, pinned: &'t [u8]) -> Cow<'t, [u8]> {
        let (mut form, mut hidden) = (serde_json::from_slice(pinned).unwrap_or_default(), false);
        for (step, paths) in definition.indices().zip(&self.inputs) {
            let written = step_form_mut(&mut form, &definition.step(step).name);
            if let Some(input) = written.and_then(|step| step.get_mut("input")) {
                for path in paths {
                    hidden |= hide_written(input, path);
                }
            }
        }
        if hidden { Cow::Owned(form.to_string().into()) } else { Cow::Borrowed(pinned) }
    }

    /// Is the business key made of something hidden?
    pub fn hides_business_key(&self) -> bool {
        self.business_key
    }

    /// The saga's data.
    pub fn data<'t>(&self, data: &'t [u8]) -> Cow<'t, [u8]> {
        show(data, &self.data)
    }

    /// What a step's command carries.
    pub fn input<'t>(&self, step: StepIx, input: &'t [u8]) -> Cow<'t, [u8]> {
        show(input, of(&self.inputs, step))
    }

    /// A step's result.
    pub fn result<'t>(&self, step: StepIx, result: &'t [u8]) -> Cow<'t, [u8]> {
        show(result, of(&self.results, step))
    }

    /// A body that an operator gave a command: it may hold what the input and the result hold.
    pub fn body<'t>(&self, step: StepIx, body: &'t [u8]) -> Cow<'t, [u8]> {
        show(body, &self.of_body(step))
    }

    /// A signal's body, which becomes the result of the step that waits for it.
    pub fn signal<'t>(&self, definition: &Definition, name: &str, body: &'t [u8]) -> Cow<'t, [u8]> {
        show(body, self.of_signal(definition, name))
    }

    /// The values that stand in the hidden places of a saga.
    pub fn values(&self, definition: &Definition, saga: &Saga) -> Hidden {
        let mut found = Vec::new();
        if !self.hides() {
            return Hidden::new(found);
        }
        gather(saga.data.bytes(), &self.data, &mut found);
        for (at, run) in saga.runs() {
            let (inputs, results) = (of(&self.inputs, at.step), of(&self.results, at.step));
            if let Some(input) = &run.input {
                gather(input.bytes(), inputs, &mut found);
            }
            let original = run.undo.as_ref().and_then(|undo| undo.original_result.as_ref());
            for result in run.result.iter().chain(original) {
                gather(result.bytes(), results, &mut found);
            }
            let undo = run.undo.as_ref().and_then(|undo| undo.sendings.as_ref());
            for body in run.action.iter().chain(undo).filter_map(|sent| sent.body.as_ref()) {
                gather(body.bytes(), &self.of_body(at.step), &mut found);
            }
        }
        for signal in &saga.signals {
            let paths = self.of_signal(definition, &signal.name);
            gather(signal.body.bytes(), paths, &mut found);
        }
        Hidden::new(found)
    }

    fn of_body(&self, step: StepIx) -> Paths {
        of(&self.inputs, step).union(of(&self.results, step)).cloned().collect()
    }

    fn of_signal(&self, definition: &Definition, name: &str) -> &Paths {
        let waits = |step: &StepIx| matches!(&definition.step(*step).work, Work::Signal { signal, .. } if **signal == *name);
        definition.indices().find(waits).map_or(&NO_PATHS, |step| of(&self.results, step))
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

/// The same, to be changed.
fn step_form_mut<'f>(form: &'f mut Value, name: &str) -> Option<&'f mut Value> {
    let items = form.get_mut("steps")?.as_array_mut()?;
    items.iter_mut().find_map(|item| {
        let named = |step: &Value| step.get("name").is_some_and(|n| n == name);
        if named(item) {
            return Some(item);
        }
        item.get_mut("parallel")?.as_array_mut()?.iter_mut().find(|step| named(step))
    })
}

/// Hides a written value that is no expression; was there one?
fn hide_written(value: &mut Value, path: &[String]) -> bool {
    match (value, path.split_first()) {
        (Value::Object(fields), Some((key, rest))) => {
            fields.get_mut(key).is_some_and(|value| hide_written(value, rest))
        }
        (Value::Array(items), _) => hide_all_written(items.iter_mut(), path),
        (Value::Object(fields), None) => hide_all_written(fields.values_mut(), path),
        (Value::String(text), _) if text.starts_with("${") && text.ends_with('}') => false,
        (written @ (Value::String(_) | Value::Number(_)), None) => {
            *written = REDACTED.into();
            true
        }
        _ => false,
    }
}

fn hide_all_written<'v>(values: impl Iterator<Item = &'v mut Value>, path: &[String]) -> bool {
    let mut hidden = false;
    for value in values {
        hidden |= hide_written(value, path);
    }
    hidden
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

static NO_PATHS: Paths = Paths::new();

fn of(paths: &[Paths], step: StepIx) -> &Paths {
    paths.get(step.get()).unwrap_or(&NO_PATHS)
}

fn show<'t>(text: &'t [u8], hidden: &Paths) -> Cow<'t, [u8]> {
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let paths: Vec<&[String]> = hidden.iter().map(Vec::as_slice).collect();
    Cow::Owned(hide(text, &paths))
}

/// The values at these paths: every text and number in them.
fn gather(text: &[u8], paths: &Paths, found: &mut Vec<String>) {
    let Ok(value) = serde_json::from_slice(text) else { return };
    for path in paths {
        gather_at(&value, path, found);
    }
}

fn gather_at(value: &Value, path: &[String], found: &mut Vec<String>) {
    match (value, path.split_first()) {
        (Value::String(text), None) => found.push(text.clone()),
        (Value::Number(number), None) => found.push(number.to_string()),
        (Value::Object(fields), None) => {
            fields.values().for_each(|value| gather_at(value, path, found));
        }
        (Value::Object(fields), Some((key, rest))) => {
            fields.get(key).into_iter().for_each(|value| gather_at(value, rest, found));
        }
        // Lists on the way are passed through.
        (Value::Array(items), _) => items.iter().for_each(|item| gather_at(item, path, found)),
        (Value::Null | Value::Bool(_), _) | (Value::String(_) | Value::Number(_), Some(_)) => {}
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

    fn text(shown: Cow<'_, [u8]>) -> String {
        String::from_utf8(shown.into_owned()).unwrap()
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
        let data = text(redaction.data(br#"{"total":1.50,"card":{"no":"4242","name":"Ada"}}"#));
        assert_eq!(data, r#"{"total":1.50,"card":{"no":"[redacted]","name":"Ada"}}"#);
        let result = text(redaction.result(quote, br#"{"pin":1,"price":2}"#));
        assert_eq!(result, r#"{"pin":"[redacted]","price":2}"#);
        let input = r#"{"amount":1,"card":{"token":"4242","pin":1}}"#;
        let hidden = r#"{"amount":1,"card":{"token":"[redacted]","pin":"[redacted]"}}"#;
        assert_eq!(text(redaction.input(pay, input.as_bytes())), hidden);
        assert_eq!(text(redaction.body(pay, input.as_bytes())), hidden);
    }

    #[test]
    fn without_input_the_field_is_one_of_the_data() {
        let step = "  - { name: pay, action: A.Pay, compensation: A.Refund, redact: [token] }";
        let (redaction, _) = redaction(step);
        let shown = |data: &str| text(redaction.data(data.as_bytes()));
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
        let data = text(redaction.data(br#"{"cards":[{"no":1,"of":"Ada"},{"no":2}]}"#));
        let hidden = r#"{"cards":[{"no":"[redacted]","of":"Ada"},{"no":"[redacted]"}]}"#;
        assert_eq!(data, hidden);
    }

    #[test]
    fn a_definition_that_redacts_nothing_hides_nothing() {
        let (redaction, _) = redaction("  - { name: pay, action: A.Pay, compensation: A.Refund }");
        assert!(!redaction.hides());
        assert_eq!(text(redaction.data(br#"{ "token" : 1 }"#)), r#"{ "token" : 1 }"#);
    }

    #[test]
    fn a_business_key_that_is_made_of_a_hidden_field_is_hidden() {
        let of_key = |key: &str| {
            let step = format!(
                "  - {{ name: pay, action: A.Pay, compensation: A.Refund, redact: [card.no] }}\n\
                 business_key: \"{key}\""
            );
            redaction(&step).0.hides_business_key()
        };
        assert!(of_key("${ data.card.no }"));
        assert!(of_key("x-${ data.card.no }"));
        assert!(!of_key("${ data.card.name }"));
        assert!(!of_key("${ data.order_id }"));
    }

    #[test]
    fn a_value_that_is_written_in_a_hidden_field_is_hidden_in_the_definition() {
        let (redaction, definition) = redaction(PAY);
        let form = br#"{"steps":[{"parallel":[{"input":{"amount":1,"card":{"pin":"${ data.pin }","token":"tok-1"}},"name":"pay"}]}]}"#;
        let shown = text(redaction.pinned(&definition, form));
        assert!(
            shown.contains(r#""card":{"pin":"${ data.pin }","token":"[redacted]"}"#),
            "{shown}"
        );
        assert!(shown.contains(r#""amount":1"#), "{shown}");
        let expressions = br#"{"steps": [{"name": "pay", "input": {"card": "${ data.card }"}}]}"#;
        assert!(matches!(redaction.pinned(&definition, expressions), Cow::Borrowed(_)));
    }

    #[test]
    fn the_values_in_hidden_places_are_gathered() {
        let mut found = Vec::new();
        let paths: Paths =
            [vec!["card".to_owned(), "no".to_owned()], vec!["pin".to_owned()]].into();
        let text = br#"{"card":[{"no":"4242"},{"no":{"a":["x",7,true,null]}}],"pin":1.50,"b":"c"}"#;
        gather(text, &paths, &mut found);
        assert_eq!(found, ["4242", "x", "7", "1.5"]);
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
