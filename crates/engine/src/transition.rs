//! Transitions: what changed, for whoever watches. Published after they are durable (S23).

use std::sync::Arc;

use amends_core::saga::{Saga, State, Status};
use amends_core::{RunRef, SagaId, Time};

use crate::deployed::Deployed;
use crate::words;

/// One change of a saga or of one of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The saga.
    pub saga_id: SagaId,
    /// Its type.
    pub saga_type: Arc<str>,
    /// The last event of the decision that brought it about: `<saga_id>/<seq>` names it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The saga's state; `None` before it started.
    Saga {
        /// From.
        from: Option<State>,
        /// To.
        to: State,
    },
    /// A step's status, its run named as in keys and URLs.
    Step {
        /// The step.
        step_name: Arc<str>,
        /// From.
        from: Status,
        /// To.
        to: Status,
    },
    /// What a person is needed for: how many things now.
    Attention {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// It was paused or resumed.
    Paused(bool),
}

impl Transition {
    /// Writes it to the log, the way every change is written: `saga_id`, `step_name`,
    /// `old_state → new_state`.
    pub(crate) fn log(&self) {
        let saga_id = &self.saga_id;
        let saga_type = &*self.saga_type;
        match &self.change {
            Change::Saga { from, to } => {
                let from = from.map_or("-", words::state);
                tracing::debug!(%saga_id, saga_type, "{from} → {}", words::state(*to));
            }
            Change::Step { step_name, from, to } => {
                let (from, to) = (words::status(*from), words::status(*to));
                tracing::debug!(%saga_id, saga_type, %step_name, "{from} → {to}");
            }
            Change::Attention { from, to } => {
                tracing::warn!(%saga_id, saga_type, "attention: {from} → {to}");
            }
            Change::Paused(paused) => tracing::info!(%saga_id, saga_type, paused),
        }
    }
}

/// What of a saga is watched, before something happened to it; nothing before its start.
#[derive(Default)]
pub struct Watched {
    state: Option<State>,
    statuses: Vec<(RunRef, Status)>,
    attention: usize,
    paused: bool,
}

impl Watched {
    pub fn of(saga: &Saga) -> Self {
        Self {
            state: Some(saga.state),
            statuses: saga.runs().map(|(at, run)| (at, run.status)).collect(),
            attention: saga.attention.len(),
            paused: saga.paused.is_some(),
        }
    }

    /// What has changed since. A saga begins before its steps do, and turns or ends with what
    /// happened to them.
    pub fn changes(&self, deployed: &Deployed, saga: &Saga) -> Vec<Change> {
        let changed = Change::Saga { from: self.state, to: saga.state };
        let (first, last) = match self.state {
            None => (Some(changed), None),
            Some(state) => (None, (state != saga.state).then_some(changed)),
        };
        let mut changes: Vec<Change> = first.into_iter().collect();
        for (at, run) in saga.runs() {
            let from = self.status(at);
            if from != run.status {
                let step_name = deployed.run_name(saga, at);
                changes.push(Change::Step { step_name, from, to: run.status });
            }
        }
        if self.paused != saga.paused.is_some() {
            changes.push(Change::Paused(saga.paused.is_some()));
        }
        if self.attention != saga.attention.len() {
            changes.push(Change::Attention { from: self.attention, to: saga.attention.len() });
        }
        changes.extend(last);
        changes
    }

    fn status(&self, at: RunRef) -> Status {
        let known = self.statuses.iter().find(|(run, _)| *run == at);
        known.map_or(Status::Pending, |(_, status)| *status)
    }
}
