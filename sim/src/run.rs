//! One run: the world of a seed, from nothing to the verdict.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::Duration;

use amends_core::SagaId;
use amends_engine::SagaVerb;
use amends_store::Query;

use crate::judge::{Law, Violation};
use crate::life::{self, Life};
use crate::marks::Mark;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::world::World;
use crate::{clients, mutants, note, weather};

/// How long the catalog may need for what is durable: a checkpoint that has just begun, and the next.
const CATALOG_BEHIND_MAX: Duration = Duration::from_secs(5);

/// How long after the faults an engine may still take the journal for full, in milliseconds: it tries
/// again every five seconds.
const FULL_AT_MOST_MS: u64 = 6_000;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// How often each law was looked at.
    pub checked: BTreeMap<Law, u64>,
    /// What happened in it that many runs must have seen.
    pub marks: BTreeSet<Mark>,
    /// How many tasks of it panicked, the engine's or the simulator's.
    pub panics: u32,
    /// The hash of its trace, and of how many lines.
    pub hash: u64,
    /// How many lines its trace has.
    pub lines: u64,
    /// How many sagas it had.
    pub sagas: usize,
    /// How long it took in its own time, in milliseconds.
    pub lasted_ms: u64,
    /// Its trace, where that was wanted.
    pub trace: Vec<(Option<SagaId>, String)>,
}

impl Outcome {
    /// That of a seed of which nothing is known yet.
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            seed,
            violations: Vec::new(),
            checked: BTreeMap::new(),
            marks: BTreeSet::new(),
            panics: 0,
            hash: 0,
            lines: 0,
            sagas: 0,
            lasted_ms: 0,
            trace: Vec::new(),
        }
    }

    /// Is there anything wrong with it?
    pub fn is_broken(&self) -> bool {
        !self.violations.is_empty() || self.panics > 0
    }
}

thread_local! {
    /// How many panics there were on this thread, on which the whole of a run happens.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Runs a seed. With `traced` its trace is kept. A panic anywhere in it is counted, also one of a task
/// that nobody waits for.
///
/// # Panics
/// When no runtime can be made.
pub fn run(seed: u64, traced: bool) -> Outcome {
    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| {
        let tells = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            tells(panic);
        }));
    });
    PANICS.set(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(simulate(seed, traced))));
    let outcome = outcome.unwrap_or_else(|_| Outcome::of(seed));
    Outcome { panics: PANICS.get(), ..outcome }
}

async fn simulate(seed: u64, traced: bool) -> Outcome {
    let world = World::new(Plan::of(seed), Trace::new(traced));
    world.disk.flaws(mutants::flaws());
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..world.plan.sagas {
        callers.spawn(clients::run(Arc::clone(&world), number));
    }
    tokio::spawn(weather::blows(Arc::clone(&world)));
    let calm = Arc::clone(&world);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(calm.plan.faults_ms)).await;
        note!(calm.trace, None, "from here on nothing goes wrong");
        calm.traffic.calm_down();
    });
    if let Some(life) = life::live(&world).await {
        settle(&world, life, &mut callers).await;
    }
    let violations = world.judge.violations();
    let (hash, lines) = world.trace.hash();
    Outcome {
        checked: world.judge.checked(),
        marks: world.judge.marks(),
        hash,
        lines,
        sagas: world.judge.sagas().len(),
        lasted_ms: world.trace.now(),
        trace: world.trace.lines(),
        violations,
        ..Outcome::of(seed)
    }
}

/// Nothing goes wrong any more: everything comes to rest, within its time, and is judged.
async fn settle(world: &Arc<World>, mut life: Life, callers: &mut tokio::task::JoinSet<()>) {
    // The last of the weather is over, too.
    while world.traffic.troubled() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let since = world.trace.now();
    let mut poisoned = false;
    loop {
        let broken = tokio::time::timeout(Duration::from_secs(2), life.engine.broken()).await;
        if let Ok(error) = broken {
            life::broke_off(world, &error, false, true);
            return;
        }
        while callers.try_join_next().is_some() {}
        resume_all(world).await;
        let quiet = world.traffic.under_way() == 0 && callers.is_empty();
        let tried = world.trace.now() - since > FULL_AT_MOST_MS;
        if quiet && tried && world.judge.at_rest() {
            break;
        }
        poisoned |= world.judge.any_poisoned();
        let within = world.plan.settles_within(poisoned).0;
        if world.trace.now() - since > within || !world.judge.violations().is_empty() {
            break;
        }
    }
    note!(world.trace, None, "the end, {} ms after the faults", world.trace.now() - since);
    world.judge.judge_end(since);
    if world.judge.violations().is_empty() {
        read_all(world).await;
        world.judge.judge_published(life.opening);
    }
    life::stop(world, life).await;
}

/// An operator lets every saga go on that somebody paused.
async fn resume_all(world: &Arc<World>) {
    let paused = world.judge.sagas().into_iter().filter(|(_, saga)| saga.paused.is_some());
    for (saga, _) in paused {
        if let Some(engine) = world.owner() {
            let _ = engine.handle.ask(saga, clients::verb(SagaVerb::Resume), None).await;
        }
    }
}

/// Everything that was acknowledged is there, as it is durably, and the catalog says the same.
async fn read_all(world: &Arc<World>) {
    let Some(engine) = world.owner() else { return };
    for saga in world.judge.acknowledged() {
        // One that waits for a person moves on while the answer is on its way.
        let durable = world.judge.durable_seq(saga);
        let got = engine.handle.get(saga).await;
        let lost = match &got {
            Ok(Some(got)) => {
                world.judge.said(Law::S18, &got.saga);
                (got.saga.seq < durable).then(|| "it is behind".to_owned())
            }
            other => Some(format!("it was acknowledged and is {:?}", other.as_ref().map(|_| ()))),
        };
        world.judge.check(Law::L6, Some(saga), lost);
    }
    // One that waits for a person may still move; the catalog has all that is durable now, in a moment.
    let sagas = world.judge.sagas();
    tokio::time::sleep(CATALOG_BEHIND_MAX).await;
    let listed = engine.handle.list(Query { limit: 1000, ..Query::default() }, None).await;
    let rows = listed.map(|page| page.rows).unwrap_or_default();
    for (id, saga) in sagas {
        let row = rows.iter().find(|row| row.saga == id.0);
        let said = row.map(|row| (row.seq, amends_engine::state_in(row.state), row.paused));
        let is = (saga.seq, Some(saga.state), saga.paused.is_some());
        let right = said == Some(is) || said.is_some_and(|(seq, ..)| seq > saga.seq);
        let other = (!right).then(|| format!("the catalog says {said:?} and it is {is:?}"));
        world.judge.check(Law::S17, Some(id), other);
    }
}
