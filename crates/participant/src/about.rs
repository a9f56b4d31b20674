//! What a handler may know of the command that it carries out.

use std::time::{Duration, SystemTime};

use amends_wire::envelope::TRACEPARENT;
use amends_wire::{Headers, SagaId};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tracing::{Span, info_span};

use crate::command::{Command, saga_of};

/// About the command.
#[derive(Clone, Debug)]
pub struct About {
    saga_id: String,
    saga_type: String,
    step: String,
    key: String,
    attempt: u32,
    round: u16,
    deadline: Option<SystemTime>,
    traceparent: Option<String>,
    data: Data,
}

/// Data may hold what must not be logged.
#[derive(Clone)]
struct Data(Bytes);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl About {
    pub(crate) fn of(command: &Command) -> Self {
        Self {
            saga_id: command.saga_id.clone(),
            saga_type: command.saga_type.clone(),
            step: command.id.step_name.clone(),
            key: command.id.to_string(),
            attempt: command.sending.attempt,
            round: command.id.round,
            deadline: command.sending.deadline,
            traceparent: command.sending.traceparent.clone(),
            data: Data(command.data.clone()),
        }
    }

    /// The saga, which is the correlation id of all its messages and log lines.
    pub fn saga_id(&self) -> &str {
        &self.saga_id
    }

    /// The saga's type.
    pub fn saga_type(&self) -> &str {
        &self.saga_type
    }

    /// The step, or `<step>.<n>` for a run of a list.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The command's idempotency key, the same at every sending: what to hand on to a service
    /// outside that takes one.
    pub fn idempotency_key(&self) -> &str {
        &self.key
    }

    /// Which sending of the command this is, from 1; 0 where it is not said.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The command's round, from 1.
    pub const fn round(&self) -> u16 {
        self.round
    }

    /// When the step's deadline passes, where that is said.
    pub const fn deadline(&self) -> Option<SystemTime> {
        self.deadline
    }

    /// How long until then; nothing when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// The W3C trace context that the command came with.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// The action's input, also to its compensation.
    ///
    /// # Errors
    ///
    /// The data does not fit the type.
    pub fn data_as<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.data.0)
    }

    /// The span of its command: all that is logged of it says whose it is.
    pub(crate) fn span(&self, command: &Command) -> Span {
        info_span!(
            "amends_command",
            saga_id = self.saga_id(),
            step = self.step(),
            direction = command.direction().as_str(),
            command = command.name,
            round = self.round(),
            attempt = self.attempt(),
            trace_id = trace_id(self.traceparent()),
        )
    }
}

/// The trace id in a trace context, for log lines.
pub(crate) fn trace_id(traceparent: Option<&str>) -> &str {
    let id = traceparent.and_then(|text| text.split('-').nth(1));
    id.filter(|id| id.len() == 32).unwrap_or_default()
}

/// The span of what is no command: whose it would be, as far as that can be read.
pub(crate) fn span_of_none<H: Headers + ?Sized>(headers: &H, body: &Bytes) -> Span {
    let of_headers = || {
        let names = ["ce-correlationid", "ce_correlationid", "correlationid"];
        names.into_iter().find_map(|name| headers.value(name)?.parse::<SagaId>().ok())
    };
    let saga_id = saga_of(body).or_else(of_headers).map(|id| id.to_string());
    info_span!(
        "amends_no_command",
        saga_id = saga_id.unwrap_or_default(),
        trace_id = trace_id(headers.value(TRACEPARENT)),
    )
}
