//! Replies by name: what a participant says about a step, whatever brought it.
//!
//! A reply is plain JSON with a `"type"`, or a CloudEvents 1.0 envelope in structured mode (one
//! JSON text) or binary mode (attributes in headers, the reply as the body).

mod fields;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub(crate) use self::fields::fault;
use self::fields::{Envelope, Fields, text};
use crate::command::{CommandId, Direction, SagaId};
use crate::json::{self, JsonError};
use crate::outcome::{FailureCodes, Fault, Outcome, SizeOf, Verdict};

/// The largest reply that is read: results are kept in the saga's facts.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Headers or message attributes, looked up by lower-case name.
pub trait Headers {
    /// The value of the header, if it is there once and is text.
    fn value(&self, name: &str) -> Option<&str>;
}

/// No headers at all.
impl Headers for () {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// A list of lower-case names and values.
impl Headers for [(&str, &str)] {
    fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Which of the four replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyKind {
    /// `SagaStepCompleted`.
    StepCompleted,
    /// `SagaStepFailed`.
    StepFailed,
    /// `SagaCompensationCompleted`.
    CompensationCompleted,
    /// `SagaCompensationFailed`.
    CompensationFailed,
}

impl ReplyKind {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::StepCompleted,
        Self::StepFailed,
        Self::CompensationCompleted,
        Self::CompensationFailed,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StepCompleted => "SagaStepCompleted",
            Self::StepFailed => "SagaStepFailed",
            Self::CompensationCompleted => "SagaCompensationCompleted",
            Self::CompensationFailed => "SagaCompensationFailed",
        }
    }

    /// The command that it answers.
    pub const fn direction(self) -> Direction {
        match self {
            Self::StepCompleted | Self::StepFailed => Direction::Action,
            Self::CompensationCompleted | Self::CompensationFailed => Direction::Compensation,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A reply by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which one.
    pub kind: ReplyKind,
    /// The saga, as the body, its key, or the envelope's `correlationid` says.
    pub saga_id: Option<SagaId>,
    /// The step, as the body or its key says.
    pub step_name: Option<String>,
    /// The result as a JSON text; `None` when there is none, or null.
    pub result: Option<Bytes>,
    /// What went wrong.
    pub error: Option<Fault>,
    /// Whether it may be tried again.
    pub retryable: Option<bool>,
    /// Of an undo: whether there was something to undo.
    pub undone: Option<bool>,
    /// The attempt it names.
    pub attempt: Option<u32>,
    /// The round it names by key or causation id. `None` speaks for round 1, unless a token or
    /// its own exchange says better.
    pub round: Option<u16>,
}

/// Results may hold what must not be logged (S24): only their size is shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("kind", &self.kind)
            .field("saga_id", &self.saga_id)
            .field("step_name", &self.step_name)
            .field("result", &SizeOf(self.result.as_ref()))
            .field("error", &self.error)
            .field("retryable", &self.retryable)
            .field("undone", &self.undone)
            .field("attempt", &self.attempt)
            .field("round", &self.round)
            .finish()
    }
}

/// Why bytes are no reply. The text says what to send instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Larger than [`REPLY_BYTES_MAX`].
    #[error(
        "the reply is {bytes} bytes; at most {REPLY_BYTES_MAX} are read: store the result and reply with a reference to it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a JSON text.
    #[error("the reply is not JSON: {0}; send it as UTF-8 JSON text")]
    NotJson(#[from] JsonError),
    /// Not an object.
    #[error(
        "the reply is JSON but no object; send {{\"type\": \"SagaStepCompleted\", \"saga_id\": …, \"step_name\": …}}"
    )]
    NotAnObject,
    /// No `type` that is one of the four.
    #[error(
        "the reply's type is {found}; it must be SagaStepCompleted, SagaStepFailed, SagaCompensationCompleted or SagaCompensationFailed"
    )]
    NoSuchType {
        /// What stands there.
        found: String,
    },
    /// A field that must be there.
    #[error("the reply has no {field}; it must say which step of which saga it answers")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field of another kind.
    #[error("the reply's {field} must be {expected}")]
    Wrong {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that stands twice: two readers could understand two things.
    #[error("the reply says {field} twice; say it once")]
    Twice {
        /// Its name.
        field: &'static str,
    },
    /// Two parts that contradict each other.
    #[error(
        "the reply contradicts itself about its {about}; its fields, idempotency_key, causationid and correlationid must name one command"
    )]
    Contradiction {
        /// About what.
        about: &'static str,
    },
}

/// What identifies a step must be there; in its own exchange it need not be.
const IDENTITY: [&str; 2] = ["saga_id", "step_name"];

impl Reply {
    /// Reads a reply that must say which step it answers: a callback, or a message.
    pub fn parse<H: Headers + ?Sized>(headers: &H, body: &Bytes) -> Result<Self, ReplyError> {
        match Self::find(headers, body)? {
            Some(reply) if reply.saga_id.is_none() => {
                Err(ReplyError::Missing { field: IDENTITY[0] })
            }
            Some(reply) if reply.step_name.is_none() => {
                Err(ReplyError::Missing { field: IDENTITY[1] })
            }
            Some(reply) => Ok(reply),
            None => Err(ReplyError::NoSuchType { found: found_type(headers, body) }),
        }
    }

    /// Reads a reply by name if this is one; `None` when the body is something else that is
    /// JSON. What the exchange it came in knows already need not be said.
    pub fn find<H: Headers + ?Sized>(
        headers: &H,
        body: &Bytes,
    ) -> Result<Option<Self>, ReplyError> {
        if body.len() > REPLY_BYTES_MAX {
            return Err(ReplyError::TooLarge { bytes: body.len() });
        }
        if let Some(kind) = headers.value("ce-type").and_then(ReplyKind::named) {
            let envelope = Envelope {
                correlation_id: headers.value("ce-correlationid").map(Cow::Borrowed),
                causation_id: headers.value("ce-causationid").map(Cow::Borrowed),
            };
            let fields = if body.trim_ascii().is_empty() {
                Fields::default()
            } else {
                Fields::read(body)?.ok_or(ReplyError::NotAnObject)?
            };
            return fields.reply(kind, envelope, body).map(Some);
        }
        let Some(fields) = Fields::read(body)? else {
            return Ok(None);
        };
        let Some(kind) = fields.kind.and_then(json::string).and_then(|t| ReplyKind::named(&t))
        else {
            return Ok(None);
        };
        if fields.specversion.is_none() {
            return fields.reply(kind, Envelope::default(), body).map(Some);
        }
        let envelope = Envelope {
            correlation_id: text("correlationid", fields.correlationid)?,
            causation_id: text("causationid", fields.causationid)?,
        };
        let data = fields.enveloped(body)?;
        let inner = Fields::read(&data)?.ok_or(ReplyError::NotAnObject)?;
        inner.reply(kind, envelope, &data).map(Some)
    }

    /// What it comes to, by the codes that its step lists: a failure is a refusal unless
    /// `retryable` or a listed code says otherwise, and an undo cannot be refused.
    pub fn outcome(&self, codes: &FailureCodes) -> Outcome {
        match self.kind {
            ReplyKind::StepCompleted => {
                Outcome::Completed { result: self.result.clone(), undone: None }
            }
            ReplyKind::CompensationCompleted if self.undone == Some(false) => {
                Outcome::Gone { proven: true }
            }
            ReplyKind::CompensationCompleted => {
                Outcome::Completed { result: self.result.clone(), undone: self.undone }
            }
            ReplyKind::StepFailed | ReplyKind::CompensationFailed => {
                let mut error = self.error.clone().unwrap_or_default();
                codes.recognise(&mut error);
                let verdict = match self.retryable {
                    Some(true) => Verdict::Transient,
                    Some(false) => Verdict::Permanent,
                    None => codes.verdict(&error).unwrap_or(Verdict::Permanent),
                };
                failed(self.kind.direction(), verdict, error)
            }
        }
    }
}

/// A failure that the participant itself has named.
pub(crate) fn failed(direction: Direction, verdict: Verdict, error: Fault) -> Outcome {
    match verdict {
        Verdict::Permanent => Outcome::refused(direction, error),
        Verdict::Transient => Outcome::transient(error),
    }
}

/// The id of one sending as a message, `<idempotency_key>:<attempt>`: a reply whose `causationid`
/// it is names the round and the attempt without knowing of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingId {
    /// What was sent.
    pub command: CommandId,
    /// At which attempt.
    pub attempt: u32,
}

impl SendingId {
    /// Reads it back; `None` when the text is another message's id.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, attempt) = text.rsplit_once(':')?;
        if !attempt.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { command: key.parse().ok()?, attempt: attempt.parse().ok()? })
    }
}

impl fmt::Display for SendingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.command, self.attempt)
    }
}

fn found_type<H: Headers + ?Sized>(headers: &H, body: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 80;
    if let Some(name) = headers.value("ce-type") {
        return crate::outcome::printable(name, SHOWN_BYTES_MAX);
    }
    let fields = Fields::read(body).ok().flatten();
    match fields.as_ref().and_then(|fields| fields.kind).and_then(json::string) {
        Some(name) => crate::outcome::printable(&name, SHOWN_BYTES_MAX),
        None => "missing".to_owned(),
    }
}

#[cfg(test)]
mod tests;
