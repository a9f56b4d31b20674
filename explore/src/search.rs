//! Breadth first through every state of a scene, then backwards from where it may rest.
//!
//! A state is four numbers: its saga, what each participant did, and what is on its way are kept
//! once each and known by their number. States are compared whole, not by a hash, so that none is
//! taken for another; and all moves onward are kept, so that liveness is looked at on the graph.

use std::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::backwards::Backwards;
use crate::laws::Law;
use crate::model::{Action, Scene};
use crate::rest;
use crate::stage::Stage;
use crate::world::{Ledger, Left, Packet, World};

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// How many states there are, without those that are only followed to their rest.
    pub states: usize,
    /// How many moves the state that is the furthest away is away.
    pub depth_max: usize,
    /// A law that is broken, and the shortest way there.
    pub broken: Option<(Law, Vec<Action>)>,
}

/// Explores a scene whole, or up to the first law that is broken.
pub fn explore(scene: &Scene) -> Found {
    let mut search = Search::new(scene);
    let opening = Stage::opening(scene);
    let broken = match opening.broken {
        Some(law) => Some((law, Vec::new())),
        None => search.forwards(&opening.world).or_else(|| search.backwards()),
    };
    let states = search.states.len() - search.beyond;
    Found { states, depth_max: search.depth_max, broken }
}

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    saga: u32,
    ledgers: u32,
    packets: u32,
    left: u32,
}

/// Marks a state that nothing led to.
const NOWHERE: u32 = u32::MAX;

struct Search<'a> {
    scene: &'a Scene,
    hasher: DefaultHashBuilder,
    ledgers: Kept<Ledger>,
    packets: Kept<Packet>,
    states: Vec<State>,
    numbers: HashTable<u32>,
    /// Which state first led to each.
    parents: Vec<u32>,
    /// Where each state's moves onward end among `onward`.
    ends: Vec<usize>,
    /// The states that the moves onward lead to.
    onward: Vec<u32>,
    /// Whether each state may rest.
    rests: Vec<bool>,
    /// Whether each has ended, or has attention.
    told: Vec<bool>,
    depth_max: usize,
    /// How many states are followed to their rest only.
    beyond: usize,
}

impl<'a> Search<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self {
            scene,
            hasher: DefaultHashBuilder::default(),
            ledgers: Kept::default(),
            packets: Kept::default(),
            states: Vec::new(),
            numbers: HashTable::new(),
            parents: Vec::new(),
            ends: Vec::new(),
            onward: Vec::new(),
            rests: Vec::new(),
            told: Vec::new(),
            depth_max: 0,
            beyond: 0,
        }
    }

    /// Every state that can be reached, and the first law that is broken on the way.
    fn forwards(&mut self, opening: &World) -> Option<(Law, Vec<Action>)> {
        self.number(opening, NOWHERE);
        let mut actions = Vec::new();
        let (mut at, mut level_ends) = (0, 1);
        while at < self.states.len() {
            if at == level_ends {
                self.depth_max += 1;
                level_ends = self.states.len();
            }
            let world = self.world(self.states[at]);
            let rests = rest::rests(self.scene, &world);
            self.beyond += usize::from(!world.saga.followed);
            actions.clear();
            // What is followed no further is still followed to its rest, as long as that may be near.
            if world.saga.followed || !(rests || world.saga.astray) {
                self.scene.actions(&world, &mut actions);
            }
            for &action in &actions {
                let onward = rest::onward(self.scene, &world, action);
                if !world.saga.followed && !onward {
                    continue;
                }
                let Some(moved) = Stage::new(self.scene, &world).play(action) else { continue };
                if let Some(law) = moved.broken {
                    return Some((law, self.way(at, Some(action))));
                }
                let to = self.number(&moved.world, at as u32);
                if onward {
                    self.onward.push(to);
                }
            }
            self.rests.push(rests);
            self.told.push(rest::ended_or_told(&world.saga));
            self.ends.push(self.onward.len());
            at += 1;
        }
        None
    }

    /// A state from which no end and no attention can be reached, or, in some order of moves onward,
    /// no rest.
    fn backwards(&self) -> Option<(Law, Vec<Action>)> {
        let backwards = Backwards::new(&self.ends, &self.onward);
        let unreachable = backwards.never_reach(&self.told).map(|state| (Law::L1, state));
        let (law, state) = unreachable
            .or_else(|| backwards.may_miss(&self.rests).map(|state| (Law::L3, state)))?;
        Some((law, self.way(state, None)))
    }

    /// The number of a state, which is new or known.
    fn number(&mut self, world: &World, parent: u32) -> u32 {
        let state = State {
            saga: world.saga.number,
            ledgers: self.ledgers.number(&world.ledgers),
            packets: self.packets.number(&world.packets),
            left: packed(world.left, world.congested),
        };
        let (states, hasher) = (&mut self.states, &self.hasher);
        let entry = self.numbers.entry(
            hasher.hash_one(state),
            |&number| states[number as usize] == state,
            |&number| hasher.hash_one(states[number as usize]),
        );
        match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = states.len() as u32;
                new.insert(number);
                states.push(state);
                self.parents.push(parent);
                number
            }
        }
    }

    fn world(&self, state: State) -> World {
        let (left, congested) = unpacked(state.left);
        World {
            saga: self.scene.known(state.saga),
            packets: self.packets.list[state.packets as usize].to_vec(),
            ledgers: self.ledgers.list[state.ledgers as usize].to_vec(),
            left,
            congested,
        }
    }

    /// The moves that led to a state, and one more.
    fn way(&self, to: usize, last: Option<Action>) -> Vec<Action> {
        let mut way: Vec<Action> = last.into_iter().collect();
        let mut at = to;
        while self.parents[at] != NOWHERE {
            let parent = self.parents[at] as usize;
            way.extend(self.move_between(parent, at));
            at = parent;
        }
        way.reverse();
        way
    }

    fn move_between(&self, from: usize, to: usize) -> Option<Action> {
        let world = self.world(self.states[from]);
        let wanted = self.world(self.states[to]);
        let mut actions = Vec::new();
        self.scene.actions(&world, &mut actions);
        actions.into_iter().find(|&action| {
            let moved = Stage::new(self.scene, &world).play(action);
            moved.is_some_and(|moved| {
                let world = &moved.world;
                (world.saga.number, world.left, world.congested)
                    == (wanted.saga.number, wanted.left, wanted.congested)
                    && world.packets == wanted.packets
                    && world.ledgers == wanted.ledgers
            })
        })
    }
}

/// Lists that are kept once and known by their number.
struct Kept<T> {
    numbers: HashMap<Rc<[T]>, u32>,
    list: Vec<Rc<[T]>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), list: Vec::new() }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Kept<T> {
    fn number(&mut self, list: &[T]) -> u32 {
        if let Some(&number) = self.numbers.get(list) {
            return number;
        }
        let number = self.list.len() as u32;
        let kept: Rc<[T]> = list.into();
        self.list.push(Rc::clone(&kept));
        self.numbers.insert(kept, number);
        number
    }
}

fn packed(left: Left, congested: bool) -> u32 {
    let Left { faults, crashes, cancels, verbs } = left;
    u32::from_le_bytes([faults, crashes, cancels, verbs << 1 | u8::from(congested)])
}

fn unpacked(packed: u32) -> (Left, bool) {
    let [faults, crashes, cancels, last] = packed.to_le_bytes();
    (Left { faults, crashes, cancels, verbs: last >> 1 }, last & 1 == 1)
}
