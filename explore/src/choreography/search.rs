//! Breadth first through every state: the first law that is broken is broken on a shortest way.
//!
//! What is known only grows, so that no way leads back: a saga comes to an end in every order if and
//! only if every state in which nothing is left to do is one.

use hashbrown::HashMap;

use super::laws::{self, Law};
use super::marks;
use super::moves::{Action, actions, is_fault, play};
use super::scene::{Ledger, Scene, Words, World};
use amends_core::choreography::Part;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many moves the furthest is away.
    pub depth_max: usize,
    /// A law that is broken, and the shortest way there.
    pub broken: Option<(Law, Vec<Action>)>,
}

/// A state in few bytes: what each service holds, by number, and the rest as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Packed {
    parts: [u32; 4],
    said: Words,
    ledgers: [Ledger; 4],
    left: [u8; 2],
}

/// What services hold, each once and known by its number.
#[derive(Default)]
struct Parts {
    numbers: HashMap<Part, u32>,
    list: Vec<Part>,
}

impl Parts {
    fn pack(&mut self, world: &World) -> Packed {
        let mut parts = [0; 4];
        for (number, part) in parts.iter_mut().zip(&world.parts) {
            *number = *self.numbers.entry(*part).or_insert_with(|| {
                self.list.push(*part);
                self.list.len() as u32 - 1
            });
        }
        let mut ledgers = [Ledger::default(); 4];
        ledgers[..world.ledgers.len()].copy_from_slice(&world.ledgers);
        Packed { parts, said: world.said, ledgers, left: [world.faults, world.cancels] }
    }

    fn unpack(&self, scene: &Scene, packed: &Packed) -> World {
        let parts = &packed.parts[..scene.services.len()];
        World {
            parts: parts.iter().map(|&part| self.list[part as usize]).collect(),
            said: packed.said,
            ledgers: packed.ledgers[..scene.play.definition().steps().len()].to_vec(),
            faults: packed.left[0],
            cancels: packed.left[1],
        }
    }
}

/// Explores a scene whole, or up to the first law that is broken.
pub fn explore(scene: &Scene) -> Found {
    let mut parts = Parts::default();
    let mut numbers: HashMap<Packed, u32> = HashMap::new();
    let mut states: Vec<Packed> = Vec::new();
    let mut parents: Vec<(u32, Option<Action>)> = Vec::new();
    let opening = parts.pack(&World::opening(scene));
    numbers.insert(opening.clone(), 0);
    states.push(opening);
    parents.push((0, None));
    let (mut at, mut level_ends, mut depth_max) = (0, 1, 0);
    let way = |parents: &[(u32, Option<Action>)], mut at: usize, last: Option<Action>| {
        let mut way: Vec<Action> = last.into_iter().collect();
        while let (parent, Some(action)) = parents[at] {
            way.push(action);
            at = parent as usize;
        }
        way.reverse();
        way
    };
    while at < states.len() {
        if at == level_ends {
            depth_max += 1;
            level_ends = states.len();
        }
        let world = parts.unpack(scene, &states[at]);
        if let Some(law) = laws::of_state(scene, &world) {
            let broken = Some((law, way(&parents, at, None)));
            return Found { states: states.len(), depth_max, broken };
        }
        let mut rests = true;
        for action in actions(scene, &world) {
            let Some(moved) = play(scene, &world, action) else { continue };
            if let Some(law) = moved.broken {
                let broken = Some((law, way(&parents, at, Some(action))));
                return Found { states: states.len(), depth_max, broken };
            }
            rests &= is_fault(action);
            marks::of_move(scene, &world, action, &moved.world);
            let packed = parts.pack(&moved.world);
            let next = states.len() as u32;
            if *numbers.entry(packed.clone()).or_insert(next) == next {
                states.push(packed);
                parents.push((at as u32, Some(action)));
            }
        }
        if rests {
            if let Some(law) = laws::of_rest(scene, &world) {
                let broken = Some((law, way(&parents, at, None)));
                return Found { states: states.len(), depth_max, broken };
            }
            marks::of_rest(scene, &world);
        }
        at += 1;
    }
    Found { states: states.len(), depth_max, broken: None }
}
