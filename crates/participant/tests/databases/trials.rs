//! The kit's own trials pass on a good participant, and fail readably on a bad one.

use amends_participant::guard::Mistake;
use amends_participant::testing::Trial;
use serde_json::json;
use sqlx::Pool;

use crate::bed::{Bed, Gate, Tested, on_each_database};

on_each_database! {
    alone
    a_good_participant_passes_every_trial
    a_bad_participant_fails_and_says_why
}

async fn entries<D: Tested>(pool: &Pool<D>) -> i64 {
    D::number(pool, "SELECT count(*) FROM ledger").await.unwrap()
}

async fn a_good_participant_passes_every_trial<D: Tested>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let trial = Trial::of(&bed.participant, "Act").undone_by("Undo").with(json!({"amount": 5}));
    let trial = trial.watching(|| entries(&bed.pool));
    trial.all().await;
    let another = Bed::on(bed.pool.clone(), None, Gate::standing_open()).await;
    trial.crash_after_commit(&another.participant).await;
    trial.with(json!({"amount": 5, "end": "refuse"})).refuse_twice().await;
}

/// What a trial of this participant says.
async fn said<D: Tested>(pool: Pool<D>, mistake: Option<Mistake>, end: &'static str) -> String {
    let tried = tokio::spawn(async move {
        let bed = Bed::on(pool, mistake, Gate::standing_open()).await;
        let trial = Trial::of(&bed.participant, "Act").undone_by("Undo");
        let trial = trial.with(json!({"amount": 5, "end": end}));
        let trial = trial.watching(|| entries(&bed.pool));
        trial.all().await;
    });
    let panic = tried.await.expect_err("the trial fails").into_panic();
    *panic.downcast::<String>().expect("it says why")
}

async fn a_bad_participant_fails_and_says_why<D: Tested>(pool: Pool<D>) {
    let twice = said(pool.clone(), Some(Mistake::ResultForgotten), "").await;
    assert!(twice.starts_with("LedgerService.Act with {"), "{twice}");
    assert!(twice.ends_with("delivered twice it changed what is watched by 1"), "{twice}");
    let late = said(pool.clone(), Some(Mistake::NoTombstone), "").await;
    assert!(late.contains("late, after its undo, it was told 200 {"), "{late}");
    let failing = said(pool, None, "fail").await;
    assert!(failing.contains("it should succeed, and was told 503 {"), "{failing}");
}
