//! A process that dies, and a cut of the power, after every act that changed the disk.

use std::sync::Arc;

use amends_disk::{Disk, Loss};

use crate::judge::judge;
use crate::outside::Given;
use crate::owners::Owners;
use crate::shop::Shop;
use crate::story::tell;
use crate::world::{Exit, Told, World, store_options};
use crate::{paused, some_or_all, tried};

/// The fewest acts of a whole story: in a shorter one there is too little to die in.
const ACTS_MIN: usize = 400;

/// A story that was told once, with everything that was said along the way.
pub struct Recorded {
    pub disk: Disk,
    shop: Shop,
    told: Vec<Told>,
    owners: Owners,
    expiring_from: Option<usize>,
}

impl Recorded {
    /// What a world has come to.
    pub fn of(world: &World) -> Self {
        Self {
            disk: world.disk.clone(),
            shop: world.shop.clone(),
            told: world.told.clone(),
            owners: world.owners.clone(),
            expiring_from: world.expiring_from,
        }
    }

    /// What is left when the power was cut after so many acts, and what had been told by then.
    pub fn left(&self, acts: usize, loss: Loss) -> World {
        let disk = self.disk.after(acts, loss);
        let mut world = World::on(disk, Exit::Abrupt);
        world.shop = self.shop.as_of(acts, &world.disk);
        // For this disk all of it was before its first act.
        let told = self.told.iter().filter(|told| told.moment <= acts);
        world.told = told.map(|told| Told { moment: 0, ..told.clone() }).collect();
        world.owners = self.owners.as_of(acts);
        let wall = world.told.iter().map(|told| told.wall).max();
        world.outside = Arc::new(Given::after(wall.unwrap_or_default()));
        world.may_expire = self.expiring_from.is_some_and(|from| from <= acts);
        world.expiring_from = world.may_expire.then_some(0);
        world
    }

    /// Holds what is left against what had been told.
    pub async fn after(&self, acts: usize, loss: Loss) {
        judge(&mut self.left(acts, loss)).await;
    }
}

/// Tells the story on a good disk.
pub fn recorded(options: amends_store_sqlite::Options) -> Recorded {
    paused(async || {
        let mut world = World::on(Disk::new(), Exit::Orderly).with(options);
        tell(&mut world).await;
        assert_eq!((world.restarts, &world.refusals[..]), (0, &[][..]));
        let acts = world.disk.acts();
        assert!(acts >= ACTS_MIN, "the story has only {acts} acts");
        Recorded::of(&world)
    })
}

/// Cuts the power after every act (or every few), and says where it lost something.
pub fn losses(recorded: &Recorded, every: usize, losses: &[Loss]) -> Vec<String> {
    let mut lost = Vec::new();
    for acts in (0..=recorded.disk.acts()).step_by(every) {
        for loss in losses {
            // Another choice at every place.
            let loss = match *loss {
                Loss::Some { seed } => Loss::Some { seed: seed + acts as u64 },
                other => other,
            };
            if let Err(why) = tried(|| paused(async || recorded.after(acts, loss).await)) {
                let last = acts.checked_sub(1).map(|act| recorded.disk.describe(act));
                lost.push(format!("after act {acts} ({last:?}), {loss:?}: {why}"));
            }
        }
    }
    lost
}

#[test]
fn a_process_that_dies_loses_nothing_acknowledged_wherever_it_dies() {
    let recorded = recorded(store_options());
    let every = some_or_all(17, 1);
    let lost = losses(&recorded, every, &[Loss::Nothing]);
    println!("died: {} acts, after every {every}th", recorded.disk.acts());
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_wherever_it_comes() {
    let recorded = recorded(store_options());
    let ways = [Loss::Everything, Loss::Some { seed: 1 }, Loss::Some { seed: 1 << 32 }];
    let every = some_or_all(23, 1);
    let lost = losses(&recorded, every, &ways);
    println!(
        "power cut: {} acts, after every {every}th, {} ways",
        recorded.disk.acts(),
        ways.len()
    );
    assert!(lost.is_empty(), "{lost:#?}");
}
