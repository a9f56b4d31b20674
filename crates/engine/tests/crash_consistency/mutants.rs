//! Stores with a mistake built in: the checks of this folder must find each.

use amends_disk::Loss;
use amends_store_sqlite::{Mutant, Options};

use crate::power::{losses, recorded};
use crate::world::store_options;

/// Every so many places are tried: a mistake in how things are written shows at nearly all of them.
const EVERY: usize = 5;

fn caught(mutant: Mutant, by: Loss) {
    let recorded = recorded(Options { mutant: Some(mutant), ..store_options() });
    let lost = losses(&recorded, EVERY, &[by]);
    println!("{mutant:?} is caught at {} of {} places", lost.len(), recorded.disk.acts() / EVERY);
    assert!(!lost.is_empty(), "{mutant:?} is not caught");
}

#[test]
fn a_store_that_skips_the_sync_is_caught_by_a_power_cut() {
    caught(Mutant::SkipsTheSync, Loss::Everything);
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_caught_by_a_crash() {
    caught(Mutant::AcknowledgesBeforeTheSync, Loss::Nothing);
}
