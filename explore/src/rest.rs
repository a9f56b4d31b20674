//! Liveness: what is a rest, and which moves lead there when nothing more goes wrong (L1, L3).
//!
//! A move is *onward* when everybody answers by it and nobody is overtaken by time. Faults, verbs
//! and cancels are budgeted, so that a saga that never rests would do onward moves for ever. The
//! search keeps them, and looks [`backwards`](crate::backwards) from the rests.

use amends_core::definition::Fence;
use amends_core::saga::{Attention, Reason};
use amends_core::{Saga, rules};

use crate::model::{Act, Action, Scene};
use crate::world::{Leg, World};

/// In what way a saga may stay as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// It ended, owes nothing, and has no attention whose cause is gone.
    pub ended: bool,
    /// It waits for a person by rule.
    pub person: bool,
    /// It is a person's once one has meddled: an answer contradicts what they said.
    pub contradicted: bool,
}

/// Is this what happens when nothing more goes wrong?
pub fn onward(scene: &Scene, world: &World, action: Action) -> bool {
    if world.saga.paused.is_some() {
        return matches!(action, Action::Verb(_, Act::Resume));
    }
    match action {
        Action::Send(..) | Action::Hear(_) => true,
        Action::Evaluate(_, worth) => worth != crate::model::Worth::Error,
        Action::Arrive(packet, choice) => {
            let ledger = &world.ledgers[scene.ledger_index(packet.run)];
            let as_it_should = scene.participant(packet.run).choices(ledger, &packet)[0].0;
            debug_assert!(matches!(packet.leg, Leg::Command | Leg::Job));
            choice == as_it_should
        }
        Action::Advance => world.packets.is_empty() && world.idle(),
        _ => false,
    }
}

/// Is the state one at which a saga may stay?
pub fn rests(scene: &Scene, world: &World) -> bool {
    let rest = world.saga.rest;
    let still = || world.packets.is_empty() && world.idle() && world.saga.due.is_none();
    rest.person
        || (rest.contradicted && world.left.verbs < scene.left.verbs)
        || (rest.ended && still())
}

/// Has it ended, or been told to a person?
pub fn ended_or_told(saga: &Saga) -> bool {
    saga.state.ended() || !saga.attention.is_empty()
}

/// How a saga rests.
pub fn of(scene: &Scene, saga: &Saga) -> Rest {
    Rest {
        ended: at_rest(scene, saga),
        person: persons(scene, saga),
        contradicted: saga.attention.iter().any(|item| item.reason == Reason::Contradicted),
    }
}

/// Has it ended, owing nothing, and with no attention whose cause is gone?
fn at_rest(scene: &Scene, saga: &Saga) -> bool {
    saga.state.ended()
        && !rules::live(&scene.def, saga)
        && saga.attention.iter().all(|attention| attention.reason == Reason::Contradicted)
}

/// Does it wait for a person by rule?
fn persons(scene: &Scene, saga: &Saga) -> bool {
    saga.attention.iter().any(|attention| is_persons(scene, attention))
}

/// Is this a person's by rule? For a service that can neither repeat an answer nor fence, for one
/// that carried out what it had refused when nobody may undo it, and for an expression that failed
/// after the point of no return.
pub(crate) fn is_persons(scene: &Scene, attention: &Attention) -> bool {
    let fence = attention.run.map(|run| scene.part(run).fence);
    match attention.reason {
        Reason::Expression => true,
        Reason::OutcomeUnknown | Reason::PivotUnknown | Reason::RetriableSlow => {
            fence == Some(Some(Fence::None))
        }
        Reason::Contradicted => !matches!(fence, Some(Some(Fence::Barrier | Fence::Settle))),
        _ => false,
    }
}
