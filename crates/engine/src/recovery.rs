//! Recovery: the definitions, then each shard's sagas, from the catalog and the journal's tail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amends_core::{SagaId, Time};
use amends_definition::{Surroundings, check};
use amends_store::{DueCursor, Events, JournalError, Position, ShardId, StoredSaga};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::engine::{Error, Shared};
use crate::mutant::{Mutant, mutated};
use crate::options::DUE_WINDOW;
use crate::reading::{self, Unreadable, Whole};
use crate::shard::message::Internal;
use crate::shard::{SHARDS, Shard, shard_of, ways};

/// How many sagas one page of the catalog has.
const PAGE_SAGAS: usize = 1_000;

/// How many single sagas are asked for at the same moment, so that the catalog's reader is never
/// idle while one is being replayed.
const READS_AT_ONCE: usize = 256;

/// Takes back every version that the catalog holds.
pub async fn definitions(shared: &Arc<Shared>) -> Result<(), Error> {
    for stored in shared.store.catalog.definitions().await? {
        let path = format!("{} version {}", stored.saga_type, stored.version);
        // The version was checked when it was taken in. Its schema is not needed again: no saga is
        // started with it before its file has been read anew.
        let surroundings =
            Surroundings::none().with_process_env(|_| true).with_files(|_| Ok(b"{}".to_vec()));
        let checked = check(&stored.source, &path, &surroundings);
        match checked.compiled {
            Some(compiled) => shared.registry.restore(compiled, stored.version, stored.hash),
            None => {
                let why = checked.findings.first().map(|f| f.message.clone()).unwrap_or_default();
                // Its sagas are quarantined when they are read; the others go on.
                tracing::error!(definition = path, why, "a stored definition cannot be used");
            }
        }
    }
    Ok(())
}

/// What the journal holds of one saga beyond the catalog.
struct Tail {
    first_seq: u64,
    count: u32,
    bytes: Vec<u8>,
}

/// Sets up every shard with its sagas.
pub async fn shards(shared: &Arc<Shared>) -> Result<Vec<Shard>, Error> {
    let journal = &shared.store.journal;
    let (mut inlets, mut builders) = (Vec::new(), Vec::new());
    for number in 0..SHARDS {
        let (ways_in, build) = ways();
        let epoch = journal.acquire(ShardId(number)).await?;
        inlets.push(ways_in);
        builders.push((build, ShardId(number), epoch));
    }
    shared.set_inlets(inlets);
    let alive = shared.outages.restore(&*shared.store.catalog).await?;
    let mut signs = BTreeSet::from_iter(alive);
    let tails = tails(shared, &mut signs).await?;
    shared.clock.not_before(signs.last().copied().unwrap_or_default());
    let mut due = Vec::new();
    for number in 0..SHARDS {
        due.extend(due_soon(shared, ShardId(number)).await?);
    }
    shared.lived(signs, shared.clock.now());
    let mut shards: Vec<Shard> = builders
        .into_iter()
        .map(|(build, id, epoch)| build(Arc::clone(shared), id, epoch))
        .collect();
    let count = due.len() + tails.len();
    for stored in due.iter().filter(|stored| !tails.contains_key(&SagaId(stored.row.saga))) {
        let saga = SagaId(stored.row.saga);
        let shard = &mut shards[shard_of(saga).0 as usize];
        match shard.revive(saga, reading::whole(Some(stored), 0, &[])) {
            Ok(()) => {}
            Err(Unreadable::Newer(error)) => return Err(Error::Newer(error)),
            Err(Unreadable::Damaged(why)) => shard.quarantine(&stored.row, why),
        }
    }
    let mut read = stream::iter(tails)
        .map(|(saga, tail)| async move {
            let stored = shared.store.catalog.read(saga.0).await;
            stored.map(|stored| (saga, tail, stored))
        })
        .buffer_unordered(READS_AT_ONCE);
    while let Some(next) = read.next().await {
        let (saga, tail, stored) = next?;
        let shard = &mut shards[shard_of(saga).0 as usize];
        let whole = with_tail(stored.as_ref(), &tail).map_err(Unreadable::Damaged);
        match whole.and_then(|whole| shard.revive(saga, whole)) {
            Ok(()) => {}
            Err(Unreadable::Newer(error)) => return Err(Error::Newer(error)),
            Err(Unreadable::Damaged(why)) => shard.keep_unreadable(saga, stored, tail.into(), why),
        }
    }
    if count > 0 {
        tracing::info!(sagas = count, "sagas recovered");
        for shard in &mut shards {
            shard.begin_paced();
        }
    }
    Ok(shards)
}

/// The journal's tail, by saga: the oldest comes back first. The times of its facts are signs of life
/// too, those after the last that was left.
async fn tails(
    shared: &Arc<Shared>,
    signs: &mut BTreeSet<Time>,
) -> Result<BTreeMap<SagaId, Tail>, Error> {
    let mut tails: BTreeMap<SagaId, Tail> = BTreeMap::new();
    let mut after: Position = shared.store.catalog.position();
    let alive = signs.last().copied();
    loop {
        let records = match shared.store.journal.replay(after).await {
            Err(JournalError::Damaged { .. }) if mutated(Mutant::PassOverHoles) => {
                return Ok(tails);
            }
            records => records?,
        };
        let Some(last) = records.last().filter(|_| !mutated(Mutant::LoseTail)) else {
            return Ok(tails);
        };
        after = last.position;
        for entry in records.into_iter().flat_map(|record| record.batches).flat_map(|b| b.entries) {
            let tail = tails.entry(SagaId(entry.saga)).or_insert_with(|| Tail {
                first_seq: entry.events.first_seq,
                count: 0,
                bytes: Vec::new(),
            });
            tail.count += entry.events.count;
            tail.bytes.extend_from_slice(&entry.events.bytes);
            let times = crate::persist::times(&entry.events.bytes);
            signs.extend(times.filter(|at| alive.is_none_or(|alive| *at > alive)));
        }
    }
}

impl From<Tail> for Events {
    fn from(tail: Tail) -> Self {
        Self { first_seq: tail.first_seq, count: tail.count, bytes: tail.bytes.into() }
    }
}

fn with_tail(stored: Option<&StoredSaga>, tail: &Tail) -> Result<Whole, String> {
    // A row may be newer than the catalog's position: then the tail is in it already.
    let held = stored.map_or(0, |stored| stored.row.seq);
    let after = tail.first_seq - 1;
    if held > after {
        // Checkpoints end with a decision, so what is held already is left out frame by frame.
        let rest = crate::persist::after(&tail.bytes, held - after);
        let rest = rest.ok_or("the journal's events do not follow those of the catalog")?;
        return Ok(reading::whole(stored, held, rest));
    }
    Ok(reading::whole(stored, after, &tail.bytes))
}

/// The live sagas that have something to do soon.
async fn due_soon(shared: &Arc<Shared>, shard: ShardId) -> Result<Vec<StoredSaga>, Error> {
    let until = (shared.clock.now() + DUE_WINDOW).0;
    let (mut due, mut after) = (Vec::new(), None);
    loop {
        let page = shared.store.catalog.due(shard, until, after, PAGE_SAGAS).await?;
        let Some(last) = page.last() else { return Ok(due) };
        after = Some(DueCursor::after(&last.row));
        due.extend(page);
    }
}

/// Brings parked sagas back in time for their timers, until told to stop.
pub async fn due_sagas(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(DUE_WINDOW.0 / 2));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            _ = ticks.tick() => {}
        }
        if mutated(Mutant::StarveParked) {
            continue;
        }
        for (number, inlets) in (0..).zip(shared.inlets()) {
            let tell = |message| drop(inlets.internal.send(message)); // the engine may be stopping
            tell(Internal::DueRead);
            let due = due_soon(&shared, ShardId(number)).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "due sagas could not be read");
                Vec::new()
            });
            tell(Internal::Due(due));
        }
    }
}
