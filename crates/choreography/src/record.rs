//! What a service keeps of one saga.

use std::collections::BTreeMap;

use amends_core::choreography::{End, Part};
use amends_core::{StepIx, Time};
use amends_wire::SagaId;
use serde_json::value::RawValue;

use crate::definition::Choreographed;
use crate::event::Reason;

/// What a service keeps of a saga: all that it has heard, and how far its own steps are.
#[derive(Clone, Debug)]
pub struct Record {
    pub(crate) of: Choreographed,
    pub(crate) saga_id: SagaId,
    pub(crate) part: Part,
    /// What the saga was started with, once that is known.
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) results: BTreeMap<StepIx, Box<RawValue>>,
    /// What own steps were asked with: the body of the command, fixed when it was first intended.
    pub(crate) asked: BTreeMap<StepIx, Box<RawValue>>,
    /// Why it is undone, by the first failure that was heard.
    pub(crate) failure: Option<(Option<String>, Reason)>,
    /// The steps that were done, in the order in which that was heard, none before one it waits for.
    pub(crate) order: Vec<StepIx>,
    pub(crate) started_at: Option<Time>,
    pub(crate) clocks: BTreeMap<StepIx, Clock>,
    pub(crate) traceparent: Option<String>,
}

/// The times of one step, as a service sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Since when nothing stands before it.
    pub(crate) ready_at: Option<Time>,
    /// How often it, or its undo, was tried in vain since then.
    pub(crate) tries: u32,
    /// How many of them did not reach the handler.
    pub(crate) unasked: u32,
    /// How often it was refused although it must be done: each time it is asked anew.
    pub(crate) refusals: u16,
    /// When it is tried again.
    pub(crate) again_at: Option<Time>,
    /// Whether it was said to be overdue.
    pub(crate) overdue: bool,
    /// Whether an attempt has left for another process whose answer is not there yet.
    pub(crate) open: bool,
    /// Whether one did of which it is not known what became of it.
    pub(crate) doubtful: bool,
}

/// How far a saga is, as far as a service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It goes forward, or its start was not heard yet.
    Running,
    /// It is to be undone.
    Compensating,
    /// All that was required is done.
    Completed,
    /// All that was done is undone.
    Failed,
}

impl State {
    /// As `semantics.md` calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl Record {
    /// Of a saga of which nothing is known yet.
    pub fn new(of: Choreographed, saga_id: SagaId) -> Self {
        Self {
            of,
            saga_id,
            part: Part::default(),
            data: None,
            results: BTreeMap::new(),
            asked: BTreeMap::new(),
            failure: None,
            order: Vec::new(),
            started_at: None,
            clocks: BTreeMap::new(),
            traceparent: None,
        }
    }

    /// The saga.
    pub fn saga_id(&self) -> SagaId {
        self.saga_id
    }

    /// The definition that it goes by.
    pub fn of(&self) -> &Choreographed {
        &self.of
    }

    /// What is known, as the machine has it.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// What the saga was started with, JSON text, once that was heard.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref().map(RawValue::get)
    }

    /// The result of a step that is done, JSON text.
    pub fn result(&self, step: &str) -> Option<&str> {
        self.results.get(&self.of.named(step)?).map(|result| result.get())
    }

    /// Which step failed, where it was a step, and why, once that was heard.
    pub fn failure(&self) -> Option<(Option<&str>, &Reason)> {
        self.failure.as_ref().map(|(step, reason)| (step.as_deref(), reason))
    }

    /// The W3C trace context that it was started with.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// How far it is.
    pub fn state(&self) -> State {
        match self.part.end(self.of.choreography()) {
            Some(End::Completed) => State::Completed,
            Some(End::Failed) => State::Failed,
            None if self.part.failed && !self.decided() => State::Compensating,
            None => State::Running,
        }
    }

    /// Has the arbiter run? Then nothing is undone any more.
    pub(crate) fn decided(&self) -> bool {
        let arbiter = self.of.choreography().arbiter();
        self.part.completed.union(self.part.skipped).contains(arbiter)
    }

    /// Done and not undone, by name, in the order in which that was heard, none before one it waits
    /// for.
    pub fn completed_steps(&self) -> Vec<String> {
        let stands = |step: &&StepIx| !self.part.compensated.contains(**step);
        self.order.iter().filter(stands).map(|&step| self.of.name(step).to_owned()).collect()
    }

    pub(crate) fn clock(&mut self, step: StepIx) -> &mut Clock {
        self.clocks.entry(step).or_default()
    }
}
