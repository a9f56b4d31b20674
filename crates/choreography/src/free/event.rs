//! An event of a free choreography, as it travels.

use std::time::{Duration, UNIX_EPOCH};

use amends_core::Time;
use amends_transport::{Kind, Message};
use amends_wire::envelope::{DATACONTENTTYPE, TRACEPARENT, rfc3339};
use amends_wire::{Headers, SagaId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::carried::{Carried, Data};
use crate::event::{EVENT_BYTES_MAX, Reason, Unreadable, no_event};

/// The form of the body. A higher one is of a later version, which may say what this one cannot know.
const FORMAT: u32 = 1;

/// The header that says of which choreography an event is, whatever became of its body. Other events may
/// share the place.
const AMENDS_CHOREOGRAPHY: &str = "amends-choreography";

/// The SagaContext that every event carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Context {
    /// The run.
    pub saga_id: String,
    /// The place of the reaction that says it in the file, from 1; 0 of a start.
    #[serde(default)]
    pub step: u32,
    /// What it, and the events before it on its way, have added.
    pub data: Data,
    /// The actions on its way that are done and not undone, in that order.
    #[serde(default)]
    pub completed_steps: Vec<String>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The run.
    pub saga_id: SagaId,
    /// Which choreography.
    pub choreography: String,
    /// Its name: `InventoryReserved`.
    pub name: String,
    /// The place of the reaction that says it, from 1; 0 of a start.
    pub step: u32,
    /// What it carries.
    pub carried: Carried,
    /// Of a failure, and of a best effort that was gone on without: why.
    pub reason: Option<Reason>,
    /// Who says it; empty where that is not said.
    pub by: String,
    /// When it was said, by the clock of whoever says it.
    pub at: Option<Time>,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
}

/// The body. A service without the kit has to write no more than `type`, `choreography` and `context`.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    format: u32,
    choreography: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saga_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default)]
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    context: Context,
}

/// What tells an event of ours from others, in the body.
#[derive(Deserialize)]
struct Mark {
    format: Option<u64>,
    choreography: Option<String>,
    context: Option<serde::de::IgnoredAny>,
}

impl Event {
    /// The same whoever publishes it how often, since it says the same.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.saga_id, self.step, self.name)
    }

    /// The message that carries it.
    pub fn message(&self) -> Message {
        let (id, name) = (self.id(), self.name.clone());
        let attribute = |name: &str, value: String| (name.to_owned(), value);
        let mut attributes = vec![
            attribute("specversion", "1.0".to_owned()),
            attribute("id", id.clone()),
            attribute("source", format!("/services/{}", self.by)),
            attribute("type", name.clone()),
            attribute("correlationid", self.saga_id.to_string()),
            attribute(DATACONTENTTYPE, "application/json".to_owned()),
            attribute(AMENDS_CHOREOGRAPHY, self.choreography.clone()),
        ];
        attributes.extend(self.at.iter().map(|at| attribute("time", rfc3339(at.0))));
        attributes.extend(self.traceparent.iter().map(|t| attribute(TRACEPARENT, t.clone())));
        let saga_id = self.saga_id.to_string();
        Message { id, saga_id, kind: Kind::Event, name, attributes, body: self.body() }
    }

    fn body(&self) -> Bytes {
        let body = Body {
            name: self.name.clone(),
            format: FORMAT,
            choreography: self.choreography.clone(),
            saga_id: Some(self.saga_id.to_string()),
            reason: self.reason.clone(),
            by: self.by.clone(),
            at: self.at.map(|at| rfc3339(at.0)),
            context: Context {
                saga_id: self.saga_id.to_string(),
                step: self.step,
                data: self.carried.data.clone(),
                completed_steps: self.carried.completed_steps.clone(),
            },
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
        let is_marked = headers.value(AMENDS_CHOREOGRAPHY).is_some();
        let damaged = |why: String| {
            if is_marked { Unreadable::Damaged(why) } else { Unreadable::NotOurs }
        };
        if body.len() > EVENT_BYTES_MAX {
            return Err(damaged(format!("it has over {EVENT_BYTES_MAX} bytes")));
        }
        let mark: Mark = serde_json::from_slice(body).map_err(|e| damaged(no_event(&e)))?;
        if !is_marked && (mark.choreography.is_none() || mark.context.is_none()) {
            return Err(Unreadable::NotOurs);
        }
        if let Some(format) = mark.format.filter(|format| *format > FORMAT.into()) {
            return Err(Unreadable::Newer(format));
        }
        let read: Body =
            serde_json::from_slice(body).map_err(|e| Unreadable::Damaged(no_event(&e)))?;
        Self::of(read, headers).map_err(Unreadable::Damaged)
    }

    fn of<H: Headers + ?Sized>(read: Body, headers: &H) -> Result<Self, String> {
        let Context { saga_id: id, step, data, completed_steps } = read.context;
        let saga_id: SagaId =
            id.parse().map_err(|_| "the `saga_id` of its context is no UUID".to_owned())?;
        if read.saga_id.is_some_and(|said| said != id) {
            return Err("its context is of another saga than itself".to_owned());
        }
        let header = |name: &str| headers.value(name).map(str::to_owned);
        let at = read.at.or_else(|| header("ce-time"));
        let at =
            at.map(|at| time(&at).ok_or("its time is no RFC 3339 time since 1970")).transpose()?;
        Ok(Self {
            saga_id,
            choreography: read.choreography,
            name: read.name,
            step,
            carried: Carried { data, completed_steps },
            reason: read.reason.map(|reason| Reason::new(&reason.code, &reason.message)),
            by: read.by,
            at,
            traceparent: header(TRACEPARENT),
        })
    }
}

fn time(text: &str) -> Option<Time> {
    let since: Duration = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}
