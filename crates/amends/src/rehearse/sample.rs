//! The data of the sagas: one sample, and for each drill a variation of it, because participants
//! remember what they were asked before.

use amends_definition::Compiled;
use serde_json::{Map, Value, json};

/// How deep a schema is followed for a sample.
const SCHEMA_DEPTH_MAX: usize = 8;

/// Data to start sagas with.
#[derive(Clone, Debug)]
pub struct Sample {
    data: Value,
    vary: Vec<String>,
    refused: Vec<(String, Value)>,
    /// Tells this rehearsal from those before it.
    mark: u64,
}

/// Why there is no sample.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoSample {
    /// None was given, and the definition's schema does not tell.
    #[error("there is no data to start sagas with: give it with --data{0}")]
    Unknown(String),
    /// The definition does not take it.
    #[error("the data does not fit the definition's schema: {0}")]
    Misfit(String),
    /// It is no object.
    #[error("the data must be a JSON object")]
    NoObject,
    /// A field to vary is not there.
    #[error("the data has no field {0} to vary, or it is neither a text nor a whole number")]
    NoField(String),
    /// The field that the business key is.
    #[error(
        "the data has no field {0}, which the definition's business_key is, or it is neither a text \
         nor a whole number"
    )]
    NoKey(String),
}

impl Sample {
    /// The data given, or made from the definition's schema. `vary` are the fields that every saga
    /// has another value of; where none is said it is the one that the business key is made of.
    pub fn new(
        compiled: &Compiled,
        given: Option<Value>,
        vary: Vec<String>,
        refused: Vec<(String, Value)>,
        mark: u64,
    ) -> Result<Self, NoSample> {
        let data = match given {
            Some(data) => data,
            None => made(compiled)?,
        };
        if !data.is_object() {
            return Err(NoSample::NoObject);
        }
        let is_key = vary.is_empty();
        let vary = if is_key { key_field(compiled) } else { vary };
        let sample = Self { data, vary, refused, mark };
        let first = sample.fresh(0, None).map_err(|error| match error {
            NoSample::NoField(field) if is_key => NoSample::NoKey(field),
            error => error,
        })?;
        match compiled.data_schema.as_ref().map(|schema| schema.violations(&first)) {
            Some(wrong) if !wrong.is_empty() => Err(NoSample::Misfit(wrong.join("; "))),
            _ => Ok(sample),
        }
    }

    /// Is there data that the participant of this step refuses?
    pub fn has_refused(&self, step: &str) -> bool {
        self.refused.iter().any(|(name, _)| name == step)
    }

    /// The data of the `n`th saga; the one that a step's participant refuses where a step is named.
    pub fn fresh(&self, n: u64, refused_at: Option<&str>) -> Result<Value, NoSample> {
        let mut data = self.data.clone();
        let refused = self.refused.iter().filter(|(step, _)| Some(step.as_str()) == refused_at);
        refused.for_each(|(_, patch)| merge(&mut data, patch));
        for field in &self.vary {
            let place = format!("/{}", field.replace('.', "/"));
            let value = data.pointer_mut(&place).ok_or_else(|| NoSample::NoField(field.clone()))?;
            *value = match &*value {
                Value::String(text) => json!(format!("{text}-{}-{n}", base36(self.mark))),
                Value::Number(number) if number.is_u64() => json!(self.mark * 1_000 + n),
                _ => return Err(NoSample::NoField(field.clone())),
            };
        }
        Ok(data)
    }
}

/// The field of the data that the business key is, where it is one.
fn key_field(compiled: &Compiled) -> Vec<String> {
    let pinned: Value = serde_json::from_slice(&compiled.pinned).unwrap_or_default();
    let expression = pinned["business_key"].as_str().unwrap_or_default();
    let inside = expression.strip_prefix("${").and_then(|e| e.strip_suffix('}'));
    let field = inside.and_then(|e| e.trim().strip_prefix("data."));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    field.filter(|field| field.chars().all(plain)).map(str::to_owned).into_iter().collect()
}

/// The sample that the definition's schema tells of.
fn made(compiled: &Compiled) -> Result<Value, NoSample> {
    let Some(schema) = &compiled.data_schema else {
        return Err(NoSample::Unknown(
            "; the definition has no data schema to make it from".into(),
        ));
    };
    of_schema(schema.schema(), SCHEMA_DEPTH_MAX).map_err(|at| {
        let at = if at.is_empty() { "it".to_owned() } else { at };
        NoSample::Unknown(format!(", or give {at} an example or a default in the schema"))
    })
}

/// The error is the place in the schema that tells of no value.
fn of_schema(schema: &Value, depth: usize) -> Result<Value, String> {
    let said = [&schema["examples"][0], &schema["default"], &schema["const"], &schema["enum"][0]];
    if let Some(value) = said.into_iter().find(|value| !value.is_null()) {
        return Ok(value.clone());
    }
    let Some(properties) = schema["properties"].as_object().filter(|_| depth > 0) else {
        return Err(String::new());
    };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut made = Map::new();
    for (name, schema) in properties {
        match of_schema(schema, depth - 1) {
            Ok(value) => drop(made.insert(name.clone(), value)),
            Err(_) if !required.contains(&name.as_str()) => {}
            Err(at) if at.is_empty() => return Err(name.clone()),
            Err(at) => return Err(format!("{name}.{at}")),
        }
    }
    Ok(Value::Object(made))
}

/// Puts the fields of `patch` into the data, those of objects one by one.
fn merge(data: &mut Value, patch: &Value) {
    match (data, patch) {
        (Value::Object(data), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(data.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (data, patch) => *data = patch.clone(),
    }
}

fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    loop {
        text.push(DIGITS[(number % 36) as usize] as char);
        number /= 36;
        if number == 0 {
            return text.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use amends_definition::{Surroundings, check};

    use super::*;

    fn compiled(head: &str) -> Compiled {
        let text = format!(
            "saga: S\n{head}\nsteps:\n  - {{ name: a, action: X.A, compensation: X.B }}\n\
             services: {{ X: {{ http: {{ url: \"http://127.0.0.1:1\" }} }} }}\n"
        );
        let checked = check(text.as_bytes(), "s.yaml", &Surroundings::none());
        checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings))
    }

    #[test]
    fn every_saga_has_other_keys_and_the_same_rest() {
        let compiled = compiled("business_key: \"${ data.order.id }\"");
        let data = json!({"order": {"id": "o"}, "total": 7});
        let sample = Sample::new(&compiled, Some(data), vec![], vec![], 36).expect("a sample");
        let fresh = sample.fresh(3, None).expect("data");
        assert_eq!(fresh, json!({"order": {"id": "o-10-3"}, "total": 7}));
    }

    #[test]
    fn a_number_is_varied_too_and_other_fields_are_not_found() {
        let compiled = compiled("");
        let sample = |vary: &str| {
            let data = Some(json!({"n": 1, "list": []}));
            Sample::new(&compiled, data, vec![vary.to_owned()], vec![], 5)
        };
        let fresh = sample("n").expect("a sample").fresh(2, None).expect("data");
        assert_eq!(fresh["n"], 5002);
        for field in ["m", "list", "n.x"] {
            assert_eq!(sample(field).err(), Some(NoSample::NoField(field.to_owned())));
        }
    }

    #[test]
    fn a_key_that_the_data_does_not_have_is_called_that() {
        let compiled = compiled("business_key: \"${ data.order.id }\"");
        let sample = Sample::new(&compiled, Some(json!({"total": 7})), vec![], vec![], 1);
        assert_eq!(sample.err(), Some(NoSample::NoKey("order.id".to_owned())));
    }

    #[test]
    fn a_step_that_is_to_refuse_has_its_fields_put_in() {
        let refused = vec![("a".to_owned(), json!({"card": {"kind": "bad"}}))];
        let data = Some(json!({"card": {"kind": "good", "no": 1}}));
        let sample = Sample::new(&compiled(""), data, vec![], refused, 1).expect("a sample");
        let kind = |at| sample.fresh(0, at).expect("data")["card"].clone();
        assert_eq!(kind(Some("a")), json!({"kind": "bad", "no": 1}));
        assert_eq!(kind(Some("b")), json!({"kind": "good", "no": 1}));
        assert_eq!(kind(None), json!({"kind": "good", "no": 1}));
    }

    #[test]
    fn a_schema_tells_a_sample_or_which_field_it_does_not_tell() {
        let schema = json!({
            "required": ["id", "more"],
            "properties": {
                "id": {"type": "string", "examples": ["order-1"]},
                "total": {"type": "integer", "default": 5},
                "note": {"type": "string"},
                "more": {"required": ["kind"], "properties": {"kind": {"enum": ["x", "y"]}}},
            },
        });
        let made = of_schema(&schema, SCHEMA_DEPTH_MAX);
        assert_eq!(made, Ok(json!({"id": "order-1", "total": 5, "more": {"kind": "x"}})));
        let mut silent = schema;
        silent["properties"]["more"]["properties"]["kind"] = json!({"type": "string"});
        assert_eq!(of_schema(&silent, SCHEMA_DEPTH_MAX), Err("more.kind".to_owned()));
    }

    #[test]
    fn without_data_it_is_said_what_is_missing() {
        let error = Sample::new(&compiled(""), None, vec![], vec![], 1).expect_err("no data");
        assert!(error.to_string().contains("--data; the definition has no data schema"), "{error}");
    }
}
