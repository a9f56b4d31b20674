//! Another transaction is waited for in vain: it is said so at once, as what it is, and nothing is
//! waited for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_participant::{About, Outcome, Participant, Tx};
use futures_util::FutureExt;
use sqlx::Pool;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;

use crate::bed::{
    Bed, Gate, Receipt, SERVICE, Saga, Tested, Work, code_of, completed, mariadb_alone_url,
    mariadb_pool, postgres_alone_url, postgres_pool, sqlite_options,
};

async fn count<D: Tested>(tx: &mut Tx<D>, work: Work, about: &About) -> Outcome<Receipt> {
    D::say(tx, "UPDATE held SET n = n + 1").await?;
    Ok(Receipt { amount: work.amount, attempt: about.attempt() })
}

/// `tries_max`: how often the handler runs while its row is held.
async fn check<D: Tested>(patient: Pool<D>, impatient: Pool<D>, wait: Duration, tries_max: usize) {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let participant = Participant::builder(SERVICE, impatient.clone())
        .action_boxed("Act", move |tx: &mut Tx<D>, work: Work, about| {
            counted.fetch_add(1, Ordering::SeqCst);
            count(tx, work, about).boxed()
        })
        .connection_wait(wait)
        .build();
    let bed = Bed { pool: impatient, participant };
    bed.participant.create_tables().await.unwrap();
    D::run(&patient, "CREATE TABLE held (n bigint NOT NULL)".to_owned()).await.unwrap();
    D::run(&patient, "INSERT INTO held (n) VALUES (0)".to_owned()).await.unwrap();
    let action = Saga::new().action();
    // What the handler wants, and then the row that a duplicate claims.
    for holds in ["UPDATE held SET n = 7", "UPDATE amends_guard SET round = round"] {
        let mut holder = D::begin_writing(&patient).await;
        D::say(&mut holder, holds).await.unwrap();
        let told = bed.tell(&action).await;
        assert_eq!((told.status(), code_of(&told).as_str()), (503, "CONFLICT"), "{holds}");
        assert_eq!(
            tries.swap(0, Ordering::SeqCst),
            if holds.contains("held") { tries_max } else { 0 }
        );
        holder.rollback().await.unwrap();
        assert_eq!(bed.tell(&action).await, completed());
        tries.store(0, Ordering::SeqCst);
    }
    assert_eq!(D::number(&patient, "SELECT n FROM held").await.unwrap(), 1);
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_vain_is_told_so_on_postgres() {
    let url = postgres_alone_url().await;
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("lock_timeout", "50ms")]);
    let impatient = PgPoolOptions::new().connect_with(options).await.unwrap();
    check(postgres_pool(&url).await, impatient, LONG, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_vain_is_told_so_on_mariadb() {
    let url = mariadb_alone_url().await;
    let impatient = MySqlPoolOptions::new().after_connect(|connection, _| {
        let wait = sqlx::raw_sql("SET innodb_lock_wait_timeout = 1").execute(connection);
        Box::pin(async move { wait.await.map(drop) })
    });
    check(mariadb_pool(&url).await, impatient.connect(&url).await.unwrap(), LONG, 1).await;
}

/// By the time of the connection, and where that is longer by that of the command.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_vain_is_told_so_on_sqlite() {
    let short = Duration::from_millis(50);
    for (busy, wait) in [(short, LONG), (LONG, short)] {
        let folder = tempfile::tempdir().unwrap();
        let options = sqlite_options(folder.path().join("ledger.db"));
        let patient = SqlitePoolOptions::new().connect_with(options.clone()).await.unwrap();
        let impatient = SqlitePoolOptions::new().connect_with(options.busy_timeout(busy));
        check(patient, impatient.await.unwrap(), wait, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_a_connection_is_no_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(sqlite_options(folder.path().join("ledger.db"))).await.unwrap();
    let bed = Bed::on(pool.clone(), None, Gate::standing_open()).await;
    let builder = Participant::builder(SERVICE, pool.clone()).connection_wait(Duration::ZERO);
    let participant = crate::bed::business(builder, Gate::standing_open()).build();
    let _held = pool.acquire().await.unwrap();
    let told = Bed { pool, participant }.tell(&Saga::new().action()).await;
    assert_eq!((told.status(), code_of(&told).as_str()), (503, "DATABASE_UNAVAILABLE"));
    drop(bed);
}
