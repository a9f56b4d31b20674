//! A choreography as a kit in another language reads it: all that a service has to know, worked out.
//!
//! Such a kit reads no definition files. Its expressions are given as the definition says them, since they
//! are the one part that is not worked out before there is a saga.

use amends_core::Millis;
use amends_core::choreography::Choreography;
use amends_core::definition::{Backoff, Jitter, Kind, Step};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::definition::Choreographed;

/// The form of a plan. A kit refuses a higher one.
pub const PLAN_FORMAT: u32 = 1;

#[derive(Serialize)]
struct Plan<'a> {
    plan: u32,
    saga_type: &'a str,
    version: u32,
    definition_hash: &'a str,
    deadline_ms: Option<u64>,
    arbiter: &'a str,
    data_schema: Option<&'a serde_json::Value>,
    steps: Vec<PlannedStep<'a>>,
}

#[derive(Serialize)]
struct PlannedStep<'a> {
    name: &'a str,
    kind: &'static str,
    service: &'a str,
    action: &'a str,
    compensation: Option<&'a str>,
    after: Vec<&'a str>,
    deadline_ms: u64,
    retry: PlannedRetry,
    undo: PlannedUndo,
    when: Option<&'a str>,
    input: Option<&'a RawValue>,
    flat: bool,
}

#[derive(Serialize)]
struct PlannedRetry {
    max_attempts: Option<u32>,
    backoff: PlannedBackoff,
}

#[derive(Serialize)]
struct PlannedUndo {
    backoff: PlannedBackoff,
}

#[derive(Serialize)]
struct PlannedBackoff {
    initial_ms: u64,
    factor_percent: u32,
    max_ms: u64,
    jitter: &'static str,
}

/// Of the canonical form, what the definition says of its expressions.
#[derive(Deserialize)]
struct Said {
    steps: Vec<Item>,
}

/// A step, or several in parallel.
#[derive(Default, Deserialize)]
struct Item {
    #[serde(default)]
    parallel: Vec<Self>,
    #[serde(default)]
    name: String,
    when: Option<String>,
    input: Option<Box<RawValue>>,
}

impl Choreographed {
    /// What a kit in another language needs to run it: JSON, indented.
    pub fn plan(&self) -> String {
        let of = self.choreography();
        // The canonical form is the definition's own, so it is what is read here.
        let said: Said =
            serde_json::from_slice(&self.compiled().pinned).unwrap_or(Said { steps: Vec::new() });
        let said: Vec<&Item> = said.steps.iter().flat_map(Item::steps).collect();
        let steps = of.definition().steps().iter().map(|step| {
            let said = said.iter().find(|item| item.name == *step.name).copied();
            self.planned(of, step, said)
        });
        let plan = Plan {
            plan: PLAN_FORMAT,
            saga_type: self.saga_type(),
            version: self.version(),
            definition_hash: self.hash(),
            deadline_ms: of.definition().deadline().map(|Millis(ms)| ms),
            arbiter: self.name(of.arbiter()),
            data_schema: self.compiled().data_schema.as_deref().map(|schema| schema.schema()),
            steps: steps.collect(),
        };
        // Names, numbers and JSON that was read as such.
        serde_json::to_string_pretty(&plan).unwrap_or_default()
    }

    fn planned<'a>(
        &self,
        of: &'a Choreography,
        step: &'a Step,
        said: Option<&'a Item>,
    ) -> PlannedStep<'a> {
        // A choreography has no step without an action.
        let (service, action) =
            step.action().map_or(("", ""), |action| (&*action.service, &*action.name));
        let binding = self.compiled().bindings.get(service);
        PlannedStep {
            name: &step.name,
            kind: kind(step.kind),
            service,
            action,
            compensation: step.compensation().map(|undo| &*undo.name),
            after: step.after.iter().map(|before| &*of.definition().step(before).name).collect(),
            deadline_ms: step.deadline.0,
            retry: PlannedRetry {
                max_attempts: step.retry.max_attempts,
                backoff: PlannedBackoff::of(step.retry.backoff),
            },
            undo: PlannedUndo { backoff: PlannedBackoff::of(step.undo.backoff) },
            when: said.and_then(|said| said.when.as_deref()),
            input: said.and_then(|said| said.input.as_deref()),
            flat: binding.is_none_or(|binding| binding.flat),
        }
    }
}

impl Item {
    fn steps(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.parallel)
    }
}

impl PlannedBackoff {
    const fn of(backoff: Backoff) -> Self {
        let Backoff { initial, factor_percent, max, jitter } = backoff;
        let jitter = match jitter {
            Jitter::Full => "full",
            Jitter::None => "none",
        };
        Self { initial_ms: initial.0, factor_percent, max_ms: max.0, jitter }
    }
}

/// As a definition file says it.
const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Compensatable => "compensatable",
        Kind::Pivot => "pivot",
        Kind::Retriable => "retriable",
        Kind::BestEffort => "best_effort",
    }
}
