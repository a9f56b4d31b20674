//! A record as it is stored: JSON, everything by its name, so that a person can read it too, and a file
//! that is changed while runs are going finds what it knows.

use std::collections::BTreeMap;

use amends_wire::SagaId;
use serde::{Deserialize, Serialize};

use super::carried::Carried;
use super::record::{Clock, Record, Taken};
use crate::persist::Foreign;

/// The form of a stored record. A higher one is not read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    choreography: String,
    heard: Vec<StoredEvent>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reactions: BTreeMap<String, Taken>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tried: BTreeMap<String, Clock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

impl Record {
    /// As it is stored.
    pub fn to_json(&self) -> String {
        let heard = self.heard.iter().cloned();
        let stored = Stored {
            format: FORMAT,
            choreography: self.choreography.clone(),
            heard: heard.map(|(event, carried)| StoredEvent { event, carried }).collect(),
            reactions: self.taken.clone(),
            tried: self.clocks.clone(),
            traceparent: self.traceparent.clone(),
        };
        // Texts, numbers and JSON that was read as such.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads it back.
    ///
    /// # Errors
    ///
    /// It is damaged, or of a later version.
    pub fn from_json(saga_id: SagaId, text: &str) -> Result<Self, Foreign> {
        let damaged = |error: serde_json::Error| {
            Foreign::Damaged(format!("line {}, column {}", error.line(), error.column()))
        };
        let head: Head = serde_json::from_str(text).map_err(damaged)?;
        if head.format > FORMAT.into() {
            return Err(Foreign::Newer(head.format));
        }
        let stored: Stored = serde_json::from_str(text).map_err(damaged)?;
        Ok(Self {
            saga_id,
            choreography: stored.choreography,
            heard: stored.heard.into_iter().map(|of| (of.event, of.carried)).collect(),
            taken: stored.reactions,
            clocks: stored.tried,
            traceparent: stored.traceparent,
        })
    }
}
