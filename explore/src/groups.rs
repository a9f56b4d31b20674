//! What a run explores: groups of scenes, each with what may go wrong in it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::laws::Law;
use crate::model::{Action, Menu, Scene, Wire};
use crate::search;
use crate::shape::{Computation, Piece, Policy, Role, Shape, every, pieces};
use crate::world::Left;

/// Scenes that belong together: what shapes, under what policies and wires, with what faults.
pub struct Group {
    /// Its name, as the floor file and `--group` know it.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Its scenes.
    pub scenes: Vec<Spec>,
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

const fn left(faults: u8, crashes: u8, cancels: u8, verbs: u8) -> Left {
    Left { faults, crashes, cancels, verbs }
}

/// The groups of a run, the small ones first. Where there are many shapes each is explored on one
/// wire, the three taking turns. A `deep` run takes every shape on every wire and allows one fault
/// more, and takes hours.
pub fn all(deep: bool) -> Vec<Group> {
    let more = u8::from(deep);
    let (telling, every_piece) = (pieces(true), pieces(false));
    let taking_turns = |specs| if deep { specs } else { one_wire_each(specs) };
    let plain = [Policy::Plain];
    // Three steps side by side have most of the states for each shape, and are counted apart.
    let (abreast, ordered): (Vec<_>, Vec<_>) =
        every(3, &telling).into_iter().partition(|shape| shape.after.iter().all(Vec::is_empty));
    vec![
        Group {
            name: "one",
            about: "one step: three faults, two may be crashes",
            scenes: product(&every(1, &every_piece), &plain, left(3 + more, 2, 1, 0)),
        },
        Group {
            name: "policies",
            about: "one step under every other policy: two faults",
            scenes: product(&every(1, &every_piece), &Policy::ALL[1..], left(2 + more, 2, 1, 0)),
        },
        Group {
            name: "undo",
            about: "an undo postponed for as long as it takes to poison",
            scenes: undo_postponed(8 + more),
        },
        Group {
            name: "verbs",
            about: "two operator verbs on one step: one fault",
            scenes: product(
                &every(1, &every_piece),
                &[Policy::SagaDeadline],
                left(1 + more, 1, 1, 2),
            ),
        },
        Group {
            name: "verbs-two",
            about: "an operator verb on two steps: one fault",
            scenes: taking_turns(product(&every(2, &telling), &plain, left(1, 1, 0, 1 + more))),
        },
        Group {
            name: "expressions",
            about: "one step with a condition or a list: one fault, cancelled at any time",
            scenes: product(&computed(1), &plain, left(1 + more, 1, 1, 0)),
        },
        Group {
            name: "expressions-two",
            about: "two steps, of which one has a condition or a list: one fault",
            scenes: taking_turns(product(&computed(2), &plain, left(1 + more, 0, 0, 0))),
        },
        Group {
            name: "two",
            about: "two steps: two faults, both may be crashes",
            scenes: taking_turns(product(&every(2, &every_piece), &plain, left(2 + more, 2, 0, 0))),
        },
        Group {
            name: "two-cancelled",
            about: "two steps, cancelled at any time: one fault",
            scenes: product(&every(2, &every_piece), &plain, left(1 + more, 1 + more, 1, 0)),
        },
        Group {
            name: "three",
            about: "three steps: one fault",
            scenes: taking_turns(product(
                &every(3, &telling),
                &plain,
                left(1 + more, 1 + more, 0, 0),
            )),
        },
        Group {
            name: "three-crashed",
            about: "three steps, of which one waits for another, crashed twice at any point",
            scenes: only(
                Menu::Crashes,
                taking_turns(product(&ordered, &plain, left(2, 2, more, 0))),
            ),
        },
        Group {
            name: "three-abreast-crashed",
            about: "three steps side by side, crashed twice at any point",
            scenes: only(
                Menu::Crashes,
                taking_turns(product(&abreast, &plain, left(2, 2, more, 0))),
            ),
        },
        Group {
            name: "three-cancelled",
            about: "three steps, cancelled at any time: one fault",
            scenes: taking_turns(product(
                &every(3, &telling),
                &plain,
                left(1 + more, 1 + more, 1, 0),
            )),
        },
    ]
}

/// Of each shape only one scene, the wires taking turns.
fn one_wire_each(specs: Vec<Spec>) -> Vec<Spec> {
    let wires = Wire::ALL.len();
    let (shape, wire) = (|i: usize| i / wires, |i: usize| i % wires);
    let specs = specs.into_iter().enumerate();
    specs.filter(|&(i, _)| shape(i) % wires == wire(i)).map(|(_, spec)| spec).collect()
}

fn undo_postponed(faults: u8) -> Vec<Spec> {
    let mut specs = product(&every(1, &pieces(false)), &[Policy::Plain], left(faults, 0, 1, 0));
    specs.retain(|spec| spec.shape.steps[0].role == Role::Compensatable);
    only(Menu::UndoPostponed, specs)
}

/// The same scenes, where only this may go wrong.
fn only(menu: Menu, mut specs: Vec<Spec>) -> Vec<Spec> {
    specs.iter_mut().for_each(|spec| spec.menu = menu);
    specs
}

fn product(shapes: &[Shape], policies: &[Policy], left: Left) -> Vec<Spec> {
    let mut specs = Vec::new();
    for shape in shapes {
        for &policy in policies {
            for wire in Wire::ALL {
                let menu = Menu::Everything;
                specs.push(Spec { shape: shape.clone(), policy, wire, left, menu });
            }
        }
    }
    specs.retain(|spec| spec.shape.define(spec.policy).is_ok());
    specs
}

/// Shapes of so many steps, of which one has an expression.
fn computed(steps: usize) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for shape in every(steps, &pieces(true)) {
        for i in 0..shape.steps.len() {
            for computed in [Computation::When, Computation::ForEach] {
                let mut shape = shape.clone();
                shape.steps[i] = Piece { computed, ..shape.steps[i] };
                shapes.push(shape);
            }
        }
    }
    shapes
}

/// The scenes in which a trap is looked for, the cheap ones first: pairs of how many steps and how
/// many faults.
pub fn hunting_ground() -> Vec<Spec> {
    const CHEAP_FIRST: [(usize, u8); 7] = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (1, 3), (2, 2)];
    let mut telling = pieces(false);
    telling.retain(|piece| piece.role != Role::Waiting);
    let scenes = |(steps, faults)| {
        let policies = match (steps, faults) {
            // With the least of attempts three faults go the furthest.
            (1, 3) => &[Policy::OneTimeout],
            (1, _) => &Policy::ALL[..],
            _ => &[Policy::Plain],
        };
        product(&every(steps, &telling), policies, left(faults, 1, 1, 0))
    };
    CHEAP_FIRST.into_iter().flat_map(scenes).collect()
}

/// Explores the scenes on all processors; stops at the first law that is broken.
pub fn explore(specs: &[Spec]) -> Result<Tally, Box<(Broken, Tally)>> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let broken: Mutex<Option<Broken>> = Mutex::new(None);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(spec) = specs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let (tally, found) = explore_one(spec);
            if let Ok(mut total) = total.lock() {
                total.add(tally);
            }
            if let (Some(found), Ok(mut broken)) = (found, broken.lock()) {
                broken.get_or_insert(found);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut total = total.into_inner().unwrap_or_default();
    let shapes: BTreeSet<String> = specs.iter().map(|spec| spec.shape.to_string()).collect();
    total.shapes = shapes.len();
    match broken.into_inner().unwrap_or_default() {
        None => Ok(total),
        Some(broken) => Err(Box::new((broken, total))),
    }
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
