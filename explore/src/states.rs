//! States in few bytes: five numbers each.
//!
//! Their saga, what each participant did, and what is on its way are kept once each and known by
//! their number. States are compared whole, not by a hash, so that none is taken for another.

use std::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::model::Scene;
use crate::world::{Ledger, Left, Packet, Silence, World};

/// The states that were seen, numbered in that order.
#[derive(Default)]
pub struct States {
    hasher: DefaultHashBuilder,
    ledger: Kept<Ledger>,
    ledgers: Kept<u32>,
    packets: Kept<Packet>,
    silent: Kept<Silence>,
    states: Vec<State>,
    numbers: HashTable<u32>,
}

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    saga: u32,
    ledgers: u32,
    packets: u32,
    silent: u32,
    left: u32,
}

impl States {
    /// The number of a state that was seen.
    pub fn find(&self, world: &World) -> Option<u32> {
        let state = State {
            saga: world.saga.number,
            ledgers: self.ledgers.find(&self.known_ledgers(world)?)?,
            packets: self.packets.find(&world.packets)?,
            silent: self.silent.find(&world.silent)?,
            left: packed(world.left, world.congested),
        };
        let is = |&number: &u32| self.states[number as usize] == state;
        self.numbers.find(self.hasher.hash_one(state), is).copied()
    }

    /// The number of a state, and whether it is new.
    pub fn number(&mut self, world: &World) -> (u32, bool) {
        let state = State {
            saga: world.saga.number,
            ledgers: self.number_ledgers(world),
            packets: self.packets.number(&world.packets),
            silent: self.silent.number(&world.silent),
            left: packed(world.left, world.congested),
        };
        let (states, hasher) = (&mut self.states, &self.hasher);
        let entry = self.numbers.entry(
            hasher.hash_one(state),
            |&number| states[number as usize] == state,
            |&number| hasher.hash_one(states[number as usize]),
        );
        match entry {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => {
                let number = states.len() as u32;
                new.insert(number);
                states.push(state);
                (number, true)
            }
        }
    }

    /// A state by its number.
    pub fn world(&self, scene: &Scene, number: usize) -> World {
        let state = self.states[number];
        let (left, congested) = unpacked(state.left);
        let ledgers = self.ledgers.list[state.ledgers as usize].iter();
        let ledgers = ledgers.map(|&ledger| self.ledger.list[ledger as usize][0]);
        World {
            saga: scene.known(state.saga),
            packets: self.packets.list[state.packets as usize].to_vec(),
            ledgers: ledgers.collect(),
            left,
            congested,
            silent: self.silent.list[state.silent as usize].to_vec(),
        }
    }

    /// What one participant did is the same in many states, whatever the others did.
    fn number_ledgers(&mut self, world: &World) -> u32 {
        let one = |ledger: &Ledger| self.ledger.number(std::slice::from_ref(ledger));
        let ledgers: Vec<u32> = world.ledgers.iter().map(one).collect();
        self.ledgers.number(&ledgers)
    }

    fn known_ledgers(&self, world: &World) -> Option<Vec<u32>> {
        let one = |ledger: &Ledger| self.ledger.find(std::slice::from_ref(ledger));
        world.ledgers.iter().map(one).collect()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<State>()
            + self.numbers.capacity() * (size_of::<u32>() + 1)
            + self.ledgers.bytes()
            + self.packets.bytes()
    }
}

/// Lists that are kept once and known by their number.
struct Kept<T> {
    numbers: HashMap<Rc<[T]>, u32>,
    list: Vec<Rc<[T]>>,
    items: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), list: Vec::new(), items: 0 }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Kept<T> {
    fn find(&self, list: &[T]) -> Option<u32> {
        self.numbers.get(list).copied()
    }

    fn number(&mut self, list: &[T]) -> u32 {
        if let Some(number) = self.find(list) {
            return number;
        }
        let number = self.list.len() as u32;
        let kept: Rc<[T]> = list.into();
        self.items += list.len();
        self.list.push(Rc::clone(&kept));
        self.numbers.insert(kept, number);
        number
    }

    fn bytes(&self) -> usize {
        // A list is in the vector and in the map, and has two counts before its items.
        const BESIDE: usize = 64;
        self.items * size_of::<T>() + self.list.len() * BESIDE
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
