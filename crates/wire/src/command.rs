//! Commands: their identity, their idempotency key, and the body that is byte-equal at every
//! sending.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use uuid::Uuid;

use crate::json::{self, JsonError};

/// The identity of a saga on the wire: the hyphenated lower-case form of a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(pub u128);

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Uuid::encode_buffer();
        f.write_str(Uuid::from_u128(self.0).as_hyphenated().encode_lower(&mut buffer))
    }
}

impl fmt::Debug for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SagaId {
    type Err = BadCommandId;

    /// Reads the hyphenated form only, in either case: a saga has one name on the wire.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != SAGA_ID_CHARS {
            return Err(BadCommandId);
        }
        Uuid::try_parse(text).map(|id| Self(id.as_u128())).map_err(|_| BadCommandId)
    }
}

/// The length of a hyphenated UUID.
const SAGA_ID_CHARS: usize = 36;

/// Which of a step's two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The action.
    Action,
    /// The compensation, which undoes it.
    Compensation,
}

impl Direction {
    /// Its name in bodies and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a command is known by (`semantics.md` section 1). As text it is the idempotency key:
/// `<saga_id>/<step_name>/<direction>`, and from the second round on `/<round>` after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// The saga.
    pub saga_id: SagaId,
    /// The step; a run of a `for_each` step is named `<step>.<i>`.
    pub step_name: String,
    /// Its action or its compensation.
    pub direction: Direction,
    /// Which round, counted from 1.
    pub round: u16,
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&idempotency_key(self.saga_id, &self.step_name, self.direction, self.round))
    }
}

/// A text that names no command, or no saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it does not read <saga_id>/<step_name>/<direction> or <saga_id>/<step_name>/<direction>/<round>"
)]
pub struct BadCommandId;

impl FromStr for CommandId {
    type Err = BadCommandId;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let (saga_id, rest) = key.split_at_checked(SAGA_ID_CHARS).ok_or(BadCommandId)?;
        let saga_id = saga_id.parse()?;
        let rest = rest.strip_prefix('/').ok_or(BadCommandId)?;
        let (step, last) = rest.rsplit_once('/').ok_or(BadCommandId)?;
        let (step, direction, round) = match direction(last) {
            Some(direction) => (step, direction, 1),
            None => {
                let (step, before) = step.rsplit_once('/').ok_or(BadCommandId)?;
                let round: u16 = last.parse().map_err(|_| BadCommandId)?;
                // One command has one key: `/1`, `/02` and `/+2` are nobody's.
                if round < 2 || last.starts_with(['0', '+']) {
                    return Err(BadCommandId);
                }
                (step, self::direction(before).ok_or(BadCommandId)?, round)
            }
        };
        if step.is_empty() {
            return Err(BadCommandId);
        }
        Ok(Self { saga_id, step_name: step.to_owned(), direction, round })
    }
}

fn direction(text: &str) -> Option<Direction> {
    [Direction::Action, Direction::Compensation].into_iter().find(|d| d.as_str() == text)
}

/// The idempotency key of a command.
pub fn idempotency_key(
    saga_id: SagaId,
    step_name: &str,
    direction: Direction,
    round: u16,
) -> String {
    let mut key = Vec::with_capacity(SAGA_ID_CHARS + step_name.len() + KEY_REST_BYTES_MAX);
    write_key(&mut key, saga_id, step_name, direction, round);
    String::from_utf8(key).unwrap_or_default()
}

/// `/compensation/65535` and its slash before the step.
const KEY_REST_BYTES_MAX: usize = 21;

fn write_key(
    out: &mut Vec<u8>,
    saga_id: SagaId,
    step_name: &str,
    direction: Direction,
    round: u16,
) {
    write_saga_id(out, saga_id);
    out.push(b'/');
    out.extend_from_slice(step_name.as_bytes());
    out.push(b'/');
    out.extend_from_slice(direction.as_str().as_bytes());
    if round >= 2 {
        out.push(b'/');
        out.extend_from_slice(round.to_string().as_bytes());
    }
}

fn write_saga_id(out: &mut Vec<u8>, saga_id: SagaId) {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::from_u128(saga_id.0).as_hyphenated().encode_lower(&mut buffer);
    out.extend_from_slice(text.as_bytes());
}

/// All that a command's body is made of.
///
/// `data` and `original_result` are JSON texts and are copied as they are: no number is read, no
/// key is moved. The same input renders to the same bytes, today and in every later version.
#[derive(Clone, Copy)]
pub struct CommandBody<'a> {
    /// The saga.
    pub saga_id: SagaId,
    /// Its type.
    pub saga_type: &'a str,
    /// The step, or `<step>.<i>`.
    pub step_name: &'a str,
    /// The command's full name: `InventoryService.ReserveItems`.
    pub command: &'a str,
    /// Which round, counted from 1.
    pub round: u16,
    /// The command's input as a JSON text.
    pub data: &'a [u8],
    /// Whether the fields of `data` also stand at the top level (unless the service says
    /// `flat: false`). Names that the body itself has win.
    pub flat: bool,
    /// What a compensation adds; `None` makes it an action.
    pub undo: Option<Undo<'a>>,
}

/// What a compensation says about the action it undoes.
#[derive(Clone, Copy)]
pub struct Undo<'a> {
    /// The round of the action, for its key.
    pub action_round: u16,
    /// What is known of the action.
    pub outcome: ActionOutcome,
    /// Its result as a JSON text; `None` when unknown, written as null.
    pub original_result: Option<&'a [u8]>,
}

/// What is known of an action when its undo is first sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// It completed.
    Completed,
    /// It may have happened.
    Unknown,
}

/// Why a body cannot be rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandBodyError {
    /// The data is no JSON text: copied verbatim it would break the body.
    #[error("the command's data is not JSON: {0}; correct the step's input")]
    Data(JsonError),
    /// The same of the action's result.
    #[error("the action's result is not JSON: {0}; resolve the step with a result that is")]
    OriginalResult(JsonError),
}

/// The names that stand in every body.
const NAMES: [&str; 7] =
    ["saga_id", "saga_type", "step_name", "direction", "command", "idempotency_key", "data"];

/// The names that a compensation has besides.
const UNDO_NAMES: [&str; 3] = ["action_key", "outcome", "original_result"];

/// The room that the fixed part of a body takes, names, ids and punctuation.
const FIXED_BYTES: usize = 320;

impl CommandBody<'_> {
    /// The bytes of the body.
    pub fn render(&self) -> Result<Bytes, CommandBodyError> {
        let result = self.undo.and_then(|undo| undo.original_result).unwrap_or_default();
        let names = self.saga_type.len() + 3 * self.step_name.len() + self.command.len();
        let size = FIXED_BYTES + names + 2 * self.data.len() + result.len();
        let mut out = Vec::with_capacity(size);
        let direction =
            if self.undo.is_some() { Direction::Compensation } else { Direction::Action };

        out.extend_from_slice(b"{\"saga_id\":\"");
        write_saga_id(&mut out, self.saga_id);
        out.extend_from_slice(b"\",\"saga_type\":");
        json::write_string(&mut out, self.saga_type);
        out.extend_from_slice(b",\"step_name\":");
        json::write_string(&mut out, self.step_name);
        out.extend_from_slice(b",\"direction\":\"");
        out.extend_from_slice(direction.as_str().as_bytes());
        out.extend_from_slice(b"\",\"command\":");
        json::write_string(&mut out, self.command);
        out.extend_from_slice(b",\"idempotency_key\":");
        self.write_key(&mut out, direction, self.round);
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(self.data.trim_ascii());
        if let Some(undo) = self.undo {
            out.extend_from_slice(b",\"action_key\":");
            self.write_key(&mut out, Direction::Action, undo.action_round);
            out.extend_from_slice(match undo.outcome {
                ActionOutcome::Completed => b",\"outcome\":\"completed\"",
                ActionOutcome::Unknown => b",\"outcome\":\"unknown\"",
            });
            out.extend_from_slice(b",\"original_result\":");
            match undo.original_result {
                Some(result) => {
                    json::check(result).map_err(CommandBodyError::OriginalResult)?;
                    out.extend_from_slice(result.trim_ascii());
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        self.write_flat(&mut out)?;
        out.push(b'}');
        Ok(out.into())
    }

    fn write_key(&self, out: &mut Vec<u8>, direction: Direction, round: u16) {
        if self.step_name.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            out.push(b'"');
            write_key(out, self.saga_id, self.step_name, direction, round);
            out.push(b'"');
        } else {
            let key = idempotency_key(self.saga_id, self.step_name, direction, round);
            json::write_string(out, &key);
        }
    }

    fn write_flat(&self, out: &mut Vec<u8>) -> Result<(), CommandBodyError> {
        if !self.flat {
            return json::check(self.data).map_err(CommandBodyError::Data);
        }
        let ours =
            |name: &str| NAMES.contains(&name) || self.undo.is_some() && UNDO_NAMES.contains(&name);
        json::each_member(self.data, |member| {
            if !member.name().is_some_and(|name| ours(&name)) {
                out.push(b',');
                out.extend_from_slice(member.key);
                out.push(b':');
                out.extend_from_slice(member.value);
            }
        })
        .map(|_| ())
        .map_err(CommandBodyError::Data)
    }
}

#[cfg(test)]
mod tests;
