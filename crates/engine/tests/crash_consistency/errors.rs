//! Every operation of a whole story fails once: the device reports an error, a write is torn, the disk
//! is full for a while.

use std::time::Duration;

use amends_disk::{Disk, Fault, Hit, Kind, Loss, Mount, Operation};
use amends_store_sqlite::Options;
use tokio::task::JoinHandle;

use crate::judge::judge;
use crate::power::Recorded;
use crate::story::tell;
use crate::world::{Exit, World, store_options};
use crate::{FAILED_MAX, paused, some_or_all, tried};

/// The fewest operations that meet a fault of any kind: with fewer the story has become too short to tell
/// of it.
const MET_MIN: usize = 5;

/// How long the disk stays full: longer than the engine waits before it tries again.
const FULL_FOR: Duration = Duration::from_secs(8);

/// Tells the story with a fault at this operation; says what met it, and nothing when no operation
/// did.
pub fn told_with(fault: Fault, exit: Exit, options: &Options) -> Option<Hit> {
    paused(async || {
        let mut world = World::on(Disk::new(), exit).with(options.clone());
        let mount = world.mount.clone();
        mount.fail(fault);
        let clearing = clear_in_time(&mount);
        tell(&mut world).await;
        clearing.abort();
        let hit = mount.hit()?;
        answered_rightly(&world, fault.kind, &hit);
        let recorded = Recorded::of(&world);
        world.end().await;
        judge(&mut world).await;
        // And once more with the power cut some time after the fault: what a failed sync lost must
        // not have been built upon.
        let (from, to) = (hit.acts, recorded.disk.acts());
        let cuts = some_or_all(3, 12);
        for part in 1..=cuts {
            let loss = if part % 4 == 0 { Loss::Some { seed: fault.at } } else { Loss::Everything };
            recorded.after(from + (to - from) * part / (cuts + 1), loss).await;
        }
        Some(hit)
    })
}

/// Makes room on a disk that is full, after a while.
pub fn clear_in_time(mount: &Mount) -> JoinHandle<()> {
    let mount = mount.clone();
    tokio::spawn(async move {
        while mount.hit().is_none() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(FULL_FOR).await;
        mount.make_room();
    })
}

/// L6: what the engine makes of it.
fn answered_rightly(world: &World, kind: Kind, hit: &Hit) {
    let opened = world.openings_failed.is_empty();
    if kind == Kind::Full && opened {
        assert_eq!(world.restarts, 0, "a full disk is tried again: {:?} (L6)", world.refusals);
    }
    // Each commit syncs a write-ahead file, and a sync is never tried again on the same file. An engine
    // that is being stopped is not started again, and closing syncs what was synced before.
    let of_log = hit.name.ends_with("-wal");
    let at_work = world.stopping_from.is_none_or(|from| hit.acts < from);
    let is_error = matches!(kind, Kind::Error | Kind::FailedSync);
    if is_error && hit.operation == Operation::Sync && of_log && opened && at_work {
        assert!(world.restarts > 0, "written on after {hit:?}: {:?} (L6)", world.refusals);
    }
    for refusal in world.refusals.iter().chain(&world.openings_failed) {
        let clear = ["disk", "full", "cannot be", "broke off", "stopped", "not known"];
        assert!(clear.iter().any(|word| refusal.contains(word)), "{refusal}");
    }
}

/// Lets every operation (or every few) meet the fault, until a run meets none.
fn every_operation(kind: Kind, exit: Exit, every: usize) {
    let (mut failed, mut met) = (Vec::new(), 0);
    for at in (0..).step_by(every) {
        if failed.len() == FAILED_MAX {
            break;
        }
        match tried(|| told_with(Fault { at, kind }, exit, &store_options())) {
            Ok(Some(_)) => met += 1,
            Ok(None) => break,
            Err(why) => failed.push(format!("{kind:?} at operation {at}, {exit:?}: {why}")),
        }
    }
    println!("{kind:?}, {exit:?}: {met} operations met it, every {every}th tried");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(met >= MET_MIN, "{kind:?}, {exit:?}: only {met} operations met it");
}

#[test]
fn an_error_of_the_device_loses_nothing_acknowledged() {
    every_operation(Kind::Error, Exit::Orderly, some_or_all(211, 1));
    every_operation(Kind::Error, Exit::Abrupt, some_or_all(223, 1));
}

#[test]
fn a_failed_sync_loses_nothing_acknowledged() {
    every_operation(Kind::FailedSync, Exit::Orderly, some_or_all(11, 1));
    every_operation(Kind::FailedSync, Exit::Abrupt, some_or_all(13, 1));
}

#[test]
fn a_full_disk_is_told_and_waited_for() {
    every_operation(Kind::Full, Exit::Orderly, some_or_all(41, 1));
}

#[test]
fn a_torn_write_loses_nothing_acknowledged() {
    every_operation(Kind::Torn, Exit::Abrupt, some_or_all(43, 1));
}

/// What was found can be found again.
#[test]
fn the_same_fault_meets_the_same_operation_and_comes_to_the_same_acts() {
    let told = |at: u64| {
        paused(async || {
            let mut world = World::on(Disk::new(), Exit::Orderly);
            let mount = world.mount.clone();
            mount.fail(Fault { at, kind: Kind::Error });
            tell(&mut world).await;
            let acts = (0..world.disk.acts()).map(|act| world.disk.describe(act));
            (mount.hit().expect("the story is that long"), acts.collect::<Vec<_>>())
        })
    };
    for at in [10, 185, 300, 500, 777, 1000] {
        let ((hit, acts), (again, acts_again)) = (told(at), told(at));
        assert_eq!(hit, again);
        let differs = acts.iter().zip(&acts_again).position(|(one, other)| one != other);
        assert_eq!(differs.map(|at| (at, &acts[at], &acts_again[at])), None, "{hit:?}");
        assert_eq!(acts.len(), acts_again.len(), "{hit:?}");
    }
}
