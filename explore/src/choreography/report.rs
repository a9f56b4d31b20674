//! A counterexample, readable: each move, and what was said because of it.

use std::fmt::Write;

use super::moves::play;
use super::plan::Broken;
use super::scene::{Scene, Spec, World};

/// Tells how it comes to the law being broken.
pub fn trace(broken: &Broken) -> String {
    let Spec { shape, services, hands, .. } = &broken.spec;
    let mut text = format!("{}\n", broken.law.name());
    let _ = writeln!(text, "  choreography {shape}, steps at services {services:?}, {hands:?}");
    let Some(scene) = Scene::new(&broken.spec) else { return text };
    let mut world = World::opening(&scene);
    for (i, &action) in broken.actions.iter().enumerate() {
        let _ = writeln!(text, "{:3}. {action:?}", i + 1);
        let Some(moved) = play(&scene, &world, action) else { break };
        let new = |word: &_| moved.world.said.contains(*word) && !world.said.contains(*word);
        for word in scene.words().filter(new) {
            let _ = writeln!(text, "       says {word:?}");
        }
        world = moved.world;
    }
    for (step, ledger) in world.ledgers.iter().enumerate() {
        let _ = writeln!(text, "  {step}: F = {}, C = {}", ledger.done, ledger.undone);
    }
    for (service, part) in world.parts.iter().enumerate() {
        let _ = writeln!(text, "  service {service}: {part:?}");
    }
    text
}
