//! Breadth first through every state: the first law that is broken is broken on a shortest way.
//!
//! What is known only grows, so that no way leads back: a saga comes to an end in every order if and
//! only if every state in which nothing is left to do is one.

use std::collections::BTreeMap;

use amends_core::choreography::Part;
use hashbrown::HashMap;

use super::laws::{self, Law};
use super::marks;
use super::moves::{Action, actions, is_fault, play};
use super::scene::{Ledger, STEPS_MAX, Scene, Words, World};
use crate::verify::finding::End;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many moves the furthest is away.
    pub depth_max: usize,
    /// A law that is broken, and the shortest way there.
    pub broken: Option<(Law, Vec<Action>)>,
    /// How it ends: each end, in how many states, and the shortest way to one.
    pub ends: BTreeMap<End, (usize, Vec<Action>)>,
    /// Whether it was ended before all was seen.
    pub cut: bool,
}

/// How many states are followed between two looks at whether to go on.
const LOOK_STATES: usize = 1024;

/// A state in few bytes: what each service holds, by number, and the rest as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Packed<const N: usize> {
    parts: [u32; N],
    said: Words,
    ledgers: [Ledger; N],
    left: [u8; 2],
}

/// What services hold, each once and known by its number.
#[derive(Default)]
struct Parts {
    numbers: HashMap<Part, u32>,
    list: Vec<Part>,
}

impl Parts {
    fn pack<const N: usize>(&mut self, world: &World) -> Packed<N> {
        let mut parts = [0; N];
        for (number, part) in parts.iter_mut().zip(&world.parts) {
            *number = *self.numbers.entry(*part).or_insert_with(|| {
                self.list.push(*part);
                self.list.len() as u32 - 1
            });
        }
        let mut ledgers = [Ledger::default(); N];
        ledgers[..world.ledgers.len()].copy_from_slice(&world.ledgers);
        Packed { parts, said: world.said, ledgers, left: [world.faults, world.cancels] }
    }

    fn unpack<const N: usize>(&self, scene: &Scene, packed: &Packed<N>) -> World {
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

/// Explores a scene whole, or up to the first law that is broken. `goes_on` is asked now and then,
/// with about how many bytes the states take.
pub fn explore(scene: &Scene, goes_on: &mut dyn FnMut(usize) -> bool) -> Found {
    const SMALL: usize = 4;
    if scene.play.definition().steps().len() <= SMALL {
        Search::<SMALL>::default().run(scene, goes_on)
    } else {
        Search::<STEPS_MAX>::default().run(scene, goes_on)
    }
}

#[derive(Default)]
struct Search<const N: usize> {
    parts: Parts,
    numbers: HashMap<Packed<N>, u32>,
    states: Vec<Packed<N>>,
    /// By state, which led to it, and by what.
    ways: Vec<(u32, Option<Action>)>,
    /// In how many states it has ended so, and the first.
    ends: BTreeMap<End, (usize, usize)>,
    found: Found,
}

impl<const N: usize> Search<N> {
    fn run(mut self, scene: &Scene, goes_on: &mut dyn FnMut(usize) -> bool) -> Found {
        self.number(&World::opening(scene), 0, None);
        let (mut at, mut level_ends) = (0, 1);
        while at < self.states.len() {
            if at % LOOK_STATES == 0 && !goes_on(self.bytes()) {
                self.found.cut = true;
                break;
            }
            if at == level_ends {
                self.found.depth_max += 1;
                level_ends = self.states.len();
            }
            if let Some((law, last)) = self.follow(scene, at) {
                self.found.broken = Some((law, self.way(at, last)));
                break;
            }
            at += 1;
        }
        self.found.states = self.states.len();
        let ends = std::mem::take(&mut self.ends);
        let way = |(states, first)| (states, self.way(first, None));
        self.found.ends = ends.into_iter().map(|(end, seen)| (end, way(seen))).collect();
        self.found
    }

    /// Looks at a state, and makes all moves out of it; gives the law that is broken, and the move by
    /// which it is.
    fn follow(&mut self, scene: &Scene, at: usize) -> Option<(Law, Option<Action>)> {
        let world = self.parts.unpack(scene, &self.states[at]);
        if let Some(law) = laws::of_state(scene, &world) {
            return Some((law, None));
        }
        let mut rests = true;
        for action in actions(scene, &world) {
            let Some(moved) = play(scene, &world, action) else { continue };
            if let Some(law) = moved.broken {
                return Some((law, Some(action)));
            }
            rests &= is_fault(action);
            marks::of_move(scene, &world, action, &moved.world);
            self.number(&moved.world, at as u32, Some(action));
        }
        if !rests {
            return None;
        }
        if let Some(law) = laws::of_rest(scene, &world) {
            return Some((law, None));
        }
        marks::of_rest(scene, &world);
        if let Some(end) = laws::end(scene, &world) {
            self.ends.entry(end).or_insert((0, at)).0 += 1;
        }
        None
    }

    fn number(&mut self, world: &World, parent: u32, by: Option<Action>) {
        let packed = self.parts.pack(world);
        let next = self.states.len() as u32;
        if *self.numbers.entry(packed.clone()).or_insert(next) == next {
            self.states.push(packed);
            self.ways.push((parent, by));
        }
    }

    /// The moves that led to a state, and one more.
    fn way(&self, mut at: usize, last: Option<Action>) -> Vec<Action> {
        let mut way: Vec<Action> = last.into_iter().collect();
        while let (parent, Some(action)) = self.ways[at] {
            way.push(action);
            at = parent as usize;
        }
        way.reverse();
        way
    }

    fn bytes(&self) -> usize {
        let state =
            2 * size_of::<Packed<N>>() + size_of::<u32>() + size_of::<(u32, Option<Action>)>();
        self.states.capacity() * state + self.parts.list.capacity() * 2 * size_of::<Part>()
    }
}
