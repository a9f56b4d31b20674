//! What a service keeps of one run.

use std::collections::BTreeMap;

use amends_core::Time;
use amends_wire::SagaId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::carried::Carried;

/// What a service keeps of a run: what it has heard, and what it has done.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) saga_id: SagaId,
    pub(super) choreography: String,
    /// The events that have come, in that order, each once; with what they carry while a reaction needs it.
    pub(super) heard: Vec<(String, Option<Carried>)>,
    /// The reactions that have taken place, by their keys.
    pub(super) taken: BTreeMap<String, Taken>,
    /// Those that were tried in vain.
    pub(super) clocks: BTreeMap<String, Clock>,
    pub(super) traceparent: Option<String>,
}

/// A reaction that has taken place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) outcome: Outcome,
    /// Of an action that may be undone yet: what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Box<RawValue>>,
}

/// How a reaction went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its action is done.
    Done,
    /// Its action has failed, and had no effect.
    Failed,
    /// Its action, a best effort, was gone on without.
    WentOn,
    /// Its undo came first: it did nothing and said nothing, and never will.
    Barred,
    /// What it undoes is undone.
    Undone,
    /// There was nothing to undo, and will not be.
    NothingToUndo,
    /// It had only something to say.
    Said,
}

/// How often a reaction was tried in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Clock {
    pub(super) tries: u32,
    /// How many of them did not reach the handler.
    pub(super) unasked: u32,
    /// How often it was refused although it must be done: each time it is asked anew.
    pub(super) refusals: u16,
    /// When it is tried again, in milliseconds since 1970.
    pub(super) again_at: Option<u64>,
    /// Whether it is not known what became of the last one.
    pub(super) doubtful: bool,
}

impl Record {
    /// Of a run of which nothing is known yet.
    pub fn new(choreography: &str, saga_id: SagaId) -> Self {
        Self {
            saga_id,
            choreography: choreography.to_owned(),
            heard: Vec::new(),
            taken: BTreeMap::new(),
            clocks: BTreeMap::new(),
            traceparent: None,
        }
    }

    /// The run.
    pub fn saga_id(&self) -> SagaId {
        self.saga_id
    }

    /// The choreography.
    pub fn choreography(&self) -> &str {
        &self.choreography
    }

    /// The events of interest to this service that have come, in that order.
    pub fn heard(&self) -> impl Iterator<Item = &str> {
        self.heard.iter().map(|(event, _)| event.as_str())
    }

    /// The reactions of this service that have taken place, and how each went: an action by its name
    /// (`InventoryService.ReserveInventory`), an undo as `undo … on …`, what is only said as `say … on …`.
    pub fn reactions(&self) -> impl Iterator<Item = (&str, Outcome)> {
        self.taken.iter().map(|(key, taken)| (key.as_str(), taken.outcome))
    }

    /// The trace that it is part of.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    pub(super) fn has_heard(&self, event: &str) -> bool {
        self.heard().any(|heard| heard == event)
    }
}

impl Clock {
    pub(super) fn rests(&self, now: Time) -> bool {
        self.again_at.is_some_and(|at| at > now.0)
    }
}
