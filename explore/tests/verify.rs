//! A definition is tried by levels: nothing is found in a right machine, and what is wrong is found
//! with as few faults as it takes.
//!
//! One test, because a trap is built in for the whole process.

use std::collections::BTreeMap;

use amends_core::mutant::Mutant;
use amends_explore::shape::{Policy, Shape};
use amends_explore::traps::{self, Trap};
use amends_explore::verify::search::{Cut, Found, Limits, search};
use amends_explore::verify::subject;

fn tried(shape: &str, faults_max: u8, bytes_max: usize) -> Found {
    let shape: Shape = shape.parse().unwrap_or_else(|e| panic!("{e}"));
    let def = shape.define(Policy::Plain).unwrap_or_else(|e| panic!("{e:?}"));
    let scene = subject::scene(&def, &BTreeMap::new()).unwrap_or_else(|e| panic!("{e:?}"));
    search(&scene, Limits { faults_max, bytes_max }, || false)
}

const AMPLE: usize = 1 << 30;

#[test]
fn what_is_wrong_is_found_with_the_fewest_faults_and_what_is_right_is_not() {
    for shape in ["cB,cS<0,pU<01", "cU,cN<0", "cB*,cB?", "cB,j<0,pB<1,rS<2"] {
        let found = tried(shape, 1, AMPLE);
        assert!(found.broken.is_none(), "{shape}: {:?}", found.broken);
        assert!(found.levels.iter().all(|level| level.complete), "{shape}: {:?}", found.levels);
        let states: Vec<_> = found.levels.iter().map(|level| level.states).collect();
        assert!(states[0] > 10 && states[1] > states[0], "{shape}: {states:?}");
        assert_eq!(
            states,
            tried(shape, 1, AMPLE).levels.iter().map(|l| l.states).collect::<Vec<_>>()
        );
    }
    let cut = tried("cB,cB<0,cB<1", 3, 1 << 20);
    assert_eq!(cut.cut, Some(Cut::Memory));
    assert!(!cut.levels.last().is_some_and(|level| level.complete), "{:?}", cut.levels);
    for (trap, shape, faults) in [
        (Trap::Machine(Mutant::UndoBeforeAcknowledgement), "cB,cB<0,cB<1", 0),
        (Trap::Machine(Mutant::CancelInFlightPivot), "cB,pB<0", 0),
        (Trap::Machine(Mutant::UndoOnlyCompleted), "cB,cB<0", 0),
        (Trap::SentBeforeDurable, "cB", 1),
        (Trap::BarrierWithoutTombstone, "cB", 1),
        (Trap::Machine(Mutant::UnknownPivotTurns), "cB,pS<0", 1),
    ] {
        traps::set(Some(trap));
        let found = tried(shape, 2, AMPLE);
        traps::set(None);
        assert!(found.broken.is_some(), "{trap:?} is not caught with {shape}");
        let level = found.levels.last().map(|level| level.faults);
        assert_eq!(level, Some(faults), "{trap:?}: {:?}", found.broken);
    }
}
