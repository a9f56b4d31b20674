//! The judge: says from the participants' ledgers and the sagas' ends, and from nothing else,
//! which promises of `semantics.md` section 6 were broken.
//!
//! It trusts no word of the engine about an effect. What it takes from the caller is how each saga
//! ended and how its steps depend on each other; all else it reads from the [`Evidence`].
//!
//! The order of undos is judged by the machine's monotonic clock, so all participants must have
//! run on one machine and in one boot. It supposes participants that keep tombstones, as those of
//! this repository do.

mod report;
mod rules;

#[cfg(test)]
mod tests;

use crate::evidence::Evidence;

pub use report::{Rule, Verdict, Violation};

/// How a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ended in `completed`.
    Completed,
    /// It ended in `failed`.
    Failed,
    /// It has not ended: only what must hold at every moment is judged.
    Running,
}

/// What a step promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It has a compensation.
    Compensatable,
    /// It only reads.
    ReadOnly,
    /// The point of no return.
    Pivot,
    /// It follows the pivot and never turns back.
    Retriable,
    /// Its failure is only recorded.
    BestEffort,
}

/// A step of a saga that ended; each run of a `for_each` step is one of its own.
#[derive(Clone, Debug)]
pub struct StepFacts {
    /// Its name in keys and replies: `<step>` or `<step>.<i>`.
    pub name: String,
    /// What it promises.
    pub promise: Promise,
    /// The steps that depend on it, directly or not; of a sequence all that come later.
    pub dependents: Vec<String>,
    /// Did its condition hold? A step whose `when` was false must not have run.
    pub wanted: bool,
    /// Did an operator decide it (`skipped`, `by_hand`)? Then nothing is promised of it.
    pub decided_by_hand: bool,
}

/// What the caller knows of a saga.
#[derive(Clone, Debug)]
pub struct SagaFacts {
    /// Its id.
    pub saga_id: String,
    /// How it stands.
    pub ending: Ending,
    /// Without exceptions.
    pub clean: bool,
    /// Its steps in the definition's order, without signals.
    pub steps: Vec<StepFacts>,
}

impl SagaFacts {
    /// A saga whose steps, all compensatable, follow each other.
    pub fn sequence(saga_id: &str, ending: Ending, steps: &[&str]) -> Self {
        let step = |(place, &name): (usize, &&str)| StepFacts {
            name: name.to_owned(),
            promise: Promise::Compensatable,
            dependents: steps[place + 1..].iter().map(|&later| later.to_owned()).collect(),
            wanted: true,
            decided_by_hand: false,
        };
        Self {
            saga_id: saga_id.to_owned(),
            ending,
            clean: true,
            steps: steps.iter().enumerate().map(step).collect(),
        }
    }
}

/// Judges every saga by the ledgers of all participants.
pub fn judge(sagas: &[SagaFacts], evidence: &[Evidence]) -> Verdict {
    rules::judge(sagas, evidence)
}
