//! What a version pins: the canonical form, and its hash.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::file::{Canonical, Field, SagaFile};

/// The pinned form (`semantics.md` section 5): name, steps, defaults, data schema and key, with
/// the pattern and the saga's deadline, which decide as much about a run. As said in the file, before
/// environment values; services, alerts, owners and secrets are bindings and not in it.
pub(crate) fn pin(file: &SagaFile, schema: Option<&Json>) -> Vec<u8> {
    let mut form = Map::new();
    put(&mut form, "saga", &file.saga);
    put(&mut form, "pattern", &file.pattern);
    put(&mut form, "business_key", &file.business_key);
    put(&mut form, "deadline", &file.deadline);
    put(&mut form, "defaults", &file.defaults);
    put(&mut form, "steps", &file.steps);
    if let Some(schema) = schema {
        form.insert("schema".to_owned(), schema.clone());
    }
    // Said or not, these are the same definition.
    if form.get("pattern").is_some_and(|p| p == "orchestration") {
        form.remove("pattern");
    }
    if form.get("defaults").is_some_and(|d| d == &Json::Object(Map::new())) {
        form.remove("defaults");
    }
    canonical_text(&Json::Object(form)).into_bytes()
}

/// SHA-256 of the pinned form.
pub(crate) fn hash(pinned: &[u8]) -> [u8; 32] {
    Sha256::digest(pinned).into()
}

fn put<T: Canonical>(form: &mut Map<String, Json>, key: &str, field: &Option<Field<T>>) {
    if let Some(field) = field {
        form.insert(key.to_owned(), field.value.canonical());
    }
}

/// JSON text with sorted keys and no blanks. Sorted here, because whether `serde_json` keeps keys
/// sorted is decided by whoever else uses it in the same build.
fn canonical_text(value: &Json) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Json, to: &mut String) {
    match value {
        Json::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    to.push(',');
                }
                write(item, to);
            }
            to.push(']');
        }
        Json::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort_unstable();
            to.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    to.push(',');
                }
                let _ = write!(to, "{}:", Json::from(key.as_str()));
                write(&fields[key.as_str()], to);
            }
            to.push('}');
        }
        scalar => {
            let _ = write!(to, "{scalar}");
        }
    }
}
