//! Liveness: from every state, once nothing more goes wrong, the saga comes to an end, or to a
//! person where the rules say that it waits for one (L1, L3).
//!
//! `stateright`'s own `eventually` overlooks cycles, so this follows one fault-free continuation
//! of each state to its rest. Where it passes a state from which another has come to rest before,
//! it stops: a state is followed once.

use amends_core::definition::Fence;
use amends_core::saga::Reason;
use amends_core::{RunRef, StepIx, effects, rules};

use crate::model::{Act, Action, Scene, Worth};
use crate::stage::Stage;
use crate::world::{Leg, NOW, World};

/// More moves than any shape of three steps needs to its rest.
const MOVES_MAX: usize = 500;

/// Does the saga come to rest as it should?
pub fn comes_to_rest(scene: &Scene, world: &World) -> bool {
    if world.broken.is_some() {
        return true;
    }
    let mut passed = Vec::new();
    let mut followed = None;
    for _ in 0..MOVES_MAX {
        let world = followed.as_ref().unwrap_or(world);
        let hash = world.hash_without_faults();
        let known = scene.resting.lock().is_ok_and(|resting| resting.contains(&hash));
        passed.push(hash);
        let action = next(scene, world);
        if known || persons(scene, world) || (action.is_none() && at_rest(scene, world)) {
            if let Ok(mut resting) = scene.resting.lock() {
                resting.extend(passed);
            }
            return true;
        }
        let Some((after, _)) = action.and_then(|a| Stage::new(scene, world, false).play(a)) else {
            return false;
        };
        followed = Some(after);
    }
    false
}

/// What happens next when nothing goes wrong and everybody answers.
pub fn next(scene: &Scene, world: &World) -> Option<Action> {
    if world.saga.paused.is_some() {
        return Some(Action::Verb(RunRef::only(StepIx(0)), Act::Resume));
    }
    if let Some(&packet) = world.packets.first() {
        return Some(match packet.leg {
            Leg::Answer(_) | Leg::Callback(_) => Action::Hear(packet),
            Leg::Command | Leg::Job => {
                let ledger = &world.ledgers[Scene::ledger_index(packet.run)];
                let choices = scene.participant(packet.run).choices(ledger, &packet);
                Action::Arrive(packet, choices[0].0)
            }
        });
    }
    if let Some(&step) = effects::evaluations(&scene.def, &world.saga).first() {
        return Some(Action::Evaluate(step, Worth::Yes));
    }
    if let Some((run, direction)) = scene.owed_now(world).next() {
        return Some(Action::Send(run, direction));
    }
    effects::next_due(&scene.def, &world.saga, NOW).map(|_| Action::Advance)
}

/// Has it ended, owing nothing, and with no attention whose cause is gone?
fn at_rest(scene: &Scene, world: &World) -> bool {
    let attention = &world.saga.attention;
    world.saga.state.ended()
        && !rules::live(&scene.def, &world.saga)
        && attention.iter().all(|attention| attention.reason == Reason::Contradicted)
}

/// Does it wait for a person by rule? For a service that can neither repeat an answer nor fence, for
/// one that carried out what it had refused when nobody may undo it, and for an expression that
/// failed after the point of no return.
fn persons(scene: &Scene, world: &World) -> bool {
    world.saga.attention.iter().any(|attention| {
        let fence = attention.run.map(|run| scene.shape.steps[run.step.get()].fence);
        match attention.reason {
            Reason::Expression => true,
            Reason::OutcomeUnknown | Reason::PivotUnknown | Reason::RetriableSlow => {
                fence == Some(Some(Fence::None))
            }
            Reason::Contradicted => {
                !matches!(fence, Some(Some(Fence::Barrier | Fence::Settle)))
                    || world.left.verbs < scene.left.verbs
            }
            _ => false,
        }
    })
}
