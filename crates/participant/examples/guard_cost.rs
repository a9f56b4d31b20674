//! What the guard costs: time and statements a command, with it and without it, on the three
//! databases. `cargo run --release -p amends-participant --example guard_cost`
//!
//! The business is one insert. With and without take turns in one run, so that what the machine
//! does meanwhile falls on both.

#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../tests/databases/bed.rs"]
mod bed;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amends_participant::{Answer, Command};
use amends_testbed::Server;
use bed::{Bed, Gate, SERVICE, Saga, Tested};
use futures_util::{StreamExt, stream};
use sqlx::Pool;
use tracing::Subscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Commands in one turn.
const COMMANDS: usize = 400;

/// Turns of each; the median is shown.
const TURNS: usize = 5;

/// Side by side: one client that waits for each, and as many as there are connections.
const SIDE_BY_SIDE: [usize; 2] = [1, bed::CONNECTIONS as usize];

/// Counts what sqlx says that it has sent.
struct Statements;

static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static COUNTING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl<S: Subscriber> Layer<S> for Statements {
    fn enabled(&self, about: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        about.target() == "sqlx::query" && COUNTING.load(Ordering::Relaxed)
    }

    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        STATEMENTS.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() {
    let subscriber = tracing_subscriber::registry().with(Statements);
    tracing::subscriber::set_global_default(subscriber).expect("it is the first");
    println!("| database | what | at once | without | with the guard | ratio | statements |");
    println!("|---|---|---|---|---|---|---|");
    let server = Server::start(amends_testbed::postgres()).expect("PostgreSQL starts");
    measure("PostgreSQL", bed::postgres_pool(&server.url()).await).await;
    drop(server);
    let server = Server::start(amends_testbed::mariadb()).expect("MariaDB starts");
    measure("MariaDB", bed::mariadb_pool(&server.url()).await).await;
    drop(server);
    measure("SQLite", bed::sqlite().await).await;
}

async fn measure<D: Tested>(name: &str, pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    for at_once in SIDE_BY_SIDE {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let (mut duplicates, mut undos) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let sagas: Vec<_> = (0..COMMANDS).map(|_| Saga::new()).collect();
            without.push(turn(&sagas, at_once, |saga| business(&bed, saga)).await);
            with.push(turn(&sagas, at_once, |saga| guarded(&bed, saga.action())).await);
            duplicates.push(turn(&sagas, at_once, |saga| guarded(&bed, saga.action())).await);
            undos.push(turn(&sagas, at_once, |saga| guarded(&bed, saga.undo())).await);
        }
        let bare = statements(&[Saga::new()], |saga| business(&bed, saga)).await;
        let saga = [Saga::new()];
        for (what, times, body) in [
            ("action", &mut with, saga[0].action()),
            ("its duplicate", &mut duplicates, saga[0].action()),
            ("its undo", &mut undos, saga[0].undo()),
        ] {
            let (without, with) = (median(&mut without), median(times));
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            let sent = statements(&saga, |_| guarded(&bed, body.clone())).await;
            println!(
                "| {name} | {what} | {at_once} | {} | {} | {ratio:.2} | {bare} → {sent} |",
                micros(without),
                micros(with)
            );
        }
    }
}

/// The business alone, as it would be without sagas.
async fn business<D: Tested>(bed: &Bed<D>, saga: Saga) {
    let mut tx = D::begin_writing(&bed.pool).await;
    D::enter(&mut tx, &saga.0.to_string(), "step", "action", 5).await.unwrap();
    tx.commit().await.unwrap();
}

async fn guarded<D: Tested>(bed: &Bed<D>, body: bytes::Bytes) {
    let command = Command::read(SERVICE, None, &(), &body).unwrap();
    let answer = bed.participant.carry_out(&command).await;
    assert!(matches!(answer, Answer::Completed(_) | Answer::Undone(true)), "{answer:?}");
}

/// The time a command takes of the whole.
async fn turn<Acting: Future>(
    sagas: &[Saga],
    at_once: usize,
    act: impl Fn(Saga) -> Acting,
) -> Duration {
    let started = Instant::now();
    stream::iter(sagas).map(|saga| act(*saga)).buffer_unordered(at_once).collect::<Vec<_>>().await;
    started.elapsed() / u32::try_from(sagas.len()).unwrap_or(1)
}

async fn statements<Acting: Future>(sagas: &[Saga], act: impl Fn(Saga) -> Acting) -> u64 {
    COUNTING.store(true, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    let before = STATEMENTS.load(Ordering::Relaxed);
    for saga in sagas {
        act(*saga).await;
    }
    let sent = STATEMENTS.load(Ordering::Relaxed) - before;
    COUNTING.store(false, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    sent
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}
