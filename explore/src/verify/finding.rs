//! What a state shows to whoever wrote the definition: how a saga ends, and what a person is told.

use amends_core::StepIx;
use amends_core::saga::{Attention, ExceptionReason, Reason, State};

use crate::model::Scene;
use crate::rest;
use crate::world::World;

/// Something that a state shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observation {
    /// It has ended, nothing is under way, and nobody is needed.
    End(End),
    /// It needs a person, who alone can decide it.
    Person(Trouble, StepIx),
    /// A person is told; it goes by itself when the service answers.
    Told(Reason, Option<StepIx>),
}

/// How a saga ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// All done.
    Completed,
    /// Failed, and what was done is undone.
    RolledBack,
    /// Failed, and nothing was to be undone.
    NothingDone,
    /// Failed, and not clean.
    NotClean,
}

/// What a person has to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A compensatable step without a fence may have happened.
    OutcomeUnknown,
    /// A pivot without a fence may have happened, and refuses every repeat.
    PivotUnknown,
    /// A retriable step without a fence may have happened, and refuses every repeat.
    RetriableSlow,
    /// What was refused has happened after all, and may not be undone.
    Contradicted,
    /// An expression failed after the point of no return.
    Expression,
    /// It was undone, and nobody knows whether it had happened.
    Unproven,
}

/// All that a state shows.
pub type Observed = Vec<Observation>;

pub(super) fn observed(scene: &Scene, world: &World) -> Observed {
    let saga = &*world.saga;
    let mut observed = Vec::new();
    for attention in &saga.attention {
        let step = attention.run.map(|run| run.step);
        match trouble(scene, world, attention).zip(step) {
            // While something is on its way it may go by itself.
            Some((trouble, step)) if world.packets.is_empty() => {
                observed.push(Observation::Person(trouble, step));
            }
            Some(_) => {}
            None => observed.push(Observation::Told(attention.reason, step)),
        }
    }
    let over = saga.state.ended() && world.packets.is_empty() && !saga.live;
    if !over {
        return observed;
    }
    for exception in saga.exceptions.iter().filter(|e| e.reason == ExceptionReason::Unproven) {
        observed.push(Observation::Person(Trouble::Unproven, exception.run.step));
    }
    let alone = observed.is_empty();
    match saga.state {
        State::Completed if alone => observed.push(Observation::End(End::Completed)),
        State::Failed if alone => {
            let undone = world.ledgers.iter().any(|ledger| ledger.undone > 0);
            let end = if undone { End::RolledBack } else { End::NothingDone };
            observed.push(Observation::End(end));
        }
        State::Failed if !saga.clean() => observed.push(Observation::End(End::NotClean)),
        _ => {}
    }
    observed
}

/// What a person has to decide about it, if that is so by rule.
fn trouble(scene: &Scene, world: &World, attention: &Attention) -> Option<Trouble> {
    let done = || attention.run.is_some_and(|run| world.ledgers[scene.ledger_index(run)].done > 0);
    if !rest::is_persons(scene, attention) {
        return None;
    }
    match attention.reason {
        Reason::OutcomeUnknown => Some(Trouble::OutcomeUnknown),
        // What has not happened will, when the service is asked again.
        Reason::PivotUnknown => done().then_some(Trouble::PivotUnknown),
        Reason::RetriableSlow => done().then_some(Trouble::RetriableSlow),
        Reason::Contradicted => Some(Trouble::Contradicted),
        Reason::Expression => Some(Trouble::Expression),
        _ => None,
    }
}
