//! Every trap is caught: a search that finds no mistake must be one that would find them.
//!
//! One test, because a trap is built in for the whole process.

use amends_explore::{choreography, traps};

#[test]
fn every_trap_is_caught_by_its_law() {
    for (trap, law, name) in traps::ALL {
        let (tally, broken) = traps::spring(trap);
        assert_eq!(broken.map(|broken| broken.law), Some(law), "{name}: {tally:?}");
    }
    for (mutant, law, name) in choreography::traps::ALL {
        let (tally, broken) = choreography::traps::spring(mutant);
        assert_eq!(broken.map(|broken| broken.law), Some(law), "{name}: {tally:?}");
    }
}
