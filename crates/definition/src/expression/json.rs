//! JSON to CEL and back: an integer stays an integer both ways.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map as CelMap};
use serde_json::{Map, Number, Value as Json};

use super::LIST_ITEMS_MAX;

/// `i64` where it fits, `u64` above it, a float only where there is a fraction or an exponent.
pub(super) fn to_cel(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(u)) => Value::UInt(u),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(fields) => {
            let entries = fields.iter().map(|(k, v)| (Key::String(Arc::new(k.clone())), to_cel(v)));
            Value::Map(CelMap { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
        }
    }
}

/// The error says what JSON does not have.
pub(super) fn from_cel(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::UInt(u) => Json::from(*u),
        Value::Float(f) => Number::from_f64(*f)
            .map(Json::Number)
            .ok_or_else(|| "the result is infinite or no number".to_owned())?,
        Value::String(text) => Json::String(text.to_string()),
        Value::List(items) if items.len() > LIST_ITEMS_MAX => {
            return Err(format!("the result has a list of more than {LIST_ITEMS_MAX} items"));
        }
        Value::List(items) => Json::Array(items.iter().map(from_cel).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut object = Map::new();
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else {
                    return Err("the result has a key that is no text".to_owned());
                };
                object.insert(key.to_string(), from_cel(value)?);
            }
            Json::Object(object)
        }
        other => {
            return Err(format!(
                "the result is of the type {}, which JSON does not have",
                other.type_of()
            ));
        }
    })
}
