//! The world of one run: what everything in it shares.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amends_core::definition::Kind;
use amends_core::{SagaId, Time};
use amends_engine::{Handle, Outside};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::judge::{Judge, Place};
use crate::network::Traffic;
use crate::plan::Plan;
use crate::trace::Trace;

/// When the wall clock of every run begins.
const WALL_AT_START: u64 = 1_800_000_000_000;

/// See the module.
pub struct World {
    /// What the seed has decided.
    pub plan: Arc<Plan>,
    /// What happens.
    pub trace: Trace,
    /// Whether it may.
    pub judge: Judge,
    /// The disk.
    pub disk: Disk,
    /// The network.
    pub traffic: Traffic,
    engines: Mutex<Engines>,
    /// By how much the wall clock is off, in milliseconds.
    wall_off: AtomicI64,
    ids: Mutex<Chance>,
    asked: AtomicU64,
}

#[derive(Default)]
struct Engines {
    current: Option<Running>,
    /// One that has been replaced and does not know.
    replaced: Option<Running>,
    alive: BTreeSet<u64>,
}

/// An engine that runs.
#[derive(Clone)]
pub struct Running {
    /// Its opening of the store.
    pub opening: u64,
    /// Its handle.
    pub handle: Handle,
}

impl World {
    /// The world of a seed, before anything happens.
    pub fn new(plan: Plan, trace: Trace) -> Arc<Self> {
        let plan = Arc::new(plan);
        let judge = Judge::new(Arc::clone(&plan), trace.clone());
        let chance = Chance::named(plan.seed, "disk");
        let disk = Disk::new(chance, Some(Box::new(judge.clone())));
        let ids = Mutex::new(Chance::named(plan.seed, "ids"));
        Arc::new(Self {
            plan,
            trace,
            judge,
            disk,
            traffic: Traffic::default(),
            engines: Mutex::default(),
            wall_off: AtomicI64::new(0),
            ids,
            asked: AtomicU64::new(0),
        })
    }

    /// The engine that callers reach: where one has been replaced, now and then still that one.
    pub fn engine(&self) -> Option<Running> {
        let engines = self.engines();
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match &engines.replaced {
            Some(replaced) if asked.is_multiple_of(3) => Some(replaced.clone()),
            _ => engines.current.clone(),
        }
    }

    /// The engine that owns the shards.
    pub fn owner(&self) -> Option<Running> {
        self.engines().current.clone()
    }

    /// An engine's process lives from here.
    pub fn born(&self, opening: u64) {
        self.engines().alive.insert(opening);
    }

    /// An engine takes callers.
    pub fn takes_callers(&self, running: Running) {
        self.engines().current = Some(running);
    }

    /// The engine has been replaced, and goes on.
    pub fn is_replaced(&self) {
        let mut engines = self.engines();
        engines.replaced = engines.current.take();
    }

    /// An engine is dead.
    pub fn died(&self, opening: u64) {
        self.judge.is_over(opening);
        let mut engines = self.engines();
        engines.alive.remove(&opening);
        engines.current.take_if(|running| running.opening == opening);
        engines.replaced.take_if(|running| running.opening == opening);
    }

    /// Is this engine's process alive?
    pub fn serves(&self, opening: u64) -> bool {
        self.engines().alive.contains(&opening)
    }

    /// What the wall clock says.
    pub fn wall(&self) -> Time {
        let off = self.wall_off.load(Ordering::Relaxed);
        Time((WALL_AT_START + self.trace.now()).saturating_add_signed(off))
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, by_ms: i64) {
        self.wall_off.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// What kind of step this is.
    pub fn kind_of(&self, at: Place) -> Kind {
        self.judge.kind_of(at)
    }

    fn engines(&self) -> std::sync::MutexGuard<'_, Engines> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an engine of this world takes from outside.
pub struct Simulated {
    /// The world.
    pub world: Arc<World>,
    /// The engine.
    pub opening: u64,
}

impl Outside for Simulated {
    fn wall_clock(&self) -> Time {
        let wall = self.world.wall();
        self.world.judge.clock_read(self.opening, wall);
        wall
    }

    fn saga_id(&self) -> SagaId {
        let mut ids = self.world.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, variant) = (0x7_u128 << 76, 0b10_u128 << 62);
        let time = u128::from(self.world.wall().0) << 80;
        let high = u128::from(ids.below(1 << 12)) << 64;
        let low = u128::from(ids.below(1 << 62));
        SagaId(time | version | high | variant | low)
    }
}
