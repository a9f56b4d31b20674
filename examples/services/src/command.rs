//! A command as it arrives: the parts of its body that the guard and the business read.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::clock::monotonic_ns;

/// Which of a step's two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Action,
    Compensation,
}

impl Direction {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
        }
    }
}

/// A command whose body holds what the protocol promises.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) saga_id: String,
    /// A run of a `for_each` step is a step of its own here: `<step>.<i>`.
    pub(crate) step: String,
    pub(crate) direction: Direction,
    pub(crate) key: String,
    /// The service that it is for, as definitions name it.
    pub(crate) service: String,
    /// Its name without its service.
    pub(crate) name: String,
    pub(crate) body: Map<String, Value>,
    pub(crate) body_sha256: String,
    pub(crate) attempt: u32,
    pub(crate) arrived_ns: i64,
}

impl Command {
    /// Reads the body of a request to `/<name>`; the error says what is not as the protocol has it.
    pub(crate) fn read(name: &str, attempt: u32, raw: &[u8]) -> Result<Self, String> {
        let body: Map<String, Value> = serde_json::from_slice(raw)
            .map_err(|e| format!("the body is not a JSON object: {e}"))?;
        let text = |field: &str| match body.get(field) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(format!("the body has no text field {field:?}")),
        };
        let direction = match text("direction")?.as_str() {
            "action" => Direction::Action,
            "compensation" => Direction::Compensation,
            other => {
                return Err(format!("direction is {other:?}: neither action nor compensation"));
            }
        };
        let full_name = text("command")?;
        let (service, own_name) = full_name.rsplit_once('.').unwrap_or(("", &full_name));
        if own_name != name {
            return Err(format!("the body's command is {full_name}, the path's is {name}"));
        }
        let (saga_id, step) = (text("saga_id")?, text("step_name")?);
        let key = text("idempotency_key")?;
        let own_key = format!("{saga_id}/{step}/{}", direction.as_str());
        // A later round has its number after it.
        if !key.strip_prefix(&own_key).is_some_and(|round| round.is_empty() || is_round(round)) {
            return Err(format!("the key {key} is not that of its fields, {own_key}"));
        }
        Ok(Self {
            saga_id,
            step,
            direction,
            key,
            service: service.to_owned(),
            name: name.to_owned(),
            body_sha256: hex(&Sha256::digest(raw)),
            body,
            attempt,
            arrived_ns: monotonic_ns(),
        })
    }

    /// A field of the saga's data: at the top level, or under `data` for a service that says
    /// `flat: false`.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.body.get(name).or_else(|| self.body.get("data")?.get(name))
    }
}

/// `/2` and so on.
fn is_round(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|n| n.parse().is_ok_and(|n: u16| n >= 2))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble)] as char;
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A command as the engine would send it.
    pub(crate) fn command(saga: &str, step: &str, name: &str, undo: bool, data: Value) -> Command {
        let mut body = data.clone();
        let direction = if undo { "compensation" } else { "action" };
        body["saga_id"] = json!(saga);
        body["step_name"] = json!(step);
        body["direction"] = json!(direction);
        body["command"] = json!(format!("Service.{name}"));
        body["idempotency_key"] = json!(format!("{saga}/{step}/{direction}"));
        body["data"] = data;
        Command::read(name, 1, body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_body_that_is_no_command_is_named_for_what_it_lacks() {
        let check = |body: Value, expected: &str| {
            let error = Command::read("Reserve", 1, body.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let whole = json!({"saga_id": "s", "step_name": "a", "direction": "action",
            "command": "X.Reserve", "idempotency_key": "s/a/action"});
        check(json!([1]), "not a JSON object");
        for field in ["saga_id", "step_name", "direction", "command", "idempotency_key"] {
            let mut body = whole.clone();
            body[field] = json!(7);
            check(body, field);
        }
        let mut body = whole.clone();
        body["direction"] = json!("up");
        check(body, "neither action nor compensation");
        for key in ["k", "t/a/action", "s/a/compensation", "s/a/action/1", "s/a/action2"] {
            let mut body = whole.clone();
            body["idempotency_key"] = json!(key);
            check(body, "not that of its fields, s/a/action");
        }
        let mut body = whole.clone();
        body["idempotency_key"] = json!("s/a/action/2");
        assert!(Command::read("Reserve", 1, body.to_string().as_bytes()).is_ok());
        let mut body = whole;
        body["command"] = json!("X.Release");
        check(body, "the path's is Reserve");
    }

    #[test]
    fn a_field_is_found_flat_and_under_data() {
        let mut command = command("s", "a", "Reserve", false, json!({"total": 3}));
        assert_eq!(command.field("total"), Some(&json!(3)));
        command.body.remove("total");
        assert_eq!(command.field("total"), Some(&json!(3)));
        assert_eq!(command.field("nothing"), None);
    }
}
