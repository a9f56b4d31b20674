//! The judge: the business's ledger against what was told. It knows nothing of the guard's table.

use sqlx::Pool;

use crate::bed::{self, Tested};
use crate::saga::Told;

pub(crate) async fn judge(kind: &str, url: &str, told: &[Told]) -> Vec<String> {
    match kind {
        "postgres" => judge_on(bed::postgres_pool(url).await, told).await,
        "mariadb" => judge_on(bed::mariadb_pool(url).await, told).await,
        _ => judge_on(bed::sqlite_pool(url.into()).await, told).await,
    }
}

async fn judge_on<D: Tested>(pool: Pool<D>, told: &[Told]) -> Vec<String> {
    let mut found = Vec::new();
    for saga in told {
        let id = saga.saga.0.to_string();
        let count = async |effect| D::amounts(&pool, &id, effect).await.unwrap().len();
        let (done, undone) = (count("action").await, count("compensation").await);
        let mut wrong = |what: String| {
            let (actions, undos) = (&saga.actions, &saga.undos);
            found.push(format!(
                "saga {id}: done {done} times, undone {undone} times: {what}. Told: {actions:?}, \
                 {undos:?}"
            ));
        };
        if done > 1 || undone > done {
            wrong("at most once, and undone no more than done".to_owned());
        }
        if saga.is_undone && done != undone {
            wrong("what was undone is undone".to_owned());
        }
        if saga.is_refused && done != 0 {
            wrong("a refusal has no effect".to_owned());
        }
        if !saga.is_undone && !saga.is_refused && (done, undone) != (1, 0) {
            wrong("what was neither refused nor undone is done".to_owned());
        }
        for answers in [&saga.actions, &saga.undos] {
            if answers.iter().any(|answer| *answer != answers[0]) {
                wrong("every copy is told the same".to_owned());
            }
        }
        if let Some((status, body)) = saga.actions.first() {
            let expected = if done == 1 { 200 } else { 422 };
            if *status != expected {
                wrong(format!("the action was told {status} {body}"));
            }
        }
        if let Some((_, body)) = saga.undos.first()
            && *body != format!("{{\"undone\":{}}}", undone == 1)
        {
            wrong(format!("the undo was told {body}"));
        }
    }
    let entries = D::number(&pool, "SELECT count(*) FROM ledger").await.unwrap();
    let all: i64 = told.len().try_into().unwrap_or(i64::MAX);
    if entries > 2 * all || entries == 0 {
        found.push(format!("the ledger has {entries} entries of {all} sagas"));
    }
    found
}
