//! Outages: the times in which the engine did nothing, for which deadlines make up (section 5,
//! time).
//!
//! A saga that is parked makes up for those it slept through when it is read back, so they are kept
//! in the catalog, as is the engine's last sign of life, from which the next start sees how long it
//! was away. A sign is left only when the outages before it are kept: one that is lost with its engine
//! is then found again by the next.

use std::array;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_core::{Millis, Time};
use amends_store::{Catalog, CatalogError, ShardId};
use bytes::Bytes;
use tokio::sync::watch;

use crate::engine::Shared;
use crate::mutant::{Mutant, mutated};
use crate::options::OUTAGE_AFTER;
use crate::shard::SHARDS;

/// How many outages are remembered: each is at least [`OUTAGE_AFTER`], and one that is forgotten
/// only takes its time from sagas that have slept since before it.
const OUTAGES_KEPT: usize = 1_000;

/// How often a sign of life is left: often enough that a restart is not taken for an outage.
const ALIVE_EVERY: Duration = Duration::from_millis(OUTAGE_AFTER.0 / 2);

/// The catalog's names for what is kept.
const ALIVE: &str = "alive";
const OUTAGES: &str = "outages";

/// See the module.
pub struct Outages {
    noted: Mutex<Noted>,
    /// When each shard has looked at the clock, and so has noticed every outage before that.
    looked: [AtomicU64; SHARDS as usize],
    /// Signs are left one after the other, so that none takes the place of a later one.
    leaving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Noted {
    outages: Vec<Outage>,
    /// How many were ever noted, and how many of them the catalog has.
    ever: u64,
    kept: u64,
}

/// A time in which the engine did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    ended: Time,
    lasted: Millis,
}

impl Default for Outages {
    fn default() -> Self {
        Self {
            noted: Mutex::default(),
            looked: array::from_fn(|_| AtomicU64::new(0)),
            leaving: tokio::sync::Mutex::default(),
        }
    }
}

impl Outages {
    /// Takes back what is kept, and says when there was the last sign of life: that is also the end of
    /// an outage, at which the engine lived to keep it.
    pub async fn restore(&self, catalog: &dyn Catalog) -> Result<Option<Time>, CatalogError> {
        let kept = read(&catalog.note(OUTAGES).await?.unwrap_or_default());
        let ended = kept.last().map(|last| last.ended);
        self.lock().outages = kept;
        let alive = catalog.note(ALIVE).await?.unwrap_or_default();
        let alive = std::str::from_utf8(&alive).ok().and_then(|text| text.parse().ok()).map(Time);
        Ok(alive.max(ended))
    }

    /// Notes that the engine did nothing for a while until now. Says whether that is news: every
    /// shard notices the same outage.
    pub fn note(&self, ended: Time, lasted: Millis) -> bool {
        let mut noted = self.lock();
        if noted.outages.last().is_some_and(|last| ended.since(last.ended) < OUTAGE_AFTER) {
            return false;
        }
        if noted.outages.len() == OUTAGES_KEPT {
            noted.outages.remove(0);
        }
        noted.outages.push(Outage { ended, lasted });
        noted.ever += 1;
        true
    }

    /// A shard has looked at the clock, and has noted what it noticed.
    pub fn looked(&self, shard: ShardId, now: Time) {
        self.looked[shard.0 as usize].store(now.0, Ordering::Release);
    }

    /// How much of the time since then the engine did nothing. Where two overlap, as the catalog may
    /// hold them from before outages were kept ahead of the sign after them, they count once.
    pub fn since(&self, since: Time) -> Millis {
        let mut counted_until = since;
        let mut missed = 0;
        let noted = self.lock();
        let left_out =
            if mutated(Mutant::LastOutageOnly) { noted.outages.len().max(1) - 1 } else { 0 };
        for outage in noted.outages.iter().skip(left_out) {
            missed += outage.lasted.min(outage.ended.since(counted_until)).0;
            counted_until = counted_until.max(outage.ended);
        }
        Millis(missed)
    }

    /// Leaves a sign of life of now, or of the last time at which it is known that no outage was
    /// overlooked: a shard that has not looked at the clock for so long may have one to notice.
    pub async fn leave_sign(&self, catalog: &dyn Catalog, now: Time) -> Result<(), CatalogError> {
        let _alone = self.leaving.lock().await;
        let looked = self.looked.iter().map(|at| Time(at.load(Ordering::Acquire))).min();
        let sure = looked.filter(|looked| now.since(*looked) > OUTAGE_AFTER).unwrap_or(now);
        let sign = Bytes::from(sure.0.to_string());
        if mutated(Mutant::SignBeforeOutages) {
            catalog.put_note(ALIVE, sign.clone()).await?;
        }
        self.keep(catalog).await?;
        catalog.put_note(ALIVE, sign).await
    }

    /// Keeps what is not kept.
    async fn keep(&self, catalog: &dyn Catalog) -> Result<(), CatalogError> {
        let (text, ever) = {
            let noted = self.lock();
            if noted.kept == noted.ever || mutated(Mutant::ForgetOutages) {
                return Ok(());
            }
            (write(&noted.outages), noted.ever)
        };
        catalog.put_note(OUTAGES, text).await?;
        self.lock().kept = ever;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Notes the outages before a start: the engine is known to have lived at these times, of which the
    /// first is its last sign of life, and the others are those of facts after it. One between them was
    /// noticed, and not kept.
    pub fn lived(self: &Arc<Self>, signs: BTreeSet<Time>, now: Time) {
        let until = signs.iter().skip(1).copied().chain([now]);
        for (sign, next) in signs.iter().zip(until) {
            let away = next.since(*sign);
            if away > OUTAGE_AFTER {
                self.outage(next, away);
            }
        }
    }
}

/// A line an outage: when it ended, and how long it lasted, in milliseconds.
fn write(outages: &[Outage]) -> Bytes {
    let line = |outage: &Outage| format!("{} {}\n", outage.ended.0, outage.lasted.0);
    outages.iter().map(line).collect::<String>().into()
}

/// What cannot be read is forgotten: it only takes its time from sagas that slept through it.
fn read(text: &[u8]) -> Vec<Outage> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let outage = |line: &str| {
        let (ended, lasted) = line.split_once(' ')?;
        Some(Outage { ended: Time(ended.parse().ok()?), lasted: Millis(lasted.parse().ok()?) })
    };
    text.lines().filter_map(outage).collect()
}

/// Leaves signs of life, until told to stop.
pub async fn signs_of_life(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(ALIVE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            _ = ticks.tick() => {}
        }
        let last = *stop.borrow();
        let now = shared.clock.now();
        if let Err(error) = shared.outages.leave_sign(&*shared.store.catalog, now).await {
            tracing::warn!(%error, "no sign of life could be left");
            shared.catalog_fails(&error);
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_damage_is_left_out() {
        let kept = vec![
            Outage { ended: Time(10_000), lasted: Millis(6_000) },
            Outage { ended: Time(90_000), lasted: Millis(7_000) },
        ];
        assert_eq!(read(&write(&kept)), kept);
        assert_eq!(read(b"10000 6000\nnonsense\n90000 7000\n1"), kept);
    }

    #[test]
    fn a_saga_makes_up_for_what_it_slept_through_only() {
        let outages = Outages::default();
        assert!(outages.note(Time(20_000), Millis(10_000)));
        assert!(!outages.note(Time(20_100), Millis(10_000)), "the next shard notices it too");
        assert!(outages.note(Time(60_000), Millis(8_000)));
        assert_eq!(outages.since(Time(0)), Millis(18_000));
        assert_eq!(outages.since(Time(15_000)), Millis(5_000 + 8_000), "it moved in the middle");
        assert_eq!(outages.since(Time(20_000)), Millis(8_000));
        assert_eq!(outages.since(Time(60_000)), Millis(0));
    }

    #[test]
    fn what_two_outages_share_counts_once() {
        let outages = Outages::default();
        assert!(outages.note(Time(100_000), Millis(90_000)));
        assert!(outages.note(Time(110_000), Millis(100_000)), "from the same sign of life");
        assert_eq!(outages.since(Time(0)), Millis(100_000));
        assert_eq!(outages.since(Time(50_000)), Millis(60_000));
        assert_eq!(outages.since(Time(105_000)), Millis(5_000));
    }
}
