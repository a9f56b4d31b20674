//! Every trap is caught: a search that finds no mistake must be one that would find them.
//!
//! One test, because a trap is built in for the whole process.

use amends_explore::{groups, plan, traps};

#[test]
fn every_trap_is_caught() {
    let escaped: Vec<&str> = traps::ALL
        .iter()
        .filter(|(trap, _)| {
            traps::set(Some(*trap));
            let found = groups::explore(&plan::hunting_ground());
            traps::set(None);
            found.is_ok()
        })
        .map(|&(_, name)| name)
        .collect();
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
