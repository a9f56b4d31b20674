//! What is pruned, and what is not.

use std::time::Duration;

use amends_participant::{Answer, LATE_WINDOW, Retention};
use sqlx::{MySql, Pool, Postgres, Sqlite};

use crate::bed::{self, Bed, Gate, Saga, Tested, code_of, completed};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A row's age, as each database has it.
trait Aged: Tested {
    /// Makes the rows of a saga, in one direction or all, so many seconds older.
    fn ageing(seconds: u64) -> String;
}

impl Aged for Postgres {
    fn ageing(seconds: u64) -> String {
        format!("written_at = written_at - interval '{seconds} seconds'")
    }
}

impl Aged for MySql {
    fn ageing(seconds: u64) -> String {
        format!("written_at = written_at - INTERVAL {seconds} SECOND")
    }
}

impl Aged for Sqlite {
    fn ageing(seconds: u64) -> String {
        format!("written_at = strftime('%Y-%m-%dT%H:%M:%fZ', written_at, '-{seconds} seconds')")
    }
}

async fn age<D: Aged>(bed: &Bed<D>, saga: Saga, and: &str, by: Duration) {
    let (set, id) = (D::ageing(by.as_secs()), saga.0);
    let sql = format!("UPDATE amends_guard SET {set} WHERE saga_id = '{id}' {and}");
    assert!(D::run(&bed.pool, sql).await.unwrap() >= 1);
}

async fn check_pruning<D: Aged>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let (young, half, old, tombstone) = (Saga::new(), Saga::new(), Saga::new(), Saga::new());
    for saga in [young, half, old] {
        bed.tell(&saga.action()).await;
        bed.tell(&saga.undo()).await;
    }
    bed.tell(&tombstone.undo()).await;
    let retention = Retention::for_sagas_of_at_most(DAY * 2);
    let just_old = retention.age() + Duration::from_secs(60);
    age(&bed, young, "", retention.age() - Duration::from_secs(60)).await;
    age(&bed, half, "AND direction = 'action'", just_old).await;
    age(&bed, old, "", just_old).await;
    age(&bed, tombstone, "", just_old).await;

    assert_eq!(bed.participant.prune(retention).await.unwrap(), 4);
    assert_eq!(bed.participant.prune(retention).await.unwrap(), 0);

    // Whose rows are there answers as before.
    for saga in [young, half] {
        assert_eq!(bed.tell(&saga.action()).await, completed());
        assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
        assert_eq!(bed.effects(saga).await, (1, 1));
    }
    let left = D::number(&bed.pool, "SELECT count(*) FROM amends_guard").await.unwrap();
    assert_eq!(left, 4);
    assert_ne!(code_of(&bed.tell(&young.action_of(1, bed::Work::default())).await), "");
}

/// An undo that is at work when the pruning looks keeps both rows.
async fn check_undone_meanwhile<D: Aged>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    let retention = Retention::for_sagas_of_at_most(DAY);
    age(&bed, saga, "", retention.age() + Duration::from_secs(60)).await;
    let gate = Gate::shut();
    let slow = bed.behind(&gate).await;
    let undo = tokio::spawn(async move { slow.tell(&saga.undo()).await });
    gate.arrival().await;
    let pruning = bed.participant.clone();
    let pruning = tokio::spawn(async move { pruning.prune(retention).await });
    // It is let go only after the pruning has had every chance to look.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // More than once: in MariaDB it may lose a deadlock against the pruning.
    gate.open.add_permits(100);
    assert_eq!(undo.await.unwrap(), Answer::Undone(true));
    assert_eq!(pruning.await.unwrap().unwrap(), 0);
    let left = D::number(&bed.pool, "SELECT count(*) FROM amends_guard").await.unwrap();
    assert_eq!(left, 2, "rows of the step");
    let young = "SELECT count(DISTINCT written_at) FROM amends_guard";
    assert_eq!(D::number(&bed.pool, young).await.unwrap(), 1, "both are as young");
    assert_eq!(bed.tell(&saga.action()).await, completed());
    assert_eq!(bed.effects(saga).await, (1, 1));
}

/// More steps than go in one statement.
async fn check_batches<D: Aged>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let sagas: Vec<_> = (0..600).map(|_| Saga::new()).collect();
    for some in sagas.chunks(20) {
        futures_util::future::join_all(
            some.iter().map(|saga| async { bed.tell(&saga.undo()).await }),
        )
        .await;
    }
    let set = D::ageing((DAY * 30).as_secs());
    D::run(&bed.pool, format!("UPDATE amends_guard SET {set}")).await.unwrap();
    let retention = Retention::for_sagas_of_at_most(DAY);
    assert_eq!(bed.participant.prune(retention).await.unwrap(), 1200);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_rows_go_by_the_younger_on_postgres() {
    check_pruning(bed::postgres_alone().await).await;
    check_batches(bed::postgres_alone().await).await;
    check_undone_meanwhile(bed::postgres_alone().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_rows_go_by_the_younger_on_mariadb() {
    check_pruning(bed::mariadb_alone().await).await;
    check_batches(bed::mariadb_alone().await).await;
    check_undone_meanwhile(bed::mariadb_alone().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_rows_go_by_the_younger_on_sqlite() {
    check_pruning(bed::sqlite().await).await;
    check_batches(bed::sqlite().await).await;
    check_undone_meanwhile(bed::sqlite().await).await;
}

#[test]
fn nobody_can_say_a_shorter_late_window_than_a_day() {
    let retention = Retention::for_sagas_of_at_most(Duration::ZERO);
    assert_eq!(retention.with_a_late_window_of(Duration::ZERO).age(), LATE_WINDOW);
    assert_eq!(retention.with_a_late_window_of(DAY * 2).age(), DAY * 2);
    assert_eq!(retention.behind_a_broker_that_keeps(DAY).age(), DAY * 2);
}
