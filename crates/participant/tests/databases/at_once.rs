//! Commands that are at work at the same moment.

use std::collections::HashSet;

use amends_participant::Answer;

use crate::bed::{Bed, Gate, Saga, Tested, Work, code_of, completed, on_each_database, refused};

on_each_database! {
    many_copies_at_once_run_once
    many_refusals_at_once_are_one
    an_undo_waits_for_the_action_at_work
    an_action_waits_for_the_undo_at_work
    an_undo_of_an_action_that_fails_at_last_finds_nothing
    actions_and_undos_in_any_order_leave_the_ledger_exact
    more_than_may_be_at_work_are_told_later
}

/// More than there are connections, so that some wait for one and some for a row.
const COPIES: usize = 24;

pub(crate) async fn many_copies_at_once_run_once<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let (action, undo) = (saga.action(), saga.undo());
    let answers = futures_util::future::join_all((0..COPIES).map(|_| bed.tell(&action))).await;
    assert!(answers.iter().all(|answer| *answer == completed()), "{answers:?}");
    let answers = futures_util::future::join_all((0..COPIES).map(|_| bed.tell(&undo))).await;
    assert!(answers.iter().all(|answer| *answer == Answer::Undone(true)), "{answers:?}");
    assert_eq!(bed.effects(saga).await, (1, 1));
}

pub(crate) async fn many_refusals_at_once_are_one<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let asked = saga.action_that("refuse");
    let answers = futures_util::future::join_all((0..COPIES).map(|_| bed.tell(&asked))).await;
    assert!(answers.iter().all(|answer| *answer == refused(1)), "{answers:?}");
    assert_eq!(bed.effects(saga).await, (0, 0));
}

pub(crate) async fn an_undo_waits_for_the_action_at_work<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let gate = Gate::shut();
    let slow = bed.behind(&gate).await;
    let action = tokio::spawn(async move { slow.tell(&saga.action()).await });
    gate.arrival().await;
    let undone = async {
        // It is let go only after the undo has had every chance to overtake it.
        let undo = saga.undo();
        let mut undo = std::pin::pin!(bed.tell(&undo));
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut undo).await;
        assert!(early.is_err(), "an undo was answered while its action was at work: {early:?}");
        gate.open.add_permits(1);
        undo.await
    };
    assert_eq!(undone.await, Answer::Undone(true));
    assert_eq!(action.await.unwrap(), completed());
    assert_eq!(bed.effects(saga).await, (1, 1));
}

pub(crate) async fn an_action_waits_for_the_undo_at_work<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let gate = Gate::shut();
    let slow = bed.behind(&gate).await;
    let undo = saga.undo_of(1, Some(br#"{"amount":5,"attempt":1}"#));
    let undo = tokio::spawn(async move { slow.tell(&undo).await });
    gate.arrival().await;
    let action = saga.action();
    let mut late = std::pin::pin!(bed.tell(&action));
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut late).await;
    assert!(early.is_err(), "an action was answered while its undo was at work: {early:?}");
    gate.open.add_permits(1);
    assert_eq!(code_of(&late.await), "ALREADY_UNDONE");
    assert_eq!(undo.await.unwrap(), Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (0, 1));
}

pub(crate) async fn an_undo_of_an_action_that_fails_at_last_finds_nothing<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let gate = Gate::shut();
    let slow = bed.behind(&gate).await;
    let failing = saga.action_that("fail");
    let action = tokio::spawn(async move { slow.tell(&failing).await });
    gate.arrival().await;
    let asked = saga.undo();
    let mut undo = std::pin::pin!(bed.tell(&asked));
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut undo).await;
    assert!(early.is_err(), "an undo was answered while its action was at work: {early:?}");
    gate.open.add_permits(1);
    assert_eq!(undo.await, Answer::Undone(false));
    assert_eq!(action.await.unwrap().status(), 503);
    assert_eq!(code_of(&bed.tell(&saga.action()).await), "ALREADY_UNDONE");
    assert_eq!(bed.effects(saga).await, (0, 0));
}

/// Some sagas complete, some refuse, all are undone, all at once and each twice.
pub(crate) async fn actions_and_undos_in_any_order_leave_the_ledger_exact<D: Tested>(bed: &Bed<D>) {
    let sagas: Vec<_> = (0..16).map(|_| Saga::new()).collect();
    let commands = sagas.iter().enumerate().flat_map(|(n, saga)| {
        let action = if n % 4 == 0 { saga.action_that("refuse") } else { saga.action() };
        let undo = saga.undo();
        let mut all = [action.clone(), undo.clone(), action, undo];
        all.rotate_left(n % 4);
        all
    });
    let commands: Vec<_> = commands.collect();
    let answers = futures_util::future::join_all(commands.iter().map(|body| bed.tell(body))).await;
    assert!(answers.iter().all(|answer| answer.status() != 500), "{answers:?}");
    // What was told "not now" is sent again, as an engine would.
    for (body, answer) in commands.iter().zip(answers) {
        let mut answer = answer;
        while answer.status() == 503 {
            answer = bed.tell(body).await;
        }
    }
    let mut seen = HashSet::new();
    for saga in &sagas {
        let (done, undone) = bed.effects(*saga).await;
        assert!(done == undone && done <= 1, "{saga:?}: done {done} times, undone {undone} times");
        seen.insert(done);
    }
    assert!(seen.contains(&0), "a refusing saga has no effect");
}

pub(crate) async fn more_than_may_be_at_work_are_told_later<D: Tested>(bed: &Bed<D>) {
    let gate = Gate::shut();
    let builder = amends_participant::Participant::builder(crate::bed::SERVICE, bed.pool.clone());
    let narrow = Bed {
        pool: bed.pool.clone(),
        participant: crate::bed::business(builder, gate.clone()).at_work_max(1).build(),
    };
    let (saga, other) = (Saga::new(), Saga::new());
    let held = narrow.participant.clone();
    let asked = saga.action_of(1, Work::default());
    let at_work = tokio::spawn(async move {
        let bed = Bed { pool: held.pool().clone(), participant: held };
        bed.tell(&asked).await
    });
    gate.arrival().await;
    let busy = narrow.tell(&other.action()).await;
    assert_eq!((busy.status(), code_of(&busy).as_str()), (503, "BUSY"));
    assert_eq!(busy.retry_after(), Some(std::time::Duration::from_secs(1)));
    gate.open.add_permits(2);
    assert_eq!(at_work.await.unwrap().status(), 200);
    assert_eq!(narrow.tell(&other.action()).await, completed());
}

/// As a server is set whose owner wants every transaction strict.
async fn check_strict<D: Tested>(pool: sqlx::Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    many_copies_at_once_run_once(&bed).await;
    many_refusals_at_once_are_one(&bed).await;
    an_undo_waits_for_the_action_at_work(&bed).await;
    an_action_waits_for_the_undo_at_work(&bed).await;
    actions_and_undos_in_any_order_leave_the_ledger_exact(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_meet_once_where_postgres_isolates_more() {
    let url = tokio::task::spawn_blocking(crate::bed::postgres_url).await.unwrap();
    for level in ["repeatable read", "serializable"] {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let options = options.options([("default_transaction_isolation", level)]);
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(crate::bed::CONNECTIONS);
        check_strict(pool.connect_with(options).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_meet_once_where_mariadb_isolates_more_or_less() {
    let url = tokio::task::spawn_blocking(crate::bed::mariadb_url).await.unwrap();
    for level in ["READ COMMITTED", "SERIALIZABLE"] {
        let pool = sqlx::mysql::MySqlPoolOptions::new()
            .max_connections(crate::bed::CONNECTIONS)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let sql = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
                    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
                })
            });
        check_strict(pool.connect(&url).await.unwrap()).await;
    }
}
