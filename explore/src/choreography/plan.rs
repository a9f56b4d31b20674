//! What a run explores of choreographies.

use std::collections::BTreeSet;

use amends_core::definition::Fence;

use super::laws::Law;
use super::moves::Action;
use super::scene::{Hands, Scene, Spec};
use super::search;
use crate::cast::Role;
use crate::groups::{Reach, Tally, on_all_processors};
use crate::shape::{Computation, Piece, every};

/// Scenes that belong together.
pub struct Group {
    /// Its name in the floor file.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Which runs it is part of.
    pub reach: Reach,
    /// Its scenes.
    pub scenes: Vec<Spec>,
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

/// The groups of a run.
pub fn groups(reach: Reach) -> Vec<Group> {
    let group = |name, about, reach, scenes| Group { name, about, reach, scenes };
    let apart = [vec![0, 1, 2, 3]];
    let by = |hands, mut scenes: Vec<Spec>| {
        scenes.retain(|spec| spec.hands == hands);
        scenes
    };
    let mut groups = vec![
        group(
            "choreographed-two",
            "one and two steps without a coordinator, at one service or two: three faults, a cancel",
            Reach::Quick,
            [1, 2].into_iter().flat_map(|n| scenes(n, &ALL, &together(n), 3, 1)).collect(),
        ),
        group(
            "choreographed-three",
            "three steps without a coordinator, at one to three services: two faults",
            Reach::Quick,
            scenes(3, &ALL, &together(3), 2, 0),
        ),
        group(
            "choreographed-four",
            "four steps at four services, with the kit: one fault",
            Reach::Quick,
            by(Hands::Kit, scenes(4, &ALL[..4], &apart, 1, 0)),
        ),
        group(
            "choreographed-four-sidecar",
            "four steps at four services, with sidecars: one fault",
            Reach::Whole,
            by(Hands::Sidecar, scenes(4, &ALL[..4], &apart, 1, 0)),
        ),
    ];
    groups.retain(|group| group.reach <= reach);
    groups
}

/// Where mistakes are to be found the soonest.
pub fn hunting_ground() -> Vec<Spec> {
    let apart = [vec![0, 1, 2]];
    let mut small = [1, 2].into_iter().flat_map(|n| scenes(n, &ALL, &together(n), 2, 0)).collect();
    let mut three = scenes(3, &ALL[..4], &apart, 1, 0);
    three.retain(|spec| spec.hands == Hands::Kit);
    Vec::append(&mut small, &mut three);
    small
}

/// Every way to give the steps to services.
fn together(steps: usize) -> Vec<Vec<u8>> {
    let mut ways = vec![Vec::new()];
    for _ in 0..steps {
        ways = ways
            .iter()
            .flat_map(|way: &Vec<u8>| {
                let services = way.iter().max().map_or(0, |&last| last + 1);
                (0..=services).map(|service| [way.as_slice(), &[service]].concat())
            })
            .collect();
    }
    ways
}

/// Every shape of that many steps that can be a choreography, with and without a sidecar.
fn scenes(steps: usize, pieces: &[Piece], ways: &[Vec<u8>], faults: u8, cancels: u8) -> Vec<Spec> {
    let mut scenes = Vec::new();
    for shape in every(steps, pieces) {
        for services in ways {
            for hands in [Hands::Kit, Hands::Sidecar] {
                let (shape, services) = (shape.clone(), services.clone());
                let spec = Spec { shape, services, hands, faults, cancels };
                if Scene::new(&spec).is_some() {
                    scenes.push(spec);
                }
            }
        }
    }
    scenes
}

/// Every piece of a choreography; of steps with a condition those that are undone, and those that may
/// decide. The first four are enough for most ways to fail.
const ALL: [Piece; 7] = [
    piece(Role::Compensatable, Computation::None),
    piece(Role::Pivot, Computation::None),
    piece(Role::Retriable, Computation::None),
    piece(Role::BestEffort, Computation::None),
    piece(Role::ReadOnly, Computation::None),
    piece(Role::Compensatable, Computation::When),
    piece(Role::Retriable, Computation::When),
];

const fn piece(role: Role, computed: Computation) -> Piece {
    Piece { role, fence: Some(Fence::Barrier), computed }
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

fn explore_one(spec: &Spec) -> (Tally, Option<Broken>) {
    let Some(scene) = Scene::new(spec) else { return (Tally::default(), None) };
    let found = search::explore(&scene, &mut |_| true);
    let tally = Tally { shapes: 1, scenes: 1, states: found.states, depth_max: found.depth_max };
    let broken = found.broken.map(|(law, actions)| Broken { spec: spec.clone(), law, actions });
    (tally, broken)
}
