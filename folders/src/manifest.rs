//! What a folder's manifest says: which sagas are in it, in which states, what their services were
//! asked, and to which end each must come.

use std::collections::BTreeMap;

use amends_core::saga::{ExceptionReason, Saga, Status};
use amends_engine::{Deployed, words};
use serde::{Deserialize, Serialize};

/// A data folder, put into words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version that made it.
    pub version: String,
    /// What it was made of.
    pub formats: Formats,
    /// The wall clock when its process ended, in milliseconds since the Unix epoch.
    pub ended_at: u64,
    /// The definitions in it: type, version, and the hash under which sagas are pinned to it.
    pub definitions: Vec<(String, u32, String)>,
    /// The verbs in its audit, in order.
    pub audit: Vec<String>,
    /// The replies among its orphans.
    pub orphans: Vec<String>,
    /// Its sagas.
    pub sagas: Vec<Listed>,
}

/// The numbers of the formats in a folder.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formats {
    /// Of the folder, which speaks for all the others.
    pub folder: u32,
    /// Of the events.
    pub events: u8,
    /// The SHA-256 of the golden events: every event, field and code that the format then had.
    pub vocabulary_sha256: String,
}

/// A saga of the folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// What it is there for; also its idempotency key.
    pub name: String,
    /// Its identity.
    pub saga_id: String,
    /// What it was started with.
    pub start: Begun,
    /// How it stood when the process ended; `None` for one that cannot be read.
    pub stood: Option<Seen>,
    /// What its services had been asked by then.
    pub asked: Vec<Asked>,
    /// What its steps had done by then.
    pub effects: BTreeMap<String, Effects>,
    /// What people and services do once the folder is open again.
    pub deeds: Vec<Deed>,
    /// How it must end, given that.
    pub end: End,
}

/// How a saga was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Its type.
    pub saga_type: String,
    /// The version it is pinned to.
    pub version: u32,
    /// Its data.
    pub data: serde_json::Value,
}

/// A saga as it can be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many events it has had.
    pub seq: u64,
    /// Its state.
    pub state: String,
    /// Nothing is sent and no timer fires.
    pub paused: bool,
    /// Its business key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_key: Option<String>,
    /// What a person is needed for.
    pub attention: Vec<String>,
    /// What makes its end not clean.
    pub exceptions: Vec<String>,
    /// The status of each run that there is.
    pub steps: BTreeMap<String, String>,
}

/// A command as a participant knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its idempotency key.
    pub key: String,
    /// Its body.
    pub body_sha256: String,
    /// The last attempt that came.
    pub attempt: u32,
    /// The answer that every repeat is given, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Asked {
    /// Is it a command of this step?
    pub fn is_of(&self, step: &str) -> bool {
        self.key.split('/').nth(1) == Some(step)
    }
}

/// What a step has done to the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// How often its action took effect.
    pub done: u32,
    /// How often it was undone.
    pub undone: u32,
}

/// Something that is done to a saga from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A signal, with its body.
    Signal(String, serde_json::Value),
    /// The step takes effect after all, and its service says so.
    SucceedsLate(String),
    /// The service says so again: in a reply that comes by itself.
    RepliesLate(String),
    /// Turn it.
    Cancel,
    /// Send nothing.
    Pause,
    /// Go on.
    Resume,
    /// Send the step's command now.
    Retry(String),
    /// Take the step's command as done.
    ResolveDone(String),
    /// Take the step's action as refused.
    ResolveRefused(String),
    /// Go on without it.
    Skip(String),
    /// Give the step's command another body.
    Edit(String, serde_json::Value),
    /// Give the step an hour more.
    Extend(String),
    /// A contradiction was seen.
    Acknowledge(String),
}

/// How a saga ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its state.
    pub state: String,
    /// What makes the end not clean.
    pub exceptions: Vec<String>,
    /// What a person is still needed for.
    pub attention: Vec<String>,
}

impl Seen {
    /// A saga, put into words that the API has for it.
    pub fn of(saga: &Saga, deployed: &Deployed) -> Self {
        let name = |at| deployed.run_name(saga, at).to_string();
        let attention = saga.attention.iter().map(|attention| {
            let reason = words::reason(attention.reason);
            match attention.run {
                Some(at) => format!("{reason} {}", name(at)),
                None => reason.to_owned(),
            }
        });
        let exceptions = saga.exceptions.iter().map(|exception| {
            let reason = match exception.reason {
                ExceptionReason::Unproven => "unproven",
                ExceptionReason::Skipped => "skipped",
                ExceptionReason::ByHand => "by_hand",
            };
            format!("{reason} {}", name(exception.run))
        });
        let status = |status: Status| words::status(status).to_owned();
        Self {
            seq: saga.seq,
            state: words::state(saga.state).to_owned(),
            paused: saga.paused.is_some(),
            business_key: saga.business_key.as_deref().map(str::to_owned),
            attention: attention.collect(),
            exceptions: exceptions.collect(),
            steps: saga.runs().map(|(at, run)| (name(at), status(run.status))).collect(),
        }
    }

    /// The part of it that an end is about.
    pub fn end(&self) -> End {
        let Self { state, exceptions, attention, .. } = self.clone();
        End { state, exceptions, attention }
    }
}
