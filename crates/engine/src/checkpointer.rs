//! The checkpointer: brings the catalog up to the journal, cuts the journal behind it, and lets the
//! shards forget what the catalog holds.

use std::sync::Arc;

use amends_core::SagaId;
use amends_store::{CHECKPOINT_SAGAS_ADVISED, CatalogError, Checkpoint, Checkpointed, Position};
use tokio::sync::{oneshot, watch};

use crate::engine::Shared;
use crate::mutant::{Mutant, mutated};
use crate::options::CHECKPOINT_EVERY;
use crate::shard::message::Internal;
use crate::shard::shard_of;

/// How many deleted sagas make one transaction of the catalog.
const EXPIRE_SAGAS_MAX: usize = 2_000;

/// Runs until told to stop, and then once more.
pub async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            _ = ticks.tick() => {}
        }
        let last = *stop.borrow();
        if let Err(error) = checkpoint(&shared).await {
            // Nothing is lost: the journal holds it, and starts are pushed back when it grows.
            tracing::warn!(%error, "the checkpoint failed and is tried again");
            shared.catalog_fails(&error);
        }
        if last {
            return;
        }
        if let Err(error) = expire(&shared).await {
            tracing::warn!(%error, "closed sagas could not be deleted");
        }
    }
}

/// Takes one checkpoint.
async fn checkpoint(shared: &Arc<Shared>) -> Result<(), CatalogError> {
    let store = &shared.store;
    let last = store.journal.size().last;
    let Some(collected) = collect(shared).await else { return Ok(()) };
    if collected.is_empty() && last == store.catalog.position() {
        return Ok(());
    }
    let held: Vec<(SagaId, u64)> =
        collected.iter().map(|saga| (SagaId(saga.row.saga), saga.row.seq)).collect();
    // The next start learns from the sign how late it is: the catalog holds no fact of a later time.
    if !mutated(Mutant::CheckpointUnsigned) {
        shared.outages.leave_sign(&*store.catalog, shared.clock.now()).await?;
    }
    bring(shared, collected, last).await?;
    shared.catalog_at(store.catalog.position());
    tell(shared, held);
    if let Err(error) = store.journal.cut(store.catalog.position()).await {
        tracing::warn!(%error, "the journal could not be cut");
    }
    Ok(())
}

/// What the catalog does not hold, of every shard; nothing when one of them is gone. What that one knew
/// would be left out, and the catalog's place would move past facts that only the journal has.
async fn collect(shared: &Arc<Shared>) -> Option<Vec<Checkpointed>> {
    let mut answers = Vec::new();
    shared.tell_all(|| {
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        Internal::Collect(reply)
    });
    let mut collected = Vec::new();
    for answer in answers {
        // A shard that is gone has told its reason to the engine, and recovery is near.
        match answer.await {
            Ok(sagas) => collected.extend(sagas),
            Err(_) if mutated(Mutant::CheckpointInPart) => {}
            Err(_) => return None,
        }
    }
    Some(collected)
}

/// Brings it in parts of a size that the catalog likes; only the last moves its place.
async fn bring(
    shared: &Arc<Shared>,
    mut sagas: Vec<Checkpointed>,
    last: Position,
) -> Result<(), CatalogError> {
    let catalog = &shared.store.catalog;
    while sagas.len() > CHECKPOINT_SAGAS_ADVISED {
        let rest = sagas.split_off(CHECKPOINT_SAGAS_ADVISED);
        catalog.checkpoint(Checkpoint { position: catalog.position(), sagas }).await?;
        sagas = rest;
    }
    catalog.checkpoint(Checkpoint { position: last, sagas }).await?;
    Ok(())
}

fn tell(shared: &Arc<Shared>, held: Vec<(SagaId, u64)>) {
    let mut by_shard = vec![Vec::new(); shared.inlets().len()];
    for (saga, seq) in held {
        by_shard[shard_of(saga).0 as usize].push((saga, seq));
    }
    for (inlets, held) in shared.inlets().iter().zip(by_shard) {
        if !held.is_empty() {
            let _ = inlets.internal.send(Internal::Held(held)); // the engine is stopping
        }
    }
}

async fn expire(shared: &Arc<Shared>) -> Result<(), CatalogError> {
    let now = shared.clock.now().0;
    shared.store.catalog.expire(now, EXPIRE_SAGAS_MAX).await.map(drop)
}
