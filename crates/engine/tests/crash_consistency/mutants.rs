//! Stores with a mistake built in: the checks of this folder must find each.

use amends_disk::{Fault, Kind, Loss};
use amends_store_sqlite::{Mutant, Options};

use crate::errors::told_with;
use crate::power::{losses, recorded};
use crate::tried;
use crate::world::{Exit, store_options};

/// Every so many places are tried: a mistake in how things are written shows at nearly all of them.
const EVERY: usize = 5;

/// More than a story has of those that can fail in one way: with a mistake no run may be the last.
const OPERATIONS_MAX: u64 = 500;

fn with(mutant: Mutant) -> Options {
    Options { mutant: Some(mutant), ..store_options() }
}

/// By a process that dies, or a cut of the power, at some of the places in a story.
fn caught(mutant: Mutant, by: Loss) {
    let recorded = match tried(|| recorded(with(mutant))) {
        Ok(recorded) => recorded,
        Err(why) => return println!("{mutant:?} is caught while the story is told: {why}"),
    };
    let lost = losses(&recorded, EVERY, &[by]);
    let first = lost.first().unwrap_or_else(|| panic!("{mutant:?} is not caught"));
    let places = recorded.disk.acts().div_ceil(EVERY);
    println!("{mutant:?} is caught at {} of {places} places; the first: {first}", lost.len());
}

/// By a fault of the disk at some of the operations that it may befall.
fn caught_by_faults(mutant: Mutant, kind: Kind) {
    let (mut caught, mut met) = (Vec::new(), 0);
    for at in (0..OPERATIONS_MAX).step_by(EVERY) {
        match tried(|| told_with(Fault { at, kind }, Exit::Abrupt, &with(mutant))) {
            Ok(None) => break,
            Ok(Some(_)) => met += 1,
            Err(why) => caught.push(why),
        }
    }
    let first = caught.first().unwrap_or_else(|| panic!("{mutant:?} is not caught"));
    let (caught, met) = (caught.len(), caught.len() + met);
    println!("{mutant:?} is caught at {caught} of {met} operations; the first: {first}");
}

#[test]
fn a_store_that_skips_the_sync_is_caught_by_a_power_cut() {
    caught(Mutant::SkipsTheSync, Loss::Everything);
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_caught_by_a_crash() {
    caught(Mutant::AcknowledgesBeforeTheSync, Loss::Nothing);
}

#[test]
fn a_store_that_forgets_the_owners_of_shards_is_caught_by_a_restart() {
    caught(Mutant::ForgetsTheOwners, Loss::Nothing);
}

#[test]
fn a_store_that_takes_what_a_replaced_owner_writes_is_caught() {
    caught(Mutant::TakesStaleOwners, Loss::Nothing);
}

#[test]
fn a_store_that_takes_a_full_disk_for_written_is_caught() {
    caught_by_faults(Mutant::TakesFullForWritten, Kind::Full);
}

#[test]
fn a_store_that_takes_a_failed_sync_for_written_is_caught() {
    caught_by_faults(Mutant::TakesFailedSyncsForWritten, Kind::FailedSync);
}

#[test]
fn a_store_that_writes_on_after_a_failed_sync_is_caught() {
    caught_by_faults(Mutant::GoesOnAfterFailedSyncs, Kind::FailedSync);
}
