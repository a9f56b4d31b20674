//! What goes wrong again while a process recovers from what went wrong before.

use amends_disk::{Fault, Kind, Loss};

use crate::errors::clear_in_time;
use crate::judge::judge;
use crate::power::{Recorded, losses, recorded};
use crate::world::store_options;
use crate::{FAILED_MAX, paused, some_or_all, tried};

/// The fewest places of a second death: with fewer, recoveries do nothing any more.
const PLACES_MIN: usize = 20;

/// The fewest operations of recoveries that meet a fault.
const MET_MIN: usize = 60;

/// How a process ended.
const ENDS: [Loss; 2] = [Loss::Nothing, Loss::Everything];

/// The story of a recovery, from what was left after so many acts.
fn recovered(recorded: &Recorded, acts: usize, loss: Loss) -> Result<Recorded, String> {
    tried(|| {
        paused(async || {
            let mut world = recorded.left(acts, loss);
            judge(&mut world).await;
            Recorded::of(&world)
        })
    })
}

/// A recovery in which a fault comes, and another one from what a power cut leaves of that. Was there
/// a fault?
fn recovers_with(recorded: &Recorded, acts: usize, loss: Loss, fault: Fault) -> bool {
    paused(async || {
        let mut world = recorded.left(acts, loss);
        let mount = world.mount.clone();
        mount.fail(fault);
        let clearing = clear_in_time(&mount);
        judge(&mut world).await;
        clearing.abort();
        let recovered = Recorded::of(&world);
        let Some(hit) = mount.hit() else { return false };
        let end = recovered.disk.acts();
        recovered.after(hit.acts + (end - hit.acts) / 2, Loss::Everything).await;
        true
    })
}

#[test]
fn a_process_that_dies_again_while_it_recovers_loses_nothing_acknowledged() {
    let recorded = recorded(store_options());
    let (mut places, mut lost) = (0, Vec::new());
    for acts in (0..=recorded.disk.acts()).step_by(some_or_all(89, 5)) {
        for loss in ENDS {
            match recovered(&recorded, acts, loss) {
                Ok(again) => {
                    let every = some_or_all(37, 1);
                    places += again.disk.acts().div_ceil(every);
                    let twice = losses(&again, every, &[loss]).into_iter();
                    lost.extend(twice.map(|why| format!("after act {acts}, and {why}")));
                }
                Err(why) => lost.push(format!("after act {acts}, {loss:?}: {why}")),
            }
        }
    }
    println!("died twice: {places} places of the second time");
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(places >= PLACES_MIN, "only {places} places");
}

#[test]
fn a_fault_of_the_disk_while_a_process_recovers_loses_nothing_acknowledged() {
    let recorded = recorded(store_options());
    let every_kind = [
        (Kind::Error, some_or_all(97, 1)),
        (Kind::FailedSync, some_or_all(11, 1)),
        (Kind::Full, some_or_all(23, 1)),
        (Kind::Torn, some_or_all(29, 1)),
    ];
    let (mut met, mut failed) = (0, Vec::new());
    for acts in (0..=recorded.disk.acts()).step_by(some_or_all(121, 27)) {
        for (loss, (kind, every)) in ENDS.iter().flat_map(|loss| every_kind.map(|k| (*loss, k))) {
            for at in (0..).step_by(every) {
                if failed.len() == FAILED_MAX {
                    break;
                }
                match tried(|| recovers_with(&recorded, acts, loss, Fault { at, kind })) {
                    Ok(true) => met += 1,
                    Ok(false) => break,
                    Err(why) => {
                        failed.push(format!("after act {acts}, {loss:?}, {kind:?} at {at}: {why}"));
                    }
                }
            }
        }
    }
    println!("recovered with a fault: {met} operations met one");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(met >= MET_MIN, "only {met} operations met a fault");
}
