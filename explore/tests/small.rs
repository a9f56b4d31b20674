//! The smallest scenes, explored whole with every test run. The full run is the binary's.

use amends_explore::groups::{self, Spec};
use amends_explore::model::{Menu, Wire};
use amends_explore::report::trace;
use amends_explore::shape::{Policy, every, pieces};
use amends_explore::world::Left;

fn explore(specs: &[Spec]) -> groups::Tally {
    groups::explore(specs).unwrap_or_else(|found| panic!("{}", trace(&found.0)))
}

fn scenes(steps: usize, left: Left) -> Vec<Spec> {
    let mut specs = Vec::new();
    for shape in every(steps, &pieces(true)) {
        for policy in Policy::ALL {
            for wire in Wire::ALL {
                let menu = Menu::Everything;
                specs.push(Spec { shape: shape.clone(), policy, wire, left, menu });
            }
        }
    }
    specs.retain(|spec| spec.shape.define(spec.policy).is_ok());
    specs
}

#[test]
fn one_step_survives_one_fault_one_cancel_and_one_verb() {
    let tally = explore(&scenes(1, Left { faults: 1, crashes: 1, cancels: 1, verbs: 1 }));
    assert!(tally.states > 10_000, "{tally:?}");
}

#[test]
fn two_steps_survive_one_cancel() {
    let tally = explore(&scenes(2, Left { faults: 0, crashes: 0, cancels: 1, verbs: 0 }));
    assert!(tally.states > 10_000, "{tally:?}");
}

#[test]
fn the_same_scene_has_the_same_states_every_time() {
    let specs = scenes(1, Left { faults: 1, crashes: 0, cancels: 1, verbs: 0 });
    assert_eq!(explore(&specs), explore(&specs));
}
