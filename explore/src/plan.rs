//! What a run explores: which shapes, on which wires, and what may go wrong there.

use std::cmp::Reverse;

use amends_core::mutant::Mutant;

use crate::covering::every_meeting;
use crate::groups::{Group, Reach, Spec};
use crate::model::{Menu, Wire};
use crate::shape::{Computation, Piece, Policy, Role, Shape, every, pieces};
use crate::traps::Trap;
use crate::world::Left;

const fn left(faults: u8, crashes: u8, cancels: u8, verbs: u8) -> Left {
    Left { faults, crashes, cancels, verbs }
}

const PLAIN: [Policy; 1] = [Policy::Plain];

/// The groups of a run, the small ones first. Where there are many shapes each is explored on one
/// wire, the three taking turns; a deep run takes every shape on every wire.
pub fn all(reach: Reach) -> Vec<Group> {
    let more = u8::from(reach == Reach::Deep);
    let mut groups = one_step(more);
    groups.extend(two_steps(more));
    groups.extend(three_steps(more));
    groups.extend(four_steps(more));
    groups.retain(|group| group.reach <= reach);
    for group in &mut groups {
        // What takes the longest begins first, so that no processor waits for the last.
        group.scenes.sort_by_key(|spec| Reverse(weight(&spec.shape)));
    }
    groups
}

fn one_step(more: u8) -> Vec<Group> {
    let every_piece = pieces(false);
    let one = every(1, &every_piece);
    vec![
        Group {
            name: "one",
            about: "one step: three faults, two may be crashes",
            reach: Reach::Quick,
            scenes: product(&one, &PLAIN, left(3 + more, 2, 1, 0)),
        },
        Group {
            name: "policies",
            about: "one step under every other policy: two faults",
            reach: Reach::Quick,
            scenes: product(&one, &Policy::ALL[1..], left(2 + more, 2, 1, 0)),
        },
        Group {
            name: "undo",
            about: "an undo postponed for as long as it takes to poison",
            reach: Reach::Quick,
            scenes: undo_postponed(8 + more),
        },
        Group {
            name: "verbs",
            about: "two operator verbs on one step: one fault",
            reach: Reach::Quick,
            scenes: product(&one, &[Policy::SagaDeadline], left(1 + more, 1, 1, 2)),
        },
        Group {
            name: "expressions",
            about: "one step with a condition or a list: one fault, cancelled at any time",
            reach: Reach::Quick,
            scenes: product(&computed(1), &PLAIN, left(1 + more, 1, 1, 0)),
        },
    ]
}

fn two_steps(more: u8) -> Vec<Group> {
    let every_piece = pieces(false);
    let (two, telling) = (every(2, &every_piece), every(2, &pieces(true)));
    vec![
        Group {
            name: "verbs-two",
            about: "an operator verb on two steps: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&telling, &PLAIN, left(1, 1, 0, 1 + more))),
        },
        Group {
            name: "expressions-two",
            about: "two steps, of which one has a condition or a list: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&computed(2), &PLAIN, left(1 + more, 0, 0, 0))),
        },
        Group {
            name: "two",
            about: "two steps: two faults, both may be crashes",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&two, &PLAIN, left(2 + more, 2, 0, 0))),
        },
        Group {
            name: "two-cancelled",
            about: "two steps, cancelled at any time: one fault",
            reach: Reach::Quick,
            scenes: product(&two, &PLAIN, left(1 + more, 1 + more, 1, 0)),
        },
    ]
}

fn three_steps(more: u8) -> Vec<Group> {
    let three = every(3, &pieces(true));
    // Three steps side by side have most of the states for each shape, and are counted apart.
    let (abreast, ordered): (Vec<_>, Vec<_>) =
        three.iter().cloned().partition(|shape| shape.after.iter().all(Vec::is_empty));
    let crashed =
        |shapes| only(Menu::Crashes, in_turn(more, product(shapes, &PLAIN, left(2, 2, more, 0))));
    vec![
        Group {
            name: "three",
            about: "three steps: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&three, &PLAIN, left(1 + more, 1 + more, 0, 0))),
        },
        Group {
            name: "three-cancelled",
            about: "three steps, cancelled at any time: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&three, &PLAIN, left(1 + more, 1 + more, 1, 0))),
        },
        Group {
            name: "three-crashed",
            about: "three steps, of which one waits for another, crashed twice at any point",
            reach: Reach::Whole,
            scenes: crashed(&ordered),
        },
        Group {
            name: "three-abreast-crashed",
            about: "three steps side by side, crashed twice at any point",
            reach: Reach::Whole,
            scenes: crashed(&abreast),
        },
        Group {
            name: "verbs-three",
            about: "an operator verb, such as a pause, on families of three steps: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&families(&THREE), &PLAIN, left(1, 1, 0, 1 + more))),
        },
    ]
}

/// Families of three steps, whatever their fences: a sequence, the pivot with what follows it, a
/// signal that judges, and a best effort.
const THREE: [&str; 4] = ["cU,cU<0,cU<1", "cU,pU<0,rU<1", "cU,j<0,cU<1", "cU,cU<0,bU<0"];

/// Families of four steps: the sequence, the diamond, uneven branches, the pivot with a retriable
/// step behind it, and both kinds of signal before it.
const FOUR: [&str; 6] = [
    "cU,cU<0,cU<1,cU<2",
    "cU,cU<0,cU<0,cU<12",
    "cU,cU<0,cU,cU<12",
    "cU,cU<0,pU<1,rU<2",
    "cU,j<0,pU<1,rU<2",
    "cU,w<0,pU<1,rU<2",
];

fn four_steps(more: u8) -> Vec<Group> {
    let mut four = every(4, &pieces(true));
    four.retain(|shape| shape.define(Policy::Plain).is_ok());
    let (narrow, abreast): (Vec<_>, Vec<_>) =
        four.into_iter().partition(|shape| shape.after.iter().any(|before| !before.is_empty()));
    let met = every_meeting(narrow.clone());
    vec![
        Group {
            name: "four",
            about: "four steps, every two pieces at every two places: one fault",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&met, &PLAIN, left(1 + more, 1 + more, 0, 0))),
        },
        Group {
            name: "four-crashed",
            about: "families of four steps, crashed twice at any point",
            reach: Reach::Quick,
            scenes: only(
                Menu::Crashes,
                in_turn(more, product(&families(&FOUR), &PLAIN, left(2, 2, more, 0))),
            ),
        },
        Group {
            name: "verbs-four",
            about: "an operator verb, such as a pause, on families of four steps",
            reach: Reach::Quick,
            scenes: in_turn(more, product(&families(&FOUR), &PLAIN, left(more, more, 0, 1))),
        },
        Group {
            name: "verbs-four-faulty",
            about: "the same, and one fault",
            reach: Reach::Whole,
            scenes: in_turn(more, product(&families(&FOUR), &PLAIN, left(1, 1, 0, 1 + more))),
        },
        Group {
            name: "four-cancelled",
            about: "four steps, every two pieces at every two places, cancelled: one fault",
            reach: Reach::Whole,
            scenes: in_turn(more, product(&met, &PLAIN, left(1 + more, 1 + more, 1, 0))),
        },
        Group {
            name: "four-every",
            about: "four steps, all there are, cancelled at any time",
            reach: Reach::Whole,
            scenes: in_turn(more, product(&narrow, &PLAIN, left(more, more, 1, 0))),
        },
        Group {
            name: "four-met-crashed",
            about: "four steps, every two pieces at every two places, crashed twice at any point",
            reach: Reach::Whole,
            scenes: only(Menu::Crashes, in_turn(more, product(&met, &PLAIN, left(2, 2, more, 0)))),
        },
        Group {
            name: "four-abreast",
            about: "four steps side by side, every two pieces at every two places: one fault",
            reach: Reach::Deep,
            scenes: in_turn(more, product(&every_meeting(abreast), &PLAIN, left(1, 1, 1, 0))),
        },
    ]
}

/// The shapes of these families: every two fences at every two steps.
fn families(patterns: &[&str]) -> Vec<Shape> {
    let telling = pieces(true);
    let steps = patterns[0].split(',').count();
    let all = every(steps, &telling);
    let of_family = |pattern: &&str| {
        let pattern: Shape = pattern.parse().unwrap_or_else(|wrong| panic!("{wrong}"));
        let roles = |shape: &Shape| shape.steps.iter().map(|piece| piece.role).collect::<Vec<_>>();
        let same = |shape: &&Shape| shape.after == pattern.after && roles(shape) == roles(&pattern);
        every_meeting(all.iter().filter(same).cloned().collect())
    };
    patterns.iter().flat_map(of_family).collect()
}

/// Roughly how many states a shape has: the more of its steps stand side by side, the more.
fn weight(shape: &Shape) -> usize {
    let direct: usize = shape.after.iter().map(Vec::len).sum();
    let commands = shape.steps.iter().filter(|piece| piece.role == Role::Compensatable).count();
    shape.steps.len() * 100 + commands * 10 - direct
}

/// Of each shape only one scene, the wires taking turns; in a deep run each of them.
fn in_turn(more: u8, specs: Vec<Spec>) -> Vec<Spec> {
    if more > 0 {
        return specs;
    }
    let wires = Wire::ALL.len();
    let (shape, wire) = (|i: usize| i / wires, |i: usize| i % wires);
    let specs = specs.into_iter().enumerate();
    specs.filter(|&(i, _)| shape(i) % wires == wire(i)).map(|(_, spec)| spec).collect()
}

fn undo_postponed(faults: u8) -> Vec<Spec> {
    let mut specs = product(&every(1, &pieces(false)), &PLAIN, left(faults, 0, 1, 0));
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
pub fn hunting_ground(trap: Trap) -> Vec<Spec> {
    const CHEAP_FIRST: [(usize, u8); 7] = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (1, 3), (2, 2)];
    let mut telling = pieces(false);
    telling.retain(|piece| piece.role != Role::Waiting);
    // Only a person pauses.
    let verbs = u8::from(trap == Trap::Machine(Mutant::SendsWhilePaused));
    let scenes = |(steps, faults)| {
        let policies = match (steps, faults) {
            // With the least of attempts three faults go the furthest.
            (1, 3) => &[Policy::OneTimeout],
            (1, _) => &Policy::ALL[..],
            _ => &[Policy::Plain],
        };
        product(&every(steps, &telling), policies, left(faults, 1, 1, verbs))
    };
    CHEAP_FIRST.into_iter().flat_map(scenes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_members() {
        for patterns in [&THREE[..], &FOUR[..]] {
            for pattern in patterns {
                assert!(!families(&[*pattern]).is_empty(), "{pattern}");
            }
        }
    }

    #[test]
    fn a_name_is_given_once() {
        let groups = all(Reach::Deep);
        let mut names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), groups.len());
    }
}
