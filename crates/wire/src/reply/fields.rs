//! The fields of a reply: found in one pass over the text, then read and held against each other.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::{Reply, ReplyError, ReplyKind, SendingId};
use crate::command::{CommandId, SagaId};
use crate::json::{self, Member};
use crate::outcome::Fault;

/// What the envelope says of the command.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub correlation_id: Option<Cow<'a, str>>,
    pub causation_id: Option<Cow<'a, str>>,
}

/// The fields of ours that stand in an object, unread.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub kind: Option<&'a [u8]>,
    pub specversion: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    data_base64: Option<&'a [u8]>,
    pub correlationid: Option<&'a [u8]>,
    pub causationid: Option<&'a [u8]>,
    saga_id: Option<&'a [u8]>,
    step_name: Option<&'a [u8]>,
    result: Option<&'a [u8]>,
    error: Option<&'a [u8]>,
    retryable: Option<&'a [u8]>,
    undone: Option<&'a [u8]>,
    attempt: Option<&'a [u8]>,
    idempotency_key: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// `None` when the text is JSON but no object.
    pub fn read(body: &'a [u8]) -> Result<Option<Self>, ReplyError> {
        let mut fields = Self::default();
        let mut twice = None;
        let is_object = json::each_member(body, |Member { key, value }| {
            let Some(name) = json::string(key) else { return };
            let (slot, field) = match &*name {
                "type" => (&mut fields.kind, "type"),
                "specversion" => (&mut fields.specversion, "specversion"),
                "data" => (&mut fields.data, "data"),
                "data_base64" => (&mut fields.data_base64, "data_base64"),
                "correlationid" => (&mut fields.correlationid, "correlationid"),
                "causationid" => (&mut fields.causationid, "causationid"),
                "saga_id" => (&mut fields.saga_id, "saga_id"),
                "step_name" => (&mut fields.step_name, "step_name"),
                "result" => (&mut fields.result, "result"),
                "error" => (&mut fields.error, "error"),
                "retryable" => (&mut fields.retryable, "retryable"),
                "undone" => (&mut fields.undone, "undone"),
                "attempt" => (&mut fields.attempt, "attempt"),
                "idempotency_key" => (&mut fields.idempotency_key, "idempotency_key"),
                _ => return,
            };
            if slot.replace(value).is_some() {
                twice = Some(field);
            }
        })?;
        // Only a reply is held to this: the same names in a plain result are the service's own.
        let is_reply =
            fields.kind.and_then(json::string).is_some_and(|t| ReplyKind::named(&t).is_some());
        match twice {
            Some(field) if is_reply || field == "type" => Err(ReplyError::Twice { field }),
            _ => Ok(is_object.then_some(fields)),
        }
    }

    /// The event's data in a structured envelope.
    pub fn enveloped(&self, body: &Bytes) -> Result<Bytes, ReplyError> {
        match self.specversion.and_then(json::string).as_deref() {
            Some("1.0") => {}
            _ => return Err(ReplyError::Wrong { field: "specversion", expected: "\"1.0\"" }),
        }
        match (self.data, self.data_base64) {
            (Some(data), None) => Ok(body.slice_ref(data)),
            (None, Some(data)) => json::string(data)
                .and_then(|text| BASE64.decode(&*text).ok())
                .map(Bytes::from)
                .ok_or(ReplyError::Wrong { field: "data_base64", expected: "base64 text" }),
            (Some(_), Some(_)) => Err(ReplyError::Twice { field: "data" }),
            (None, None) => Ok(Bytes::from_static(b"{}")),
        }
    }

    pub fn reply(
        &self,
        kind: ReplyKind,
        envelope: Envelope<'_>,
        body: &Bytes,
    ) -> Result<Reply, ReplyError> {
        let mut identity = Identity::default();
        if let Some(id) = text("saga_id", self.saga_id)? {
            identity.saga(id.parse().map_err(|_| BAD_SAGA_ID)?)?;
        }
        if let Some(name) = text("step_name", self.step_name)? {
            identity.step_name = Some(name.into_owned());
        }
        if let Some(id) = envelope.correlation_id {
            identity.saga(id.parse().map_err(|_| BAD_CORRELATION_ID)?)?;
        }
        if let Some(key) = text("idempotency_key", self.idempotency_key)? {
            identity.command(kind, key.parse().map_err(|_| BAD_KEY)?)?;
        }
        let causation = match text("causationid", self.causationid)? {
            Some(id) => Some(id),
            None => envelope.causation_id,
        };
        // A causation id that is no command's may name something of the participant's own.
        if let Some(sending) = causation.and_then(|id| SendingId::parse(&id)) {
            identity.command(kind, sending.command)?;
            identity.attempt = Some(sending.attempt);
        }
        if let Some(attempt) = number(self.attempt)? {
            if identity.attempt.is_some_and(|known| known != attempt) {
                return Err(ReplyError::Contradiction { about: "attempt" });
            }
            identity.attempt = Some(attempt);
        }
        let result = self.result.filter(|text| *text != b"null").map(|text| body.slice_ref(text));
        Ok(Reply {
            kind,
            saga_id: identity.saga_id,
            step_name: identity.step_name,
            result,
            error: self.error.map(fault).transpose()?.flatten(),
            retryable: flag("retryable", self.retryable)?,
            undone: flag("undone", self.undone)?,
            attempt: identity.attempt,
            round: identity.round,
        })
    }
}

const BAD_SAGA_ID: ReplyError =
    ReplyError::Wrong { field: "saga_id", expected: "the saga_id of the command, a UUID" };
const BAD_CORRELATION_ID: ReplyError =
    ReplyError::Wrong { field: "correlationid", expected: "the saga_id of the command, a UUID" };
const BAD_KEY: ReplyError =
    ReplyError::Wrong { field: "idempotency_key", expected: "the idempotency_key of the command" };

/// What the parts of a reply say together about the command; they may not contradict each other.
#[derive(Default)]
struct Identity {
    saga_id: Option<SagaId>,
    step_name: Option<String>,
    round: Option<u16>,
    attempt: Option<u32>,
}

impl Identity {
    fn saga(&mut self, id: SagaId) -> Result<(), ReplyError> {
        agree(&mut self.saga_id, id, "saga")
    }

    fn command(&mut self, kind: ReplyKind, command: CommandId) -> Result<(), ReplyError> {
        if command.direction != kind.direction() {
            return Err(ReplyError::Contradiction { about: "direction" });
        }
        self.saga(command.saga_id)?;
        agree(&mut self.step_name, command.step_name, "step")?;
        agree(&mut self.round, command.round, "round")
    }
}

fn agree<T: PartialEq>(
    known: &mut Option<T>,
    said: T,
    about: &'static str,
) -> Result<(), ReplyError> {
    match known {
        Some(known) if *known != said => Err(ReplyError::Contradiction { about }),
        _ => {
            *known = Some(said);
            Ok(())
        }
    }
}

/// The error in an object's `error` (a string or `{code, message}`), if there is one.
pub(crate) fn fault(value: &[u8]) -> Result<Option<Fault>, ReplyError> {
    const EXPECTED: &str = "a string or {\"code\": string, \"message\": string}";
    let wrong = ReplyError::Wrong { field: "error", expected: EXPECTED };
    if value == b"null" {
        return Ok(None);
    }
    if let Some(message) = json::string(value) {
        return Ok(Some(Fault::new(message)));
    }
    let members = json::members(value)?.ok_or(wrong.clone())?;
    let part = |name: &str| {
        let found = members.iter().find(|m| m.name().as_deref() == Some(name));
        match found.map(|m| m.value) {
            None | Some(b"null") => Ok(None),
            Some(value) => json::string(value).map(Some).ok_or(wrong.clone()),
        }
    };
    let (code, message) = (part("code")?, part("message")?.unwrap_or_default());
    Ok(Some(match code {
        Some(code) => Fault::coded(code, message),
        None => Fault::new(message),
    }))
}

pub(super) fn text<'a>(
    field: &'static str,
    value: Option<&'a [u8]>,
) -> Result<Option<Cow<'a, str>>, ReplyError> {
    match value {
        None | Some(b"null") => Ok(None),
        Some(value) => {
            json::string(value).map(Some).ok_or(ReplyError::Wrong { field, expected: "a string" })
        }
    }
}

fn flag(field: &'static str, value: Option<&[u8]>) -> Result<Option<bool>, ReplyError> {
    match value {
        None | Some(b"null") => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(_) => Err(ReplyError::Wrong { field, expected: "true or false" }),
    }
}

fn number(value: Option<&[u8]>) -> Result<Option<u32>, ReplyError> {
    match value {
        None | Some(b"null") => Ok(None),
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or(ReplyError::Wrong { field: "attempt", expected: "the attempt's number" }),
    }
}
