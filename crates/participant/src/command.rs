//! A command as it was received: checked for all that the guard relies on.

use std::fmt;
use std::num::NonZeroU16;
use std::time::SystemTime;

use amends_wire::json::{self, Member};
use amends_wire::{CommandId, Direction, Headers, SagaId, SendingId, envelope};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The largest body that is read: the engine sends no input over 256 KiB, twice at most in a body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest name of a command, with its service, in characters: a definition's names have 64
/// bytes each. It goes into logs, and back to its sender.
pub const COMMAND_CHARS_MAX: usize = 200;

/// The longest name of a step, in characters: it is part of the guard's key.
pub const STEP_CHARS_MAX: usize = 80;

/// A command that may be carried out.
#[derive(Clone)]
pub struct Command {
    pub(crate) id: CommandId,
    pub(crate) saga_id: String,
    pub(crate) saga_type: String,
    /// After the dot: `ReserveItems`.
    pub(crate) name: String,
    pub(crate) data: Bytes,
    /// Of a compensation.
    pub(crate) undo: Option<Undo>,
    pub(crate) body_sha256: [u8; 32],
    pub(crate) sending: Sending,
}

/// What a compensation says of the action that it undoes.
#[derive(Clone)]
pub(crate) struct Undo {
    pub(crate) completed: bool,
    pub(crate) original_result: Bytes,
}

/// What differs between two sendings of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) attempt: u32,
    pub(crate) deadline: Option<SystemTime>,
    pub(crate) traceparent: Option<String>,
}

/// Why something is no command for this service. It is said to whoever sent it, and nothing is
/// done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Breach {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Breach {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn too_large() -> Self {
        Self::new("TOO_LARGE", format!("a command has at most {BODY_BYTES_MAX} bytes"))
    }

    /// Its stable code.
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl Command {
    /// Reads a command for `service`. `name` is what the path calls it, where there is a path.
    ///
    /// # Errors
    ///
    /// It is no command of the protocol, or not for this service.
    pub fn read<H: Headers + ?Sized>(
        service: &str,
        name: Option<&str>,
        headers: &H,
        body: &Bytes,
    ) -> Result<Self, Breach> {
        let fields = Fields::of(body)?;
        let command = fields.text("command")?;
        if command.chars().count() > COMMAND_CHARS_MAX {
            let why = format!("the command's name has over {COMMAND_CHARS_MAX} characters");
            return Err(Breach::new("BAD_FIELD", why));
        }
        // Shown in quotes: a name of somebody else's making begins no line in a log.
        let parts = command.rsplit_once('.');
        let whole = parts.filter(|(owner, name)| !owner.is_empty() && !name.is_empty());
        let Some((owner, own_name)) = whole else {
            let why = format!("the command is {command:?}; it reads <Service>.<Command>");
            return Err(Breach::new("BAD_FIELD", why));
        };
        if owner != service {
            let why =
                format!("the command is of {owner:?}, and this is {service}: see where it is sent");
            return Err(Breach::new("FOREIGN_COMMAND", why));
        }
        if name.is_some_and(|name| name != own_name) {
            let why = format!("the body's command is {own_name:?}, the path's is another");
            return Err(Breach::new("WRONG_PATH", why));
        }
        let id = fields.id()?;
        let undo = match id.direction {
            Direction::Action => None,
            Direction::Compensation => Some(fields.undo(body)?),
        };
        Ok(Self {
            saga_id: id.saga_id.to_string(),
            saga_type: fields.text("saga_type")?,
            name: own_name.to_owned(),
            data: body.slice_ref(fields.value("data")?),
            undo,
            body_sha256: Sha256::digest(body).into(),
            sending: Sending::read(headers),
            id,
        })
    }

    /// The round, counted from 1.
    pub(crate) fn round(&self) -> NonZeroU16 {
        NonZeroU16::new(self.id.round).unwrap_or(NonZeroU16::MIN)
    }

    /// Action or compensation.
    pub const fn direction(&self) -> Direction {
        self.id.direction
    }
}

/// A body may hold what must not be logged.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

impl Sending {
    /// Over HTTP the facts of a sending are headers of ours; over a broker they are CloudEvents
    /// attributes. What cannot be read is taken as not said: none of it is needed.
    fn read<H: Headers + ?Sized>(headers: &H) -> Self {
        let first = |names: [&str; 3]| names.into_iter().find_map(|name| headers.value(name));
        let of_id = || {
            let id = first(["ce-id", "ce_id", "id"]).and_then(SendingId::parse);
            id.map(|id| id.attempt)
        };
        let deadline = first([envelope::AMENDS_DEADLINE, "ce-expirytime", "expirytime"]);
        Self {
            attempt: headers
                .value(envelope::AMENDS_ATTEMPT)
                .and_then(|text| text.parse().ok())
                .or_else(of_id)
                .unwrap_or(0),
            deadline: deadline.and_then(|text| humantime::parse_rfc3339(text).ok()),
            traceparent: headers.value(envelope::TRACEPARENT).map(str::to_owned),
        }
    }
}

/// The saga that a body is of, where it is no command otherwise.
pub(crate) fn saga_of(body: &[u8]) -> Option<SagaId> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    Fields::of(body).ok()?.text("saga_id").ok()?.parse().ok()
}

/// The members of a body, each said once.
struct Fields<'a>(Vec<(String, &'a [u8])>);

impl<'a> Fields<'a> {
    fn of(body: &'a [u8]) -> Result<Self, Breach> {
        let members = json::members(body)
            .map_err(|e| Breach::new("NOT_JSON", format!("the body is not JSON: {e}")))?
            .ok_or_else(|| Breach::new("NOT_JSON", "the body is JSON, but no object"))?;
        let named = |member: &Member<'a>| Some((member.name()?.into_owned(), member.value));
        Ok(Self(members.iter().filter_map(named).collect()))
    }

    fn value(&self, name: &str) -> Result<&'a [u8], Breach> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        let Some((_, value)) = found.next() else {
            return Err(Breach::new("MISSING_FIELD", format!("the body has no {name}")));
        };
        if found.next().is_some() {
            return Err(Breach::new("BAD_FIELD", format!("the body says {name} twice")));
        }
        Ok(value)
    }

    fn text(&self, name: &str) -> Result<String, Breach> {
        let text: Result<String, _> = serde_json::from_slice(self.value(name)?);
        text.ok()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Breach::new("BAD_FIELD", format!("the body's {name} is no text")))
    }

    /// The command's identity: as its fields say, and its key the same.
    fn id(&self) -> Result<CommandId, Breach> {
        let text = self.text("saga_id")?;
        let saga_id: Option<SagaId> = text.parse().ok();
        // In one form only: the key's bytes, and the guard's, are those of the text.
        let saga_id = saga_id.filter(|id| id.to_string() == text).ok_or_else(|| {
            Breach::new("BAD_FIELD", "the body's saga_id is no UUID in lower case with hyphens")
        })?;
        let step_name = self.text("step_name")?;
        // A space at an end or a control character is the same to some databases as none.
        let plain = |name: &str| name.trim() == name && !name.contains(char::is_control);
        if step_name.chars().count() > STEP_CHARS_MAX || !plain(&step_name) {
            let why = format!(
                "the body's step_name must have at most {STEP_CHARS_MAX} characters, none of \
                 them a control character, and no space at its ends"
            );
            return Err(Breach::new("BAD_FIELD", why));
        }
        let direction = self.text("direction")?;
        let direction = [Direction::Action, Direction::Compensation]
            .into_iter()
            .find(|known| known.as_str() == direction)
            .ok_or_else(|| {
                Breach::new("BAD_FIELD", "the body's direction is neither action nor compensation")
            })?;
        let text = self.text("idempotency_key")?;
        let key: Option<CommandId> = text.parse().ok();
        let belongs = |key: &CommandId| {
            (key.saga_id, &key.step_name, key.direction) == (saga_id, &step_name, direction)
                && key.to_string() == text
        };
        key.filter(belongs).ok_or_else(|| {
            let why = "the body's idempotency_key is not that of its saga_id, step_name and \
                       direction: <saga_id>/<step_name>/<direction>, and /<round> from the \
                       second round on";
            Breach::new("BAD_KEY", why)
        })
    }

    fn undo(&self, body: &Bytes) -> Result<Undo, Breach> {
        let completed = match self.text("outcome")?.as_str() {
            "completed" => true,
            "unknown" => false,
            _ => {
                let why = "the body's outcome is neither completed nor unknown";
                return Err(Breach::new("BAD_FIELD", why));
            }
        };
        Ok(Undo { completed, original_result: body.slice_ref(self.value("original_result")?) })
    }
}

#[cfg(test)]
mod tests;
