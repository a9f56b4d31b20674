//! The JSON Schema of the file, made from the types that read it, for editors.

use schemars::JsonSchema as _;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use crate::file::{ChoreographyFile, SagaFile};

/// Where the schema calls itself to be found.
const SCHEMA_ID: &str = "https://amends.dev/amends.schema.json";

/// The schema of definition files, of sagas and of free choreographies (JSON Schema 2020-12), which
/// editors take from `# yaml-language-server: $schema=…`.
pub fn json_schema() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let saga = Json::from(generator.subschema_for::<SagaFile>());
    let free = Json::from(generator.subschema_for::<ChoreographyFile>());
    let mut kinds = Json::from_iter(generator.take_definitions(true));
    tidy(&mut kinds);
    for kind in [SagaFile::schema_name(), ChoreographyFile::schema_name()] {
        let own =
            json!({ "type": "string", "description": "The schema of this file, for editors." });
        if let Some(properties) = kinds[&*kind]["properties"].as_object_mut() {
            properties.insert("$schema".to_owned(), own);
        }
    }
    sorted(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "amends definition",
        "description": "A saga definition, or a free choreography, for amends.",
        "if": { "type": "object", "required": ["choreography"] },
        "then": free,
        "else": saga,
        "$defs": kinds,
    }))
}

/// A key that is left out is not null: the types' `Option` means only the first.
fn tidy(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(tidy),
        Json::Object(fields) => {
            without_null(fields);
            fields.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn without_null(fields: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = fields.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Json::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
        if let [Json::Object(only)] = choices.as_slice() {
            let only = only.clone();
            fields.remove("anyOf");
            for (key, value) in only {
                fields.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Json::Array(choices)) = fields.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    fields.remove("format");
}

/// Keys in alphabetical order, however `serde_json` was built.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        Json::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort_unstable();
            Json::Object(keys.into_iter().map(|k| (k.clone(), sorted(&fields[k]))).collect())
        }
        other => other.clone(),
    }
}
