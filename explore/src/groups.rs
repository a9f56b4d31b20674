//! Groups of scenes, and exploring them on all processors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::laws::Law;
use crate::model::{Action, Menu, Scene, Wire};
use crate::search;
use crate::shape::{Policy, Shape};
use crate::world::Left;

/// Scenes that belong together: what shapes, under what policies and wires, with what faults.
pub struct Group {
    /// Its name, as the floor file and `--group` know it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Which runs it is part of: of those of this reach, and of all that reach further.
    pub reach: Reach,
    /// Its scenes.
    pub scenes: Vec<Spec>,
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// What every test run explores, in minutes.
    #[default]
    Quick,
    /// All that was ever explored whole.
    Whole,
    /// One fault more everywhere, every shape on every wire: hours, or days.
    Deep,
}

/// A scene that is not built yet.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The shape.
    pub shape: Shape,
    /// Its numbers.
    pub policy: Policy,
    /// How answers travel.
    pub wire: Wire,
    /// What may go wrong, how often.
    pub left: Left,
    /// What may go wrong.
    pub menu: Menu,
}

/// What was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Shapes, each counted once however many scenes it is in.
    pub shapes: usize,
    /// Scenes: a shape under one policy and one wire.
    pub scenes: usize,
    /// States, each counted once in its scene.
    pub states: usize,
    /// The length of the longest way to a new state.
    pub depth_max: usize,
}

/// A law that is broken, and how it comes to that.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Where.
    pub spec: Spec,
    /// The law.
    pub law: Law,
    /// The shortest way there.
    pub actions: Vec<Action>,
}

/// Explores the scenes on all processors, up to the first that breaks a law.
pub fn explore(specs: &[Spec]) -> Result<Tally, Box<(Broken, Tally)>> {
    let (mut total, broken) = on_all_processors(specs, explore_one);
    let shapes: BTreeSet<String> = specs.iter().map(|spec| spec.shape.to_string()).collect();
    total.shapes = shapes.len();
    match broken {
        None => Ok(total),
        Some(broken) => Err(Box::new((broken, total))),
    }
}

/// Explores each scene on whichever processor is free, up to the first in which something is broken;
/// which is the first does not depend on the processors.
pub(crate) fn on_all_processors<S: Sync, B: Send>(
    scenes: &[S],
    explore_one: impl Fn(&S) -> (Tally, Option<B>) + Sync,
) -> (Tally, Option<B>) {
    let next = AtomicUsize::new(0);
    let end = AtomicUsize::new(scenes.len());
    let total = Mutex::new(Tally::default());
    let broken: Mutex<BTreeMap<usize, B>> = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= end.load(Ordering::Relaxed) {
                return;
            }
            let (tally, found) = explore_one(&scenes[at]);
            if let Ok(mut total) = total.lock() {
                total.add(tally);
            }
            if let (Some(found), Ok(mut broken)) = (found, broken.lock()) {
                broken.insert(at, found);
                end.fetch_min(at, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let first = broken.into_inner().unwrap_or_default().pop_first();
    (total.into_inner().unwrap_or_default(), first.map(|(_, broken)| broken))
}

/// Explores one scene whole.
pub fn explore_one(spec: &Spec) -> (Tally, Option<Broken>) {
    let Some(scene) = Scene::new(spec) else { return (Tally::default(), None) };
    let found = search::explore(&scene);
    let tally = Tally { shapes: 1, scenes: 1, states: found.states, depth_max: found.depth_max };
    let broken = found.broken.map(|(law, actions)| Broken { spec: spec.clone(), law, actions });
    (tally, broken)
}

impl Tally {
    /// Adds another to it.
    pub fn add(&mut self, other: Self) {
        self.shapes += other.shapes;
        self.scenes += other.scenes;
        self.states += other.states;
        self.depth_max = self.depth_max.max(other.depth_max);
    }
}
