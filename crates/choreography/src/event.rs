//! What is said in a saga, as it travels: one event, for all of its services to read.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use amends_core::Time;
use amends_transport::{Kind, Message};
use amends_wire::envelope::{DATACONTENTTYPE, TRACEPARENT, rfc3339};
use amends_wire::{Headers, SagaId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The largest event that is read: a saga's data and a step's result have at most 256 KiB each, and
/// may be escaped by a broker on their way.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The form of the body. A higher one is of a later version, which may say what this one cannot know.
const FORMAT: u32 = 1;

/// The header that marks an event as one of these, whatever became of its body. Other events may share
/// the place.
const AMENDS_SAID: &str = "amends-said";

/// What is said, of a step or of the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The saga is to be run.
    Started,
    /// The step is done.
    Completed,
    /// The step's condition does not hold.
    Skipped,
    /// The step did not run, and never will.
    NeverRan,
    /// The step is undone.
    Compensated,
    /// The saga is to be undone.
    Failed,
}

impl Word {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Started,
        Self::Completed,
        Self::Skipped,
        Self::NeverRan,
        Self::Compensated,
        Self::Failed,
    ];

    /// As it stands in a body and in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::NeverRan => "never_ran",
            Self::Compensated => "compensated",
            Self::Failed => "failed",
        }
    }

    /// Is it said of a step?
    pub const fn of_a_step(self) -> bool {
        !matches!(self, Self::Started | Self::Failed)
    }
}

/// What all events of a saga carry. It informs; no service decides by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    /// The saga.
    pub saga_id: String,
    /// The place of the event's step in the definition, from 1; 0 where it is about the saga.
    pub step: u32,
    /// What the saga was started with.
    pub data: Box<RawValue>,
    /// The steps that are done and not undone, as far as whoever says this has heard, in that order.
    pub completed_steps: Vec<String>,
}

/// Why a saga is to be undone, or a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs: a refusal's own code, or `DEADLINE`, `CANCELLED`, `EXPRESSION`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Reason {
    /// A reason. What is longer than any log wants is cut.
    pub fn new(code: &str, message: &str) -> Self {
        let cut = |text: &str, chars_max| text.chars().take(chars_max).collect();
        Self { code: cut(code, CODE_CHARS_MAX), message: cut(message, MESSAGE_CHARS_MAX) }
    }
}

/// As of a refusal's code over the participant protocol.
const CODE_CHARS_MAX: usize = 64;

/// As of its message.
const MESSAGE_CHARS_MAX: usize = 1024;

/// One event of a saga.
#[derive(Clone)]
pub struct SagaEvent {
    /// The saga.
    pub saga_id: SagaId,
    /// Its type.
    pub saga_type: String,
    /// The version of the definition, for people.
    pub version: u32,
    /// Which definition the saga goes by.
    pub definition_hash: String,
    /// What is said.
    pub said: Word,
    /// Of which step. A failure names the one that it began with, where it was a step.
    pub step_name: Option<String>,
    /// Of a completed step: its result, JSON.
    pub result: Option<Box<RawValue>>,
    /// Of a failure, and of a step that never ran.
    pub reason: Option<Reason>,
    /// What all events carry.
    pub context: Context,
    /// Who says it: a service, or whoever started or cancelled the saga.
    pub by: String,
    /// When it was said, by the clock of whoever says it.
    pub at: Time,
    /// The id of the event that it follows from.
    pub cause: Option<String>,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
}

/// Why a message is not taken as an event of a saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is about something else, and whoever shares the place publishes it.
    #[error("it is no event of a choreographed saga")]
    NotOurs,
    /// It is of a later version. Who knows that one can read it.
    #[error(
        "it is of format {0}, and this version reads up to {FORMAT}: update this service before those that \
         say it"
    )]
    Newer(u64),
    /// It is one of these, and damaged.
    #[error("{0}")]
    Damaged(String),
}

/// The body, as it travels.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    name: String,
    format: u32,
    saga_id: String,
    saga_type: String,
    version: u32,
    definition_hash: String,
    said: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    by: String,
    at: String,
    context: Context,
}

/// What tells an event of ours from others, in the body.
#[derive(Deserialize)]
struct Mark {
    format: Option<u64>,
    said: Option<serde_json::Value>,
    saga_type: Option<String>,
}

impl SagaEvent {
    /// Its name, for people and for filters: `OrderFulfillmentStarted`, `ReserveInventoryCompleted`,
    /// `SagaFailed`. A reader goes by `said` and `step_name`.
    pub fn name(&self) -> String {
        match self.said {
            Word::Started => format!("{}Started", self.saga_type),
            Word::Failed => "SagaFailed".to_owned(),
            said => {
                let step = self.step_name.as_deref().unwrap_or_default();
                pascal(step) + &pascal(said.as_str())
            }
        }
    }

    /// Its id: the same whoever publishes it how often, since it says the same.
    pub fn id(&self) -> String {
        let (saga, said) = (self.saga_id, self.said.as_str());
        match &self.step_name {
            Some(step) if said != "failed" => format!("{saga}/{step}/{said}"),
            _ => format!("{saga}/{said}/{}", self.by),
        }
    }

    /// The message that carries it.
    pub fn message(&self) -> Message {
        let (id, name) = (self.id(), self.name());
        let attribute = |name: &str, value: String| (name.to_owned(), value);
        let mut attributes = vec![
            attribute("specversion", "1.0".to_owned()),
            attribute("id", id.clone()),
            attribute("source", format!("/services/{}", self.by)),
            attribute("type", name.clone()),
            attribute("time", rfc3339(self.at.0)),
            attribute("correlationid", self.saga_id.to_string()),
            attribute(DATACONTENTTYPE, "application/json".to_owned()),
            attribute(AMENDS_SAID, self.said.as_str().to_owned()),
        ];
        attributes.extend(self.cause.iter().map(|id| attribute("causationid", id.clone())));
        attributes.extend(self.traceparent.iter().map(|t| attribute(TRACEPARENT, t.clone())));
        let saga_id = self.saga_id.to_string();
        Message { id, saga_id, kind: Kind::Event, name, attributes, body: self.body() }
    }

    fn body(&self) -> Bytes {
        let body = Body {
            name: self.name(),
            format: FORMAT,
            saga_id: self.saga_id.to_string(),
            saga_type: self.saga_type.clone(),
            version: self.version,
            definition_hash: self.definition_hash.clone(),
            said: self.said,
            step_name: self.step_name.clone(),
            result: self.result.as_deref(),
            reason: self.reason.clone(),
            by: self.by.clone(),
            at: rfc3339(self.at.0),
            context: self.context.clone(),
        };
        // Texts, numbers and JSON that was read as such: there is nothing in it that cannot be said.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }

    /// Reads a message that came from a place of events.
    ///
    /// # Errors
    ///
    /// It is something else, or damaged, or of a later version.
    pub fn read<H: Headers + ?Sized>(headers: &H, body: &Bytes) -> Result<Self, Unreadable> {
        let is_marked = headers.value(AMENDS_SAID).is_some();
        let damaged = |why: String| {
            if is_marked { Unreadable::Damaged(why) } else { Unreadable::NotOurs }
        };
        if body.len() > EVENT_BYTES_MAX {
            return Err(damaged(format!("it has over {EVENT_BYTES_MAX} bytes")));
        }
        let mark: Mark = serde_json::from_slice(body).map_err(|e| damaged(no_event(&e)))?;
        if !is_marked && (mark.said.is_none() || mark.saga_type.is_none()) {
            return Err(Unreadable::NotOurs);
        }
        if let Some(format) = mark.format.filter(|format| *format > FORMAT.into()) {
            return Err(Unreadable::Newer(format));
        }
        let read: Body<'_> =
            serde_json::from_slice(body).map_err(|e| Unreadable::Damaged(no_event(&e)))?;
        Self::of(read, headers).map_err(Unreadable::Damaged)
    }

    fn of<H: Headers + ?Sized>(read: Body<'_>, headers: &H) -> Result<Self, String> {
        let saga_id: SagaId =
            read.saga_id.parse().map_err(|_| "its `saga_id` is no UUID".to_owned())?;
        if read.context.saga_id != read.saga_id {
            return Err("its context is of another saga than itself".to_owned());
        }
        if read.step_name.is_none() && read.said.of_a_step() {
            return Err(format!("it says `{}` of no step", read.said.as_str()));
        }
        if read.result.is_none() && read.said == Word::Completed {
            return Err("a step is completed, and it has no `result`".to_owned());
        }
        if !read.context.data.get().trim_start().starts_with('{') {
            return Err("the `data` of its context is no JSON object".to_owned());
        }
        let at = humantime::parse_rfc3339(&read.at)
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|since: Duration| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            .ok_or_else(|| "its `at` is no RFC 3339 time since 1970".to_owned())?;
        let header = |name: &str| headers.value(name).map(str::to_owned);
        Ok(Self {
            saga_id,
            saga_type: read.saga_type,
            version: read.version,
            definition_hash: read.definition_hash,
            said: read.said,
            step_name: read.step_name,
            result: read.result.map(RawValue::to_owned),
            reason: read.reason.map(|reason| Reason::new(&reason.code, &reason.message)),
            context: read.context,
            by: read.by,
            at: Time(at),
            cause: header("ce-causationid"),
            traceparent: header(TRACEPARENT),
        })
    }
}

/// What it carries may be what must not be logged (S24).
impl fmt::Debug for SagaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaEvent")
            .field("id", &self.id())
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// Where the text is wrong, and not what stands there: that may be what must not be logged.
pub(crate) fn no_event(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            let words = error.to_string();
            // "missing field `said`", "unknown variant …": names of ours.
            let is_ours = words.starts_with("missing field");
            let what = if is_ours { words } else { "a field is of another type".to_owned() };
            format!("it is no whole event: {what} (line {line}, column {column})")
        }
        _ => format!("its body is no JSON (line {line}, column {column})"),
    }
}

/// `reserve_inventory` as `ReserveInventory`.
fn pascal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split(['_', '-', ' ']) {
        let mut chars = word.chars();
        out.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        out.push_str(chars.as_str());
    }
    out
}
