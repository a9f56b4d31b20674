//! The database is away, or goes away in the middle: each command gets its answer, and nothing is
//! half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_participant::{Answer, Participant, Serving};
use amends_testbed::{Kind, Server};
use amends_wire::{FailureCodes, Outcome};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{MySql, Pool, Postgres};

use crate::bed::{
    Bed, Gate, RESULT, SERVICE, Saga, Tested, business, code_of, completed, mariadb_alone_url,
    mariadb_pool, mariadb_url, postgres_alone_url, postgres_pool, postgres_url, sqlite_options,
};
use crate::cost::proxied;
use crate::messages::{Served, eventually};
use crate::proxy::Proxy;

/// A server of its own, since it is killed.
struct Fragile<D: Tested> {
    server: Server,
    pool: Pool<D>,
}

impl<D: Tested> Fragile<D> {
    async fn start<Pooling: Future<Output = Pool<D>>>(
        kind: fn() -> Box<dyn Kind>,
        connect: impl FnOnce(String) -> Pooling,
    ) -> Self {
        let server = blocking(move || Server::start(kind()).unwrap()).await;
        let pool = connect(server.url()).await;
        Self { server, pool }
    }

    async fn bed(&self, gate: &Gate) -> Bed<D> {
        Bed::on(self.pool.clone(), None, gate.clone()).await
    }

    async fn kill(mut self) -> Self {
        blocking(move || {
            self.server.kill().unwrap();
            self
        })
        .await
    }

    async fn start_again(mut self) -> Self {
        blocking(move || {
            self.server.start_again().unwrap();
            self
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// As an engine does: the same bytes until there is a definite answer.
async fn until_definite<D: Tested>(bed: &Bed<D>, body: &bytes::Bytes) -> Answer {
    loop {
        let answer = bed.tell(body).await;
        if answer.status() < 500 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check_faults<D: Tested>(fragile: Fragile<D>) {
    let open = Gate::standing_open();
    let bed = fragile.bed(&open).await;
    let kept = Saga::new();
    assert_eq!(bed.tell(&kept.action()).await, completed());

    // In the middle of a handler.
    let gate = Gate::shut();
    let slow = fragile.bed(&gate).await;
    let saga = Saga::new();
    let at_work = tokio::spawn(async move { slow.tell(&saga.action()).await });
    gate.arrival().await;
    let fragile = fragile.kill().await;
    gate.open.add_permits(1);
    let broken = at_work.await.unwrap();
    assert_eq!((broken.status(), code_of(&broken).as_str()), (503, "DATABASE_UNAVAILABLE"));

    // Away before a command comes.
    let impatient = Bed {
        pool: bed.pool.clone(),
        participant: business(Participant::builder(SERVICE, bed.pool.clone()), open.clone())
            .connection_wait(Duration::from_millis(200))
            .build(),
    };
    let away = impatient.tell(&saga.action()).await;
    assert_eq!((away.status(), code_of(&away).as_str()), (503, "DATABASE_UNAVAILABLE"));
    assert_eq!([&broken, &away].map(Answer::retry_after), [Some(Duration::from_secs(1)); 2]);

    // What was committed is there, what was not is as if it had never been.
    let fragile = fragile.start_again().await;
    assert_eq!(until_definite(&bed, &kept.action()).await, completed());
    assert_eq!(bed.effects(kept).await, (1, 0));
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert_eq!(until_definite(&bed, &saga.undo()).await, Answer::Undone(false));
    assert_eq!(code_of(&until_definite(&bed, &saga.action()).await), "ALREADY_UNDONE");
    drop(fragile);
}

/// Killed while many commands are at work, some of them in their commits.
async fn check_kills<D: Tested>(mut fragile: Fragile<D>) {
    let bed = std::sync::Arc::new(fragile.bed(&Gate::standing_open()).await);
    let sagas: Vec<_> = (0..120).map(|_| Saga::new()).collect();
    let telling: Vec<_> = sagas
        .iter()
        .enumerate()
        .map(|(n, saga)| {
            let (bed, saga) = (std::sync::Arc::clone(&bed), *saga);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10 * n as u64)).await;
                let done = until_definite(&bed, &saga.action()).await;
                let undone = until_definite(&bed, &saga.undo()).await;
                (done, undone)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        fragile = fragile.kill().await.start_again().await;
    }
    for (saga, told) in sagas.iter().zip(telling) {
        let (done, undone) = told.await.unwrap();
        assert_eq!(done, completed());
        assert_eq!(undone, Answer::Undone(true));
        assert_eq!(bed.effects(*saga).await, (1, 1), "{saga:?}");
    }
}

/// The commit arrives, its answer does not: what happened is open, is said so, and comes to light
/// at the next attempt.
async fn check_lost_commit<D: Tested>(pool: Pool<D>, proxy: Proxy) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let saga = Saga::new();
    for (body, then) in [(saga.action(), completed()), (saga.undo(), Answer::Undone(true))] {
        proxy.cut_commits(true);
        let lost = bed.tell(&body).await;
        assert_eq!((lost.status(), code_of(&lost).as_str()), (500, "OUTCOME_UNKNOWN"));
        proxy.cut_commits(false);
        assert_eq!(until_definite(&bed, &body).await, then);
    }
    assert_eq!(bed.effects(saga).await, (1, 1));
}

/// The same by message: it is given back until an attempt tells, and is answered then.
async fn check_lost_commit_by_message<D: Tested>(pool: Pool<D>, proxy: Proxy) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let served = Served::start(|broker| Serving::new(bed.participant.clone(), broker));
    let saga = Saga::new();
    proxy.cut_commits(true);
    served.broker.put(amends_participant::Kind::Command, saga.action(), Vec::new());
    while proxy.commits_cut() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!served.broker.is_idle(), "it is with the broker, or at work");
    proxy.cut_commits(false);
    eventually("the broker is idle", || served.broker.is_idle()).await;
    assert_eq!(served.broker.dead_letters(), []);
    let heard = served.end_once().await;
    assert!(!heard.is_empty());
    for reply in heard {
        let done = Outcome::Completed { result: Some(RESULT.into()), undone: None };
        assert_eq!(reply.outcome(&FailureCodes::default()), done);
    }
    assert_eq!(bed.effects(saga).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_commit_is_lost_comes_again_on_postgres() {
    let (proxy, url) = proxied(&postgres_alone_url().await).await;
    check_lost_commit_by_message(postgres_pool(&url).await, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_commit_is_lost_comes_again_on_mariadb() {
    let (proxy, url) = proxied(&mariadb_alone_url().await).await;
    check_lost_commit_by_message(mariadb_pool(&url).await, proxy).await;
}

/// Each command has one connection, so that none waits for another that waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_takes_a_second_connection() {
    let folder = tempfile::tempdir().unwrap();
    let had = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&had);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .before_acquire(move |_, _| {
            hook.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(true) })
        })
        .connect_with(sqlite_options(folder.path().join("ledger.db")))
        .await
        .unwrap();
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    for end in ["", "refuse", "fail", "panic"] {
        had.store(0, Ordering::SeqCst);
        bed.tell(&Saga::new().action_that(end)).await;
        assert_eq!(had.load(Ordering::SeqCst), 1, "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_of_unknown_outcome_on_postgres() {
    let url = tokio::task::spawn_blocking(postgres_url).await.unwrap();
    let (proxy, url) = proxied(&url).await;
    check_lost_commit(postgres_pool(&url).await, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_of_unknown_outcome_on_mariadb() {
    let url = tokio::task::spawn_blocking(mariadb_url).await.unwrap();
    let (proxy, url) = proxied(&url).await;
    check_lost_commit(mariadb_pool(&url).await, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_half_done_when_postgres_dies() {
    let start = || {
        Fragile::<Postgres>::start(amends_testbed::postgres, async |url| postgres_pool(&url).await)
    };
    check_faults(start().await).await;
    check_kills(start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_half_done_when_mariadb_dies() {
    let start =
        || Fragile::<MySql>::start(amends_testbed::mariadb, async |url| mariadb_pool(&url).await);
    check_faults(start().await).await;
    check_kills(start().await).await;
}
