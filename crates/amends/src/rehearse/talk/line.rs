//! What is said in a talk: a right command, and from it each that is not.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_core::StepIx;
use amends_transport::{Outgoing, Patience, Ticket};
use amends_wire::envelope::IDEMPOTENCY_KEY;
use amends_wire::signature::{Secret, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign};
use amends_wire::{
    ActionOutcome, CommandBody, Direction, FailureCodes, SagaId, Undo, idempotency_key,
};
use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use serde_json::{Value, json};

use super::Field;

/// A command that no service has.
const UNKNOWN: &str = "NoSuchCommandOfTheRehearsal";

/// A service that there is not.
const STRANGER: &str = "NoSuchServiceOfTheRehearsal";

/// A body that is cut off.
const GARBAGE: &[u8] = b"{\"amends\": \"a rehears";

/// A field that nobody knows, of the body, the data, and the headers.
const ADDITION: &str = "amends_rehearsal_addition";

/// A header that nobody knows.
const ADDED_HEADER: &str = "amends-rehearsal-addition";

/// Larger than any command: an input has 256 KiB at most and stands in a body twice. And larger than
/// what servers take by themselves, so that a limit that is meant for more is not asked for.
const TOO_LARGE_BYTES: usize = 8 * 1024 * 1024;

/// How long ago a stale command was signed: well over the five minutes of the standard.
const STALE: Duration = Duration::from_secs(60 * 60);

/// How long a step has, so that no participant takes a command for late.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// What is known of a service's command, from which every other is made.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// The service.
    pub service: String,
    /// The saga type that it is asked for.
    pub saga_type: String,
    /// The step, and its name.
    pub step: StepIx,
    /// The step's name.
    pub step_name: String,
    /// The action's full name; none where this service only undoes.
    pub action: Option<String>,
    /// The undo's full name, where it is this service's.
    pub undo: Option<String>,
    /// Whether the fields of the data also stand at the top level.
    pub flat: bool,
}

/// Which command of a specimen.
pub struct Line<'l> {
    /// The saga.
    pub saga_id: u128,
    /// The step.
    pub step_name: &'l str,
    /// Which round.
    pub round: u16,
    /// The data.
    pub data: &'l Value,
    /// Of an undo: the round of its action, and what that came to.
    pub undo: Option<(u16, &'l Value)>,
}

impl Specimen {
    /// The command as an engine would send it; none where the service has no such command.
    pub fn outgoing(&self, line: &Line<'_>) -> Option<Outgoing> {
        let command = match line.undo {
            None => self.action.as_deref()?,
            Some(_) => self.undo.as_deref()?,
        };
        Some(self.named(command, line))
    }

    /// The same for a command that nobody has.
    pub fn unknown(&self, line: &Line<'_>) -> Outgoing {
        self.named(&format!("{}.{UNKNOWN}", self.service), line)
    }

    /// A body that is none, for any command that the service has.
    pub fn garbage(&self, line: &Line<'_>) -> Option<Outgoing> {
        let command = self.action.as_deref().or(self.undo.as_deref())?;
        let body = Bytes::from_static(GARBAGE);
        Some(Outgoing { body, ..self.named(command, line) })
    }

    fn named(&self, command: &str, line: &Line<'_>) -> Outgoing {
        let data = line.data.to_string();
        let result = line.undo.map(|(_, result)| result.to_string());
        let undo = line.undo.map(|(action_round, _)| Undo {
            action_round,
            outcome: ActionOutcome::Completed,
            original_result: result.as_deref().map(str::as_bytes),
        });
        let direction = if undo.is_some() { Direction::Compensation } else { Direction::Action };
        let body = CommandBody {
            saga_id: SagaId(line.saga_id),
            saga_type: &self.saga_type,
            step_name: line.step_name,
            command,
            round: line.round,
            data: data.as_bytes(),
            flat: self.flat,
            undo,
        };
        Outgoing {
            ticket: Ticket {
                saga_id: line.saga_id,
                step: self.step.0,
                run: 0,
                direction,
                round: line.round,
                attempt: 1,
            },
            service: self.service.as_str().into(),
            command: command.into(),
            saga_type: self.saga_type.as_str().into(),
            step_name: line.step_name.into(),
            // Its data was read as JSON, and its names were checked.
            body: body.render().unwrap_or_default(),
            deadline_unix_ms: u64::try_from((now() + DEADLINE).as_millis()).unwrap_or(u64::MAX),
            patience: Patience { timeout: Duration::MAX, keep_open_for: Duration::MAX },
            another_sending_open: false,
            reply_to: None,
            causation_id: None,
            traceparent: None,
            codes: Arc::new(FailureCodes::default()),
        }
    }
}

/// The same command under the name of a service that there is not, at the path of this one.
pub fn foreign(right: &Outgoing) -> Outgoing {
    let name = right.command.rsplit('.').next().unwrap_or_default();
    let command = format!("{STRANGER}.{name}");
    let changed = changed(right, "command", |body| body["command"] = json!(command));
    Outgoing { command: command.as_str().into(), ..changed }
}

/// The same without a field of the body.
pub fn without(right: &Outgoing, field: Field) -> Outgoing {
    changed(right, field.name(), |body| {
        body.as_object_mut().map(|body| body.remove(field.name()));
    })
}

/// The head of that: no header says what the body does not.
pub fn without_headers(field: Field) -> impl FnOnce(&mut Parts) + Send {
    move |head| {
        if field == Field::IdempotencyKey {
            head.headers.remove(IDEMPOTENCY_KEY);
        }
    }
}

/// The same with the key of another step's action, in the headers as well.
pub fn foreign_key(right: &Outgoing) -> (Outgoing, impl FnOnce(&mut Parts) + Send + use<>) {
    let step = format!("{}-other", right.step_name);
    let key = idempotency_key(right.saga_id(), &step, Direction::Action, 1);
    let body = changed(right, "idempotency_key", |body| body["idempotency_key"] = json!(key));
    let alter = move |head: &mut Parts| {
        if let Ok(key) = HeaderValue::from_str(&key) {
            head.headers.insert(IDEMPOTENCY_KEY, key);
        }
    };
    (body, alter)
}

/// The same with a field of no use that is too large.
pub fn too_large(right: &Outgoing) -> Outgoing {
    with_first(right, &"x".repeat(TOO_LARGE_BYTES))
}

/// The same with other bytes.
pub fn other_bytes(right: &Outgoing) -> Outgoing {
    with_first(right, "another")
}

/// The same with fields that nobody knows, of the body, the data and the headers.
pub fn additions(right: &Outgoing) -> (Outgoing, impl FnOnce(&mut Parts) + Send + use<>) {
    let body = changed(right, ADDITION, |body| {
        body[ADDITION] = json!({"of": ["any", "kind"]});
        body["data"][ADDITION] = json!({"of": ["any", "kind"]});
    });
    let alter = |head: &mut Parts| {
        head.headers.insert(ADDED_HEADER, HeaderValue::from_static("of any kind"));
    };
    (body, alter)
}

/// Data in which every field is of another type; none where it has no field.
pub fn wrong_types(data: &Value) -> Option<Value> {
    let fields = data.as_object().filter(|fields| !fields.is_empty())?;
    let wrong = fields.iter().map(|(name, value)| {
        let wrong = match value {
            Value::String(_) | Value::Null => json!({"of": "another type"}),
            _ => json!("of another type"),
        };
        (name.clone(), wrong)
    });
    Some(Value::Object(wrong.collect()))
}

/// A head without a signature.
pub fn unsigned() -> impl FnOnce(&mut Parts) + Send {
    |head| {
        for name in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
            head.headers.remove(name);
        }
    }
}

/// A head that is signed with a secret of nobody.
pub fn forged(body: Bytes) -> impl FnOnce(&mut Parts) + Send {
    let secret = Secret::new("of nobody in this rehearsal").ok();
    move |head| sign_anew(head, &Vec::from_iter(secret), now(), &body)
}

/// A head that was signed long ago.
pub fn stale(secrets: Vec<Secret>, body: Bytes) -> impl FnOnce(&mut Parts) + Send {
    move |head| sign_anew(head, &secrets, now().saturating_sub(STALE), &body)
}

fn sign_anew(head: &mut Parts, secrets: &[Secret], at: Duration, body: &[u8]) {
    let id = head.headers.get(WEBHOOK_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    if let Ok(signature) = HeaderValue::from_str(&sign(secrets, id, at.as_secs(), body)) {
        head.headers.insert(WEBHOOK_SIGNATURE, signature);
    }
    head.headers.insert(WEBHOOK_TIMESTAMP, at.as_secs().into());
}

/// The same bytes with a field before them, where it is seen.
fn with_first(right: &Outgoing, value: &str) -> Outgoing {
    let mut body = format!("{{\"{ADDITION}\":\"{value}\",").into_bytes();
    body.extend_from_slice(right.body.strip_prefix(b"{").unwrap_or_default());
    Outgoing { body: body.into(), ..right.clone() }
}

/// A body that is changed, with what is wrong in it first, where it is seen.
fn changed(right: &Outgoing, shown: &str, change: impl FnOnce(&mut Value)) -> Outgoing {
    let mut body: Value = serde_json::from_slice(&right.body).unwrap_or_default();
    change(&mut body);
    let first = body.as_object_mut().and_then(|body| body.remove(shown));
    let rest = body.to_string();
    let body = match (first, rest.strip_prefix('{')) {
        (Some(first), Some(rest)) => format!("{{{}:{first},{rest}", json!(shown)),
        _ => rest,
    };
    Outgoing { body: body.into(), ..right.clone() }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
