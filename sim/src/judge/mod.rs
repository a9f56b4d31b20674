//! The judge: holds what happened against the laws of `semantics.md` section 6.
//!
//! It believes nothing that the engine says of itself. What is durable it hears from the disk, record by
//! record; what was done it sees in the participants' ledgers; what was promised to a caller the callers
//! tell. It shares with the engine how a fact changes a saga and which effects a state owes
//! (`amends_core`): whether those are right is the explorer's to say.

mod callers;
mod end;
mod facts;
mod ledger;
mod time;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_core::SagaId;

pub use ledger::{Call, Deed, Ledgers, Place, Said, StepLedger};
pub use truth::{Known, Truth};

use crate::marks::Mark;
use crate::plan::Plan;
use crate::trace::Trace;

macro_rules! laws {
    ($($law:ident, $runs:literal: $how:literal,)*) => {
        /// A law of `semantics.md` section 6.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Law { $(#[doc = $how] $law,)* }

        impl Law {
            /// All that the simulator judges.
            pub const ALL: &[Self] = &[$(Self::$law,)*];

            /// How it is checked here.
            pub const fn how(self) -> &'static str {
                match self { $(Self::$law => $how,)* }
            }

            /// In how many runs of a thousand there is something to look at for it, at least: somewhat
            /// less than there was when this was last looked at.
            pub const fn runs_min(self) -> u64 {
                match self { $(Self::$law => $runs,)* }
            }
        }
    };
}

laws! {
    S1, 650: "ledgers at the end of a saga that failed clean",
    S2, 800: "ledgers at the end of a saga that completed",
    S3, 900: "every durable fact",
    S4, 900: "every command that leaves: one body a key; every effect in the ledgers",
    S5, 900: "every command that leaves, against the facts durable at that moment",
    S6, 130: "exceptions at the end against what was heard",
    S7, 800: "every first sending of an undo, and every end as failed, against the state at it",
    S8, 700: "every undo that arrives, against the ledgers of the steps that depend on it",
    S9, 700: "every undo that arrives: the ledger before and after",
    S10, 200: "every action that arrives where a tombstone is",
    S11, 700: "every undo that is sent, against the state before it; every undo that arrives, against the ledger of the pivot",
    S12, 700: "every durable fact after the decision",
    S13, 80: "ledgers of what is never undone, at the end of a saga that turned",
    S14, 900: "every durable record against the owners of its shard",
    S15, 900: "forged and foreign replies: their words in no fact",
    S16, 900: "starts repeated under one key, also after a crash: one saga, and a conflict for other bytes",
    S17, 900: "every state that is read, against its facts replayed; no sending is sent again",
    S18, 900: "every answer to a caller, against what is durable at that moment, and again after every crash",
    S19, 900: "every command that leaves: it is one of the version that the saga is pinned to",
    S20, 900: "every durable record: the next events of its sagas; a flipped bit stops the start",
    S21, 500: "every durable fact that raises attention",
    S22, 800: "every durable time-out, every step given up, every deadline that moves, and every saga that goes on after an outage",
    S23, 900: "every transition that is published, in its order, against the facts durable at that moment, and the other way",
    L1, 900: "every saga at the end: ended, or with attention",
    L2, 900: "every saga at the end: within the sum of deadlines and retries",
    L3, 700: "every saga at the end that compensates",
    L4, 700: "every saga at the end that nobody moved since the faults ended",
    L5, 650: "commands of recovered sagas that leave in each second after a start",
    L6, 900: "every answer while the disk is full or broken; every saga that was acknowledged before",
}

/// A law that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// By which saga, if it was one.
    pub saga: Option<SagaId>,
    /// How.
    pub what: String,
}

/// The most violations that are kept: one mistake breaks much.
const VIOLATIONS_MAX: usize = 20;

/// See the module. Clones are the same judge.
#[derive(Clone)]
pub struct Judge {
    pub(crate) plan: Arc<Plan>,
    trace: Trace,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) truth: Truth,
    pub(crate) ledgers: Ledgers,
    violations: Vec<Violation>,
    checked: BTreeMap<Law, u64>,
    marks: BTreeSet<Mark>,
}

impl Judge {
    /// A judge of a run that is about to begin.
    pub fn new(plan: Arc<Plan>, trace: Trace) -> Self {
        Self { plan, trace, inner: Arc::default() }
    }

    /// A law was looked at, and this is what is wrong, if anything is.
    pub fn check(&self, law: Law, saga: Option<SagaId>, broken: Option<String>) {
        self.inner().check(&self.trace, law, saga, broken);
    }

    /// Something happened that many runs must have seen.
    pub fn mark(&self, mark: Mark) {
        self.inner().marks.insert(mark);
    }

    /// The same, where it happened.
    pub fn mark_if(&self, happened: bool, mark: Mark) {
        if happened {
            self.mark(mark);
        }
    }

    /// What happened that many runs must have seen.
    pub fn marks(&self) -> BTreeSet<Mark> {
        self.inner().marks.clone()
    }

    /// What was broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.inner().violations.clone()
    }

    /// How often each law was looked at.
    pub fn checked(&self) -> BTreeMap<Law, u64> {
        self.inner().checked.clone()
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn check(
        &mut self,
        trace: &Trace,
        law: Law,
        saga: Option<SagaId>,
        broken: Option<String>,
    ) {
        *self.checked.entry(law).or_default() += 1;
        let Some(what) = broken else { return };
        trace.line(saga, format_args!("BROKEN {law:?}: {what}"));
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { law, saga, what });
        }
    }
}
