//! The life of engines: started, killed, stopped, frozen, replaced, and started again on what the disk
//! has kept.

use std::sync::Arc;
use std::time::Duration;

use amends_core::Millis;
use amends_engine::{Change, Deployment, Engine, Error, Options};
use amends_store::{CatalogError, JournalError, Store};
use tokio::sync::broadcast::error::RecvError;

use crate::chance::Chance;
use crate::disk::Loss;
use crate::judge::Law;
use crate::marks::Mark;
use crate::network::Wires;
use crate::note;
use crate::world::{Running, Simulated, World};

/// How often a start is tried that finds no room, or that another's work disturbs.
const STARTS_MAX: u32 = 500;

/// An engine and its opening of the store.
pub struct Life {
    /// The engine.
    pub engine: Engine,
    /// Its opening.
    pub opening: u64,
}

/// Lets engines live and die until the faults are over; what lives then is handed back.
pub async fn live(world: &Arc<World>) -> Option<Life> {
    let mut chance = Chance::named(world.plan.seed, "life");
    let troubles = world.plan.troubles;
    let mut version = 1;
    let mut life = start(world, &mut chance, version, None).await?;
    loop {
        let left = world.plan.faults_ms.saturating_sub(world.trace.now());
        let span = chance.span(troubles.life_ms, 2 * troubles.life_ms).min(left);
        let broken = tokio::select! {
            biased;
            error = life.engine.broken() => Some(error),
            () = tokio::time::sleep(Duration::from_millis(span)) => None,
        };
        if let Some(error) = &broken {
            broke_off(world, error, false, false);
        }
        if world.trace.now() >= world.plan.faults_ms {
            // The last fault may be about to be noticed.
            let notice = Duration::from_millis(200);
            let breaks = tokio::time::timeout(notice, life.engine.broken()).await;
            if broken.is_none() && breaks.is_err() && chance.permille(500) {
                return Some(life);
            }
            die(world, &mut chance, life);
            return start(world, &mut chance, version, None).await;
        }
        if chance.permille(200) {
            version = 2;
        }
        if broken.is_none() && chance.permille(troubles.frozen) {
            let frozen = chance.span(10_000, 120_000);
            note!(world.trace, None, "frozen for {frozen} ms");
            world.judge.mark(Mark::Frozen);
            world.judge.freezes(life.opening, Millis(frozen));
            tokio::time::advance(Duration::from_millis(frozen)).await;
            continue;
        }
        if broken.is_none() && chance.permille(troubles.replaced) {
            world.is_replaced();
            let next = start(world, &mut chance, version, Some(&life)).await?;
            let old = std::mem::replace(&mut life, next);
            replaced(world, &mut chance, old);
            continue;
        }
        if broken.is_none() && chance.permille(troubles.stop) {
            stop(world, life).await;
        } else {
            die(world, &mut chance, life);
        }
        let away = chance.span(3_000, 300_000).min(world.plan.faults_ms);
        tokio::time::sleep(Duration::from_millis(away)).await;
        if chance.permille(troubles.clock_jumps) {
            let by = match chance.below(3) {
                0 => -(chance.span(5_000, 600_000) as i64),
                _ => chance.span(20_000, 3_600_000) as i64,
            };
            note!(world.trace, None, "the wall clock is set by {by} ms");
            world.judge.mark(if by < 0 { Mark::ClockBack } else { Mark::ClockForward });
            world.set_wall(by);
        }
        if chance.permille(troubles.bit_flips) {
            bit_flip(world).await;
        }
        life = start(world, &mut chance, version, None).await?;
    }
}

/// The process is gone at once, and with it what the disk had not synced.
fn die(world: &Arc<World>, chance: &mut Chance, life: Life) {
    let loss = *chance.pick(&[Loss::All, Loss::Nothing, Loss::Torn]);
    note!(world.trace, None, "engine {} dies, losing {loss:?}", life.opening);
    world.judge.mark(match loss {
        Loss::All => Mark::LostAll,
        Loss::Nothing => Mark::LostNothing,
        Loss::Torn => Mark::Torn,
    });
    world.died(life.opening);
    drop(life.engine);
    world.disk.dies(life.opening, loss);
}

/// One that was replaced goes on for a while.
fn replaced(world: &Arc<World>, chance: &mut Chance, mut old: Life) {
    let span = chance.span(5_000, 30_000);
    let world = Arc::clone(world);
    note!(world.trace, None, "engine {} is replaced", old.opening);
    world.judge.is_over(old.opening);
    world.judge.mark(Mark::Replaced);
    tokio::spawn(async move {
        let still = tokio::time::timeout(Duration::from_millis(span), old.engine.broken()).await;
        if let Ok(error) = still {
            broke_off(&world, &error, true, false);
        }
        note!(world.trace, None, "engine {}, replaced before, dies", old.opening);
        world.died(old.opening);
        drop(old.engine);
        world.disk.dies(old.opening, Loss::Nothing);
    });
}

/// The process ends in order.
pub async fn stop(world: &Arc<World>, life: Life) {
    note!(world.trace, None, "engine {} is stopped", life.opening);
    // A disk that stays full holds a stop up until somebody kills it.
    let stopped = tokio::time::timeout(Duration::from_secs(60), life.engine.stop()).await;
    note!(world.trace, None, "engine {} has stopped, in order: {}", life.opening, stopped.is_ok());
    world.judge.mark_if(stopped.is_ok(), Mark::StoppedInOrder);
    world.died(life.opening);
    world.disk.dies(life.opening, Loss::All);
}

/// Why an engine broke off must be something that the disk did, or a successor.
pub fn broke_off(world: &Arc<World>, error: &Error, replaced: bool, calm: bool) {
    note!(world.trace, None, "an engine broke off: {error}");
    let journal = matches!(error, Error::Journal(JournalError::Broken { .. }));
    world.judge.mark_if(journal, Mark::SyncFailed);
    let catalog = matches!(error, Error::Catalog(CatalogError::Broken { .. }));
    world.judge.mark_if(catalog, Mark::CatalogBroken);
    let expected = match error {
        // Its successor has read the disk back.
        Error::Journal(JournalError::Broken { .. }) => replaced || world.disk.is_broken(),
        Error::Journal(JournalError::StaleOwner { .. }) => replaced,
        // It cannot be written any more: by a replaced owner, or after a failed sync.
        Error::Catalog(CatalogError::Broken { .. }) => replaced || world.disk.is_broken(),
        _ => false,
    };
    let unexpected = (calm || !expected).then(|| format!("an engine broke off: {error}"));
    world.judge.check(Law::S17, None, unexpected);
}

/// A bit of the journal's file flips while nobody runs: the start must halt, and go on as if nothing
/// had been once the file is mended.
async fn bit_flip(world: &Arc<World>) {
    let Some(flipped) = world.disk.flip_bit() else { return };
    let (store, opening) = world.disk.open();
    world.born(opening);
    let started = open_engine(world, store, opening).await;
    let halted = matches!(started, Err(Error::Journal(JournalError::Damaged { .. })));
    note!(world.trace, None, "a bit has flipped; the start halts: {halted}");
    world.judge.mark_if(halted, Mark::BitFlipped);
    let went_on = (!halted).then(|| "an engine started on a hole in its journal".to_owned());
    world.judge.check(Law::S20, None, went_on);
    world.died(opening);
    drop(started);
    world.disk.dies(opening, Loss::All);
    world.disk.mend_bit(flipped);
}

async fn open_engine(world: &Arc<World>, store: Store, opening: u64) -> Result<Engine, Error> {
    let options = Options {
        window: world.plan.window,
        recovery_rate: world.plan.recovery_rate,
        ..Options::default()
    };
    let binder = Arc::new(Wires { world: Arc::clone(world), opening });
    let outside = Arc::new(Simulated { world: Arc::clone(world), opening });
    Engine::start_in(options, store, binder, outside).await
}

/// Starts an engine on the disk, also where it dies on the way now and then; none when that does not
/// come to an end.
async fn start(
    world: &Arc<World>,
    chance: &mut Chance,
    version: usize,
    beside: Option<&Life>,
) -> Option<Life> {
    let mut beside = beside;
    for _ in 0..STARTS_MAX {
        let (store, opening) = match beside {
            Some(_) => world.disk.open_beside(),
            None => world.disk.open(),
        };
        world.born(opening);
        let troubled = world.trace.now() < world.plan.faults_ms;
        let patience = match troubled && chance.permille(world.plan.troubles.crash_in_recovery) {
            true => Duration::from_millis(chance.between(1, 400)),
            false => Duration::from_secs(600),
        };
        let started = tokio::time::timeout(patience, begin(world, store, opening, version)).await;
        match started {
            Ok(Ok(engine)) => {
                note!(world.trace, None, "engine {opening} runs version {version}");
                world.takes_callers(Running { opening, handle: engine.handle() });
                return Some(Life { engine, opening });
            }
            Ok(Err(why)) => note!(world.trace, None, "engine {opening} does not start: {why}"),
            Err(_) => {
                note!(world.trace, None, "engine {opening} dies in its recovery");
                world.judge.mark(Mark::DiedInRecovery);
            }
        }
        world.died(opening);
        world.disk.dies(opening, if beside.is_some() { Loss::Nothing } else { Loss::Torn });
        // The next has the disk for itself.
        if let Some(old) = beside.take() {
            world.died(old.opening);
            world.disk.dies(old.opening, Loss::Nothing);
        }
        let pause = chance.span(500, 5_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let what = "no start of the engine comes to an end".to_owned();
    world.judge.check(Law::L1, None, Some(what));
    None
}

async fn begin(
    world: &Arc<World>,
    store: Store,
    opening: u64,
    version: usize,
) -> Result<Engine, String> {
    let engine = open_engine(world, store, opening).await.map_err(|error| error.to_string())?;
    let handle = engine.handle();
    tokio::spawn(watch(Arc::clone(world), opening, handle.transitions()));
    let files = world.plan.types.iter().map(|saga_type| {
        let compiled = saga_type.versions[version - 1].clone();
        Deployment { compiled }
    });
    let files: Vec<Deployment> = files.collect();
    let deployed = handle.deploy(files).await;
    deployed.map_err(|error| error.to_string())?;
    Ok(engine)
}

/// Hears every transition of one engine, and holds each against the facts that are durable then.
async fn watch(
    world: Arc<World>,
    opening: u64,
    mut transitions: tokio::sync::broadcast::Receiver<Arc<amends_engine::Transition>>,
) {
    loop {
        match transitions.recv().await {
            Ok(transition) => {
                let state = match &transition.change {
                    Change::Saga { to, .. } => Some(*to),
                    _ => None,
                };
                world.judge.published(opening, transition.saga_id, transition.seq, state);
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
