//! A history comes back whole, however many parts it came in.

use super::Installation;
use super::given::*;

pub(super) async fn a_history_in_one_part_comes_back(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 12)]).await;
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!(saga.events, events(1, 1, 12));
}

pub(super) async fn a_history_in_many_parts_comes_back_in_order(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived(vec![row(1, 3)]).await;
    for seq in 4..=30 {
        let position = given.appended(vec![entry(1, seq, 1)]).await;
        given.checkpointed(position, vec![brought(row(1, seq), seq)]).await;
        given.store.journal.cut(position).await.unwrap();
    }
    let given = given.reopened().await;
    let saga = given.store.catalog.read(1).await.unwrap().unwrap();
    assert_eq!((saga.row, saga.events), (row(1, 30), events(1, 1, 30)));
}

pub(super) async fn histories_of_many_sagas_do_not_mix(on: &dyn Installation) {
    const SAGAS: u128 = 50;
    let given = opened(on).await;
    given.archived((1..=SAGAS).map(|saga| row(saga, 1)).collect()).await;
    for seq in 2..=6_u32 {
        let moved = |saga: &u128| saga.is_multiple_of(u128::from(seq));
        let sagas: Vec<u128> = (1..=SAGAS).filter(moved).collect();
        let mut entries = Vec::new();
        let mut rows = Vec::new();
        for saga in sagas {
            let held = given.store.catalog.read(saga).await.unwrap().unwrap().row.seq;
            entries.push(entry(saga, held + 1, 2));
            rows.push(brought(row(saga, held + 2), held + 1));
        }
        let position = given.appended(entries).await;
        given.checkpointed(position, rows).await;
    }
    for saga in 1..=SAGAS {
        let parts = (2..=6).filter(|seq| saga % seq == 0).count() as u32;
        let stored = given.store.catalog.read(saga).await.unwrap().unwrap();
        assert_eq!(stored.events, events(saga, 1, 1 + 2 * parts));
    }
}
