//! Whether all that was acknowledged is there, and every saga ends as it should.

use std::collections::BTreeMap;

use amends_core::SagaId;
use amends_core::saga::{Saga, State, Status};
use amends_engine::SagaVerb;

use crate::shop::Effects;
use crate::story::{approval, verb};
use crate::world::{Told, World};

/// Starts the engine on what is there, holds it against what was told, drives every saga that is
/// known to its end, and holds that against what the participants did. Panics at the first fault.
pub async fn judge(world: &mut World) {
    let told = world.told.clone();
    let mut sagas: BTreeMap<SagaId, Vec<Told>> = BTreeMap::new();
    for told in told {
        sagas.entry(told.saga).or_default().push(told);
    }
    for (saga, told) in &sagas {
        there(world, *saga, told).await;
    }
    // A command that left had its intent on the disk, and so its saga's start (S5).
    for (saga, step) in world.shop.asked() {
        let id: SagaId = saga.parse().unwrap();
        match look(world, id).await {
            Some(saga) => {
                let asked = run_statuses(world, &saga).await;
                assert_ne!(asked.get(&step), Some(&Status::Pending), "{step} was asked (S5)");
                sagas.entry(id).or_default();
            }
            None => assert!(may_be_gone(world, sagas.get(&id)), "{id}: a command of it left (S5)"),
        }
    }
    for saga in sagas.keys() {
        if let Some(found) = look(world, *saga).await.filter(|saga| !saga.state.ended()) {
            if found.paused.is_some() {
                world.ask(*saga, "", verb(SagaVerb::Resume)).await;
            }
            world.ask(*saga, "", approval()).await;
            world.ended(*saga, "").await;
        }
        if let Some(saga) = look(world, *saga).await {
            effects_fit(&saga, &world.shop.effects(&saga.id.to_string()));
        }
    }
    assert_eq!(world.shop.faults(), [""; 0]);
}

/// What was told of a saga holds.
async fn there(world: &mut World, saga: SagaId, told: &[Told]) {
    let Some(found) = look(world, saga).await else {
        assert!(
            may_be_gone(world, Some(&told.to_vec())),
            "{saga} was acknowledged: {told:?} (S18)"
        );
        return;
    };
    for told in told {
        assert!(found.seq >= told.seq, "{told:?}, and it stands at {} (S18)", found.seq);
        if let Some(end) = told.end {
            assert_eq!(found.state, end, "{told:?} (S3)");
        }
    }
    let row = world.until(async |handle| handle.row(saga).await).await;
    assert!(row.is_none_or(|row| row.quarantined.is_none()), "{saga} is unreadable");
    // The same start again is the same saga, and no second one; its key is free once it is deleted.
    let kept = !may_be_gone(world, Some(&told.to_vec()));
    if let Some(told) = told.iter().find(|told| kept && !told.key.is_empty()) {
        let data = String::from_utf8_lossy(found.data.bytes()).into_owned();
        let again = world.start(&told.key, &data).await;
        assert_eq!(again, (saga, true), "{} (S16)", told.key);
    }
}

/// Has it ended, and been told so, before sagas were deleted?
fn may_be_gone(world: &World, told: Option<&Vec<Told>>) -> bool {
    world.may_expire && told.is_none_or(|told| told.iter().any(|told| told.end.is_some()))
}

async fn look(world: &mut World, saga: SagaId) -> Option<std::sync::Arc<Saga>> {
    world.until(async |handle| handle.get(saga).await).await.map(|snapshot| snapshot.saga)
}

async fn run_statuses(world: &mut World, saga: &Saga) -> BTreeMap<String, Status> {
    let handle = world.handle().await;
    let deployed = handle.definition(&saga.pinned.saga_type, saga.pinned.version).unwrap();
    saga.runs().map(|(at, run)| (deployed.run_name(saga, at).to_string(), run.status)).collect()
}

/// Of an ended saga: what is done is done once, what is undone is undone once (S1, S2, S4).
fn effects_fit(saga: &Saga, effects: &BTreeMap<String, Effects>) {
    let steps = ["reserve", "pay", "ship"].map(|step| effects.get(step).copied());
    for step in steps {
        let Effects { done, undone } = step.unwrap_or_default();
        match saga.state {
            State::Completed => assert_eq!((done, undone), (1, 0), "{} (S2)", saga.id),
            _ => assert!(done == undone && done <= 1, "{}: {done}, {undone} (S1)", saga.id),
        }
    }
    assert!(saga.clean() && saga.attention.is_empty(), "{saga:?}");
}
