//! What the guard costs: time and statements a command, with it and without it, on the three
//! databases. `cargo run --release -p amends-participant --example guard_cost`
//!
//! The business is one insert, which a refusal and a failure roll back. With and without take turns
//! in one run, so that what the machine does meanwhile falls on both.

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
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Commands in one turn.
const COMMANDS: usize = 400;

/// Turns of each; the median is shown.
const TURNS: usize = 5;

/// Side by side: one client that waits for each, and as many as there are connections.
const SIDE_BY_SIDE: [usize; 2] = [1, bed::CONNECTIONS as usize];

/// Counts what sqlx says that it has sent, but for what does nothing but begin or end a
/// transaction: on SQLite sqlx says nothing of these.
struct Statements;

/// Is it such a statement?
#[derive(Default)]
struct Controls(bool);

impl Visit for Controls {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            self.0 = matches!(value, "BEGIN" | "COMMIT" | "ROLLBACK");
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static COUNTING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl<S: Subscriber> Layer<S> for Statements {
    fn enabled(&self, about: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        about.target() == "sqlx::query" && COUNTING.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut controls = Controls::default();
        event.record(&mut controls);
        STATEMENTS.fetch_add(u64::from(!controls.0), Ordering::Relaxed);
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
        let (mut committed, mut rolled_back) = (Vec::new(), Vec::new());
        let mut times: [Vec<Duration>; 5] = Default::default();
        for _ in 0..TURNS {
            let sagas: Vec<_> = (0..COMMANDS).map(|_| Saga::new()).collect();
            let others: Vec<_> = (0..COMMANDS).map(|_| Saga::new()).collect();
            committed.push(turn(&sagas, at_once, |saga| business(&bed, saga, true)).await);
            rolled_back.push(turn(&sagas, at_once, |saga| business(&bed, saga, false)).await);
            for ((_, sagas_of, body), times) in KINDS.iter().zip(&mut times) {
                let sagas = if *sagas_of { &sagas } else { &others };
                times.push(turn(sagas, at_once, |saga| guarded(&bed, body(saga))).await);
            }
        }
        let (saga, other) = ([Saga::new()], [Saga::new()]);
        for ((what, ends_well, body), times) in KINDS.iter().zip(&mut times) {
            let without = if *ends_well { &mut committed } else { &mut rolled_back };
            let (without, with) = (median(without), median(times));
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            let bare = statements(&[Saga::new()], |saga| business(&bed, saga, *ends_well)).await;
            let of = if *ends_well { &saga } else { &other };
            let sent = statements(of, |saga| guarded(&bed, body(saga))).await;
            println!(
                "| {name} | {what} | {at_once} | {} | {} | {ratio:.2} | {bare} → {sent} |",
                micros(without),
                micros(with)
            );
        }
    }
}

/// A kind of command: its name, whether it ends well, and its body.
type Kind = (&'static str, bool, fn(Saga) -> bytes::Bytes);

/// In this order, each saga of those that end well: a failure leaves no row for the refusal.
const KINDS: [Kind; 5] = [
    ("action", true, Saga::action),
    ("its duplicate", true, Saga::action),
    ("its undo", true, Saga::undo),
    ("a failure", false, |saga| saga.action_that("fail")),
    ("a refusal", false, |saga| saga.action_that("refuse")),
];

/// The business alone, as it would be without sagas.
async fn business<D: Tested>(bed: &Bed<D>, saga: Saga, commit: bool) {
    let mut tx = D::begin_writing(&bed.pool).await;
    D::enter(&mut tx, &saga.0.to_string(), "step", "action", 5).await.unwrap();
    let ended = if commit { tx.commit().await } else { tx.rollback().await };
    ended.unwrap();
}

async fn guarded<D: Tested>(bed: &Bed<D>, body: bytes::Bytes) {
    let command = Command::read(SERVICE, None, &(), &body).unwrap();
    let answer = bed.participant.carry_out(&command).await;
    assert!(!matches!(answer, Answer::Unknown(_) | Answer::Breach(_)), "{answer:?}");
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
