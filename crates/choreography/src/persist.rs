//! A record as it is stored: JSON, steps by their names, so that a person can read it too.

use std::collections::BTreeMap;

use amends_core::choreography::Part;
use amends_core::{StepIx, StepSet, Time};
use amends_wire::SagaId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::definition::Choreographed;
use crate::event::Reason;
use crate::record::{Clock, Record};

/// The form of a stored record. A higher one is not read.
pub const RECORD_FORMAT: u32 = 1;

/// Why a stored record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A later version wrote it.
    #[error(
        "it is of format {0}, and this version reads {RECORD_FORMAT}: run the version that wrote it"
    )]
    Newer(u64),
    /// It is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It goes by a definition that is not there.
    #[error(
        "it goes by the definition {hash}, version {version} of {saga_type}, which this service does not have"
    )]
    Definition {
        /// The saga type.
        saga_type: String,
        /// The version.
        version: u32,
        /// The hash.
        hash: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    saga_type: String,
    version: u32,
    definition_hash: String,
    started_at: Option<u64>,
    failed: bool,
    completed: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    never_ran: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    compensated: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    begun: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waived: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<StoredFailure>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    clocks: BTreeMap<String, StoredClock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    results: BTreeMap<String, Box<RawValue>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    asked: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
struct StoredFailure {
    step: Option<String>,
    reason: Reason,
}

#[derive(Serialize, Deserialize)]
struct StoredClock {
    ready_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    tries: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    unasked: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    refusals: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again_at: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    overdue: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    open: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    doubtful: bool,
}

fn is_zero<N: PartialEq + Default>(n: &N) -> bool {
    *n == N::default()
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

impl Record {
    /// As it is stored.
    pub fn to_json(&self) -> String {
        let of = &self.of;
        let names = |set: StepSet| set.iter().map(|step| of.name(step).to_owned()).collect();
        let texts = |texts: &BTreeMap<StepIx, Box<RawValue>>| {
            texts.iter().map(|(&step, text)| (of.name(step).to_owned(), text.clone())).collect()
        };
        let clock = |clock: &Clock| StoredClock {
            ready_at: clock.ready_at.map(|at| at.0),
            tries: clock.tries,
            unasked: clock.unasked,
            refusals: clock.refusals,
            again_at: clock.again_at.map(|at| at.0),
            overdue: clock.overdue,
            open: clock.open,
            doubtful: clock.doubtful,
        };
        let Part { started: _, failed, completed, skipped, never_ran, compensated, begun, waived } =
            self.part;
        // In the order in which they were heard; a step that is undone had run, whoever says so first.
        let heard = self.order.iter().copied();
        let rest = completed.iter().filter(|step| !self.order.contains(step));
        let stored = Stored {
            format: RECORD_FORMAT,
            saga_type: of.saga_type().to_owned(),
            version: of.version(),
            definition_hash: of.hash().to_owned(),
            started_at: self.started_at.map(|at| at.0),
            failed,
            completed: heard.chain(rest).map(|step| of.name(step).to_owned()).collect(),
            skipped: names(skipped),
            never_ran: names(never_ran),
            compensated: names(compensated),
            begun: names(begun),
            waived: names(waived),
            failure: self.failure.clone().map(|(step, reason)| StoredFailure { step, reason }),
            clocks: self
                .clocks
                .iter()
                .map(|(&step, c)| (of.name(step).to_owned(), clock(c)))
                .collect(),
            traceparent: self.traceparent.clone(),
            data: self.data.clone(),
            results: texts(&self.results),
            asked: texts(&self.asked),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads it back. `definition` finds the one with a hash.
    ///
    /// # Errors
    ///
    /// It is damaged, of a later version, or its definition is not there.
    pub fn from_json(
        saga_id: SagaId,
        text: &str,
        definition: impl FnOnce(&str) -> Option<Choreographed>,
    ) -> Result<Self, Foreign> {
        let damaged = |error: serde_json::Error| {
            Foreign::Damaged(format!("line {}, column {}", error.line(), error.column()))
        };
        let head: Head = serde_json::from_str(text).map_err(damaged)?;
        if head.format > RECORD_FORMAT.into() {
            return Err(Foreign::Newer(head.format));
        }
        let stored: Stored = serde_json::from_str(text).map_err(damaged)?;
        let Some(of) = definition(&stored.definition_hash) else {
            let Stored { saga_type, version, definition_hash: hash, .. } = stored;
            return Err(Foreign::Definition { saga_type, version, hash });
        };
        let named = |name: &String| {
            of.named(name).ok_or_else(|| Foreign::Damaged(format!("it has no step {name:?}")))
        };
        let set = |names: &[String]| names.iter().map(named).collect::<Result<StepSet, _>>();
        let texts = |texts: BTreeMap<String, Box<RawValue>>| {
            texts
                .into_iter()
                .map(|(name, text)| Ok((named(&name)?, text)))
                .collect::<Result<_, _>>()
        };
        let clock = |(name, clock): (&String, &StoredClock)| {
            let (ready_at, again_at) = (clock.ready_at.map(Time), clock.again_at.map(Time));
            let StoredClock { tries, unasked, refusals, overdue, open, doubtful, .. } = *clock;
            // One that is damaged must not have more of them than tries.
            let unasked = unasked.min(tries);
            let clock =
                Clock { ready_at, tries, unasked, refusals, again_at, overdue, open, doubtful };
            Ok((named(name)?, clock))
        };
        Ok(Self {
            saga_id,
            part: Part {
                started: stored.started_at.is_some(),
                failed: stored.failed,
                completed: set(&stored.completed)?,
                skipped: set(&stored.skipped)?,
                never_ran: set(&stored.never_ran)?,
                compensated: set(&stored.compensated)?,
                begun: set(&stored.begun)?,
                waived: set(&stored.waived)?,
            },
            data: stored.data,
            results: texts(stored.results)?,
            asked: texts(stored.asked)?,
            failure: stored.failure.map(|failure| (failure.step, failure.reason)),
            order: stored.completed.iter().map(named).collect::<Result<_, _>>()?,
            started_at: stored.started_at.map(Time),
            clocks: stored.clocks.iter().map(clock).collect::<Result<_, _>>()?,
            traceparent: stored.traceparent,
            of: of.clone(),
        })
    }
}
