//! A saga as it is: what a program asks of it, without the machine's own types.

use amends_core::saga::{State, Status};
use amends_core::{RunRef, SagaId};
use amends_engine::Snapshot;
use serde::de::DeserializeOwned;

/// A saga as it is durably.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: Snapshot,
}

impl View {
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// Its id.
    pub fn id(&self) -> SagaId {
        self.snapshot.saga.id
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.snapshot.saga.state
    }

    /// Did it come to its end with all done?
    pub fn completed(&self) -> bool {
        self.state() == State::Completed
    }

    /// Did it come to an end without exceptions: all done, or all undone?
    pub fn clean(&self) -> bool {
        self.state().ended() && self.snapshot.saga.clean()
    }

    /// Which version of its type it is pinned to.
    pub fn version(&self) -> u32 {
        self.snapshot.saga.pinned.version
    }

    /// Does it need a person?
    pub fn needs_attention(&self) -> bool {
        !self.snapshot.saga.attention.is_empty()
    }

    /// What a step answered; `None` where it did not, or where there is no such step.
    pub fn result<R: DeserializeOwned>(&self, step: &str) -> Option<serde_json::Result<R>> {
        let run = self.snapshot.saga.run(self.run_of(step)?)?;
        Some(serde_json::from_slice(run.result.as_ref()?.bytes()))
    }

    /// Where a step stands; `None` where it has not begun, was left out, or is not there.
    pub fn status(&self, step: &str) -> Option<Status> {
        Some(self.snapshot.saga.run(self.run_of(step)?)?.status)
    }

    /// Why a step failed: its code, where it gave one, and its words.
    pub fn error(&self, step: &str) -> Option<(Option<&str>, &str)> {
        let fault = self.snapshot.saga.run(self.run_of(step)?)?.error.as_ref()?;
        Some((fault.code.as_deref(), &fault.message))
    }

    /// The whole of it.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn run_of(&self, step: &str) -> Option<RunRef> {
        self.snapshot.deployed.run_of(step)
    }
}
