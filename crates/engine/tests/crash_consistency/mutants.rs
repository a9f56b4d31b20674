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
fn caught(mutant: Mutant, law: &str, by: Loss) {
    let recorded = match tried(|| recorded(with(mutant))) {
        Ok(recorded) => recorded,
        Err(why) => return by_law(mutant, law, &[why], 1),
    };
    let lost = losses(&recorded, EVERY, &[by]);
    by_law(mutant, law, &lost, recorded.disk.acts().div_ceil(EVERY));
}

/// Some of what was seen must be that law: any panic would do otherwise, also the tests' own.
fn by_law(mutant: Mutant, law: &str, seen: &[String], places: usize) {
    let mut caught = seen.iter().filter(|why| why.contains(law));
    let first = caught.next().unwrap_or_else(|| panic!("{law} does not see {mutant:?}: {seen:#?}"));
    let (caught, seen) = (1 + caught.count(), seen.len());
    println!(
        "{mutant:?}: seen at {seen} of {places} places, {caught} by {law}; the first: {first}"
    );
}

/// By a fault of the disk at some of the operations that it may befall.
fn caught_by_faults(mutant: Mutant, law: &str, kind: Kind) {
    let (mut caught, mut met) = (Vec::new(), 0);
    for at in (0..OPERATIONS_MAX).step_by(EVERY) {
        match tried(|| told_with(Fault { at, kind }, Exit::Abrupt, &with(mutant))) {
            Ok(None) => break,
            Ok(Some(_)) => met += 1,
            Err(why) => caught.push(why),
        }
    }
    let places = caught.len() + met;
    by_law(mutant, law, &caught, places);
}

#[test]
fn a_store_that_skips_the_sync_is_caught_by_a_power_cut() {
    caught(Mutant::SkipsTheSync, "(S18)", Loss::Everything);
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_caught_by_a_crash() {
    caught(Mutant::AcknowledgesBeforeTheSync, "(S18)", Loss::Nothing);
}

#[test]
fn a_store_that_forgets_the_owners_of_shards_is_caught_by_a_restart() {
    caught(Mutant::ForgetsTheOwners, "(S14)", Loss::Nothing);
}

#[test]
fn a_store_that_takes_what_a_replaced_owner_writes_is_caught() {
    caught(Mutant::TakesStaleOwners, "(S14)", Loss::Nothing);
}

#[test]
fn a_store_that_takes_a_full_disk_for_written_is_caught() {
    caught_by_faults(Mutant::TakesFullForWritten, "(S18)", Kind::Full);
}

#[test]
fn a_store_that_takes_a_failed_sync_for_written_is_caught() {
    caught_by_faults(Mutant::TakesFailedSyncsForWritten, "(S18)", Kind::FailedSync);
}

#[test]
fn a_store_that_writes_on_after_a_failed_sync_is_caught() {
    caught_by_faults(Mutant::GoesOnAfterFailedSyncs, "(L6)", Kind::FailedSync);
}
