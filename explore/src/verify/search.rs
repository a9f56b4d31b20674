//! The search: all states that no fault leads to, then those of one fault, then of two.
//!
//! A state is met first with the fewest faults that lead to it, and of these on the shortest way;
//! with more faults the same state has nothing new to show, so it is followed once.

use std::collections::BTreeMap;

use amends_core::saga::Reason;

use super::finding::{self, Observation};
use crate::backwards::Backwards;
use crate::cast::{Breach, Breaches};
use crate::laws::Law;
use crate::model::{Action, Scene};
use crate::rest;
use crate::stage::Stage;
use crate::states::States;
use crate::world::{Left, World};

/// How many states are followed between two looks at the clock: some milliseconds' worth.
const LOOK_STATES: usize = 1024;

/// How far a saga that does not come to rest is followed.
const ONWARD_MAX: usize = 80;

/// What a search may take, on a laptop that has other things to do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most faults that come together.
    pub faults_max: u8,
    /// About how many bytes of states are kept.
    pub bytes_max: usize,
}

/// Why a search ended before all was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The time was up.
    Time,
    /// The states took all the memory they may.
    Memory,
}

/// The states that so many faults, and no fewer, lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How many faults.
    pub faults: u8,
    /// How many states were met.
    pub states: usize,
    /// Whether they are all.
    pub complete: bool,
}

/// A law that is broken.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// The shortest way there, and where nothing comes to rest some of the way from there.
    pub way: Vec<Action>,
    /// Where nothing comes to rest: how many moves lead to where nothing else goes wrong.
    pub calm_from: Option<usize>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The levels that were begun, each one fault more than the one before.
    pub levels: Vec<Level>,
    /// Why it ended early, if it did.
    pub cut: Option<Cut>,
    /// The longest way to a state, in moves.
    pub depth_max: usize,
    /// What was seen, in how many states, and the shortest way to the first.
    pub seen: BTreeMap<Observation, (usize, Vec<Action>)>,
    /// The first law that is broken.
    pub broken: Option<Broken>,
}

/// Tries everything, level by level, until a law is broken, all is tried, or a limit is met.
pub fn search(scene: &Scene, limits: Limits, out_of_time: impl Fn() -> bool) -> Found {
    let mut search = Search {
        scene,
        limits,
        out_of_time,
        states: States::default(),
        ways: Vec::new(),
        onward: Vec::new(),
        rests: Vec::new(),
        told: Vec::new(),
        seen: BTreeMap::new(),
        found: Found::default(),
        until_look: LOOK_STATES,
    };
    search.run();
    let seen = std::mem::take(&mut search.seen);
    let way = |(count, first)| (count, search.way(first));
    search.found.seen = seen.into_iter().map(|(what, times)| (what, way(times))).collect();
    search.found
}

/// Which moves out of a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moves {
    /// Those that are no fault.
    Free,
    /// The faults.
    Faults,
}

/// States by the length of the way to them.
type Layers = Vec<Vec<u32>>;

/// No state.
const NOBODY: u32 = u32::MAX;

struct Search<'a, F> {
    scene: &'a Scene,
    limits: Limits,
    out_of_time: F,
    states: States,
    /// By state, which state led to it, and by what.
    ways: Vec<(u32, Action)>,
    /// Moves onward: from which state to which.
    onward: Vec<(u32, u32)>,
    /// By state, whether it may rest.
    rests: Vec<bool>,
    /// By state, whether it has ended, or has attention.
    told: Vec<bool>,
    /// In how many states it was seen, and the first.
    seen: BTreeMap<Observation, (usize, u32)>,
    found: Found,
    until_look: usize,
}

/// The search is over: a law is broken, or a limit is met.
struct Over;

impl<F: Fn() -> bool> Search<'_, F> {
    fn run(&mut self) {
        let opening = Stage::opening(self.scene);
        if let Some(law) = opening.broken {
            self.found.broken = Some(Broken { law, way: Vec::new(), calm_from: None });
            return;
        }
        self.number(opening.world, NOBODY, Action::Advance);
        let mut before: Layers = Vec::new();
        for faults in 0..=self.limits.faults_max {
            let mut layers: Layers = if faults == 0 { vec![vec![0]] } else { Vec::new() };
            let known = if faults == 0 { 0 } else { self.states.len() };
            let whole = self.level(&before, &mut layers).is_ok();
            let states = self.states.len() - known;
            self.found.levels.push(Level { faults, states, complete: whole });
            self.found.depth_max = self.found.depth_max.max(layers.len().saturating_sub(1));
            if !whole {
                return;
            }
            // Whether all comes to rest is known once all is.
            self.found.broken = self.restless();
            if self.found.broken.is_some() {
                return;
            }
            before = layers;
        }
    }

    /// One level: the faults in the states of the level before, and all that follows by itself.
    fn level(&mut self, before: &Layers, layers: &mut Layers) -> Result<(), Over> {
        let mut depth = 0;
        while depth < before.len().max(layers.len()) {
            for &state in before.get(depth).map_or(&[] as &[u32], Vec::as_slice) {
                self.follow(state, depth, Moves::Faults, layers)?;
            }
            // None is added to a layer once its turn has come.
            for state in layers.get(depth).cloned().unwrap_or_default() {
                self.follow(state, depth, Moves::Free, layers)?;
            }
            depth += 1;
        }
        Ok(())
    }

    /// Makes all those moves in a state; what is new comes after it.
    fn follow(
        &mut self,
        state: u32,
        depth: usize,
        moves: Moves,
        layers: &mut Layers,
    ) -> Result<(), Over> {
        self.look()?;
        let mut world = self.states.world(self.scene, state as usize);
        if world.saga.astray || is_hopeless(self.scene, &world) {
            return Ok(());
        }
        let mut actions = Vec::new();
        self.scene.actions(&world, &mut actions);
        let followed = world.saga.followed;
        match moves {
            Moves::Free => {
                let rests = rest::rests(self.scene, &world);
                self.rests[state as usize] = rests;
                if !followed && rests {
                    return Ok(());
                }
                for what in finding::observed(self.scene, &world) {
                    self.seen.entry(what).or_insert((0, state)).0 += 1;
                }
            }
            Moves::Faults if !followed => return Ok(()),
            Moves::Faults => {
                world.left = Left { faults: 1, crashes: 1, ..world.left };
                let free = std::mem::take(&mut actions);
                self.scene.actions(&world, &mut actions);
                actions.retain(|action| !free.contains(action));
            }
        }
        for action in actions {
            let onward = moves == Moves::Free && rest::onward(self.scene, &world, action);
            // What is followed no further is still followed to its rest.
            if !followed && !onward {
                continue;
            }
            let Some(moved) = Stage::new(self.scene, &world).play(action) else { continue };
            if let Some(law) = moved.broken.filter(|law| self.judged(*law)) {
                let mut way = self.way(state);
                way.push(action);
                self.found.broken = Some(Broken { law, way, calm_from: None });
                return Err(Over);
            }
            let (number, new) = self.number(moved.world, state, action);
            if onward {
                self.onward.push((state, number));
            }
            if new {
                let layer = depth + weight(action);
                layers.resize(layers.len().max(layer + 1), Vec::new());
                layers[layer].push(number);
            }
        }
        Ok(())
    }

    fn number(&mut self, world: World, parent: u32, by: Action) -> (u32, bool) {
        // How many faults are left is the search's business, and none of the state's.
        let left = Left { faults: 0, crashes: 0, ..world.left };
        let told = rest::ended_or_told(&world.saga);
        let (number, new) = self.states.number(&World { left, ..world });
        if new {
            self.ways.push((parent, by));
            self.rests.push(false);
            self.told.push(told);
        }
        (number, new)
    }

    /// Where a promise is broken, what counts is what comes of it: that the engine went on, trusting
    /// the answer, is no mistake of its.
    fn judged(&self, law: Law) -> bool {
        let kept = self.scene.parts.iter().all(|part| part.breaches == Breaches::default());
        kept || !matches!(law, Law::S7 | Law::S8 | Law::S11)
    }

    fn look(&mut self) -> Result<(), Over> {
        self.until_look -= 1;
        if self.until_look > 0 {
            return Ok(());
        }
        self.until_look = LOOK_STATES;
        if (self.out_of_time)() {
            self.found.cut = Some(Cut::Time);
        } else if self.bytes() > self.limits.bytes_max {
            self.found.cut = Some(Cut::Memory);
        }
        if self.found.cut.is_some() { Err(Over) } else { Ok(()) }
    }

    fn bytes(&self) -> usize {
        let ways = self.ways.capacity() * (size_of::<(u32, Action)>() + 2 * size_of::<bool>());
        // To look backwards takes the moves twice more.
        let onward = 3 * self.onward.capacity() * size_of::<(u32, u32)>();
        self.states.bytes() + self.scene.memory.borrow().bytes() + ways + onward
    }

    /// The moves that led to a state.
    fn way(&self, to: u32) -> Vec<Action> {
        let mut way = Vec::new();
        let mut at = to;
        while let Some(&(parent, by)) = self.ways.get(at as usize).filter(|w| w.0 != NOBODY) {
            way.push(by);
            at = parent;
        }
        way.reverse();
        way
    }

    /// A saga that does not come to rest though nothing more goes wrong.
    fn restless(&self) -> Option<Broken> {
        let states = self.states.len();
        let mut moves = self.onward.clone();
        moves.sort_unstable();
        let mut ends = vec![0; states];
        moves.iter().for_each(|&(from, _)| ends[from as usize] += 1);
        for i in 1..states {
            ends[i] += ends[i - 1];
        }
        let to: Vec<u32> = moves.iter().map(|&(_, to)| to).collect();
        let backwards = Backwards::new(&ends, &to);
        let comes = backwards.must_reach(&self.rests);
        let unreachable = backwards.never_reach(&self.told).map(|state| (Law::L1, state));
        let missed = || Some((Law::L3, comes.iter().position(|comes| !comes)?));
        let (law, first) = unreachable.or_else(missed)?;
        let mut way = self.way(first as u32);
        let calm_from = Some(way.len());
        let mut at = first;
        for _ in 0..ONWARD_MAX {
            let begin = if at == 0 { 0 } else { ends[at - 1] };
            let next = to[begin..ends[at]].iter().find(|&&next| !comes[next as usize]);
            let Some(&next) = next else { break };
            way.extend(self.move_between(at, next));
            at = next as usize;
        }
        Some(Broken { law, way, calm_from })
    }

    /// The move onward between two states.
    fn move_between(&self, from: usize, to: u32) -> Option<Action> {
        let world = self.states.world(self.scene, from);
        let mut actions = Vec::new();
        self.scene.actions(&world, &mut actions);
        actions.retain(|&action| rest::onward(self.scene, &world, action));
        actions.into_iter().find(|&action| {
            let moved = Stage::new(self.scene, &world).play(action);
            moved.is_some_and(|moved| self.states.find(&moved.world) == Some(to))
        })
    }
}

/// How long a move makes a way. Of two stories with as many faults the one without a crash is the
/// more likely, and shorter to whoever reads it.
fn weight(action: Action) -> usize {
    match action {
        Action::SendAndCrash(..) | Action::Crash { .. } | Action::Outage => 4,
        _ => 1,
    }
}

/// Is there an undo that is refused for ever, and has come to poison by it? It would be tried once
/// an hour without end.
fn is_hopeless(scene: &Scene, world: &World) -> bool {
    world.saga.attention.iter().any(|attention| {
        let breaches = attention.run.map(|run| scene.part(run).breaches);
        attention.reason == Reason::Poison
            && breaches.is_some_and(|breaches| breaches.contains(Breach::RefusesUndo))
    })
}
