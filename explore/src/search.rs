//! Breadth first through every state of a scene, then backwards from where it may rest.
//!
//! All moves onward are kept, so that liveness is looked at on the graph.

use crate::backwards::Backwards;
use crate::laws::Law;
use crate::model::{Action, Scene};
use crate::rest;
use crate::stage::Stage;
use crate::states::States;
use crate::world::World;

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

/// Marks a state that nothing led to.
const NOWHERE: u32 = u32::MAX;

struct Search<'a> {
    scene: &'a Scene,
    states: States,
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
            states: States::default(),
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
            let world = self.states.world(self.scene, at);
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
        let (number, new) = self.states.number(world);
        if new {
            self.parents.push(parent);
        }
        number
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
        let world = self.states.world(self.scene, from);
        let wanted = self.states.world(self.scene, to);
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
