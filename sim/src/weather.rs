//! The weather of the disk: it is slow for a while, or full, or a sync fails.

use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::disk::Weather;
use crate::marks::Mark;
use crate::note;
use crate::world::World;

/// Changes the weather until the faults are over.
pub async fn blows(world: Arc<World>) {
    let mut chance = Chance::named(world.plan.seed, "weather");
    let troubles = world.plan.troubles;
    while world.traffic.troubled() {
        let calm = chance.span(6_000, 60_000);
        world.traffic.wait_in_trouble(Duration::from_millis(calm)).await;
        if !world.traffic.troubled() {
            break;
        }
        let mut lasts = 0;
        if chance.permille(troubles.slow_disk) {
            let longest = *chance.pick(&[100, 1_000, 8_000]);
            world.disk.weather(|w| w.sync_ms = (longest / 5, longest));
            world.disk.weather(|w| w.catalog_ms = (longest / 5, longest));
            note!(world.trace, None, "the disk is slow, up to {longest} ms");
            world.judge.mark(Mark::DiskSlow);
            lasts = chance.span(5_000, 60_000);
        }
        if chance.permille(troubles.sync_fails) {
            world.disk.weather(|w| w.sync_fails = true);
            note!(world.trace, None, "the next sync fails");
        }
        if chance.permille(troubles.journal_full) {
            world.disk.weather(|w| w.journal_full = true);
            note!(world.trace, None, "the journal is full");
            world.judge.mark(Mark::JournalFull);
            lasts = chance.span(8_000, 40_000);
        }
        if chance.permille(troubles.catalog_full) {
            world.disk.weather(|w| w.catalog_full = true);
            note!(world.trace, None, "the catalog is full");
            world.judge.mark(Mark::CatalogFull);
            lasts = chance.span(8_000, 60_000);
        }
        world.traffic.wait_in_trouble(Duration::from_millis(lasts)).await;
        world.disk.weather(|w| *w = Weather { sync_fails: w.sync_fails, ..Weather::FAIR });
        note!(world.trace, None, "the disk is well");
    }
    world.disk.weather(|w| *w = Weather::FAIR);
}
