//! The storm: sagas under duplicate, reordered and late delivery, in second rounds, with other bytes
//! under the same key and with the guard's record lost, and the service killed at random, on each
//! database; and a judge that reads the business's own ledger.
//!
//! A few hundred sagas a database are part of the tests. More, from another seed:
//! `cargo test -p amends-participant --test storm -- --sagas 10000 --seed 7`. The service may be
//! another program, in another language: `--service COMMAND ARGUMENT…`, the last of all, see `service`.

mod asked;
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../databases/bed.rs"]
mod bed;
mod chance;
mod judge;
mod saga;
mod service;

use std::process::ExitCode;

use amends_testbed::Server;
use sqlx::Pool;

use asked::{Asked, USAGE};
use bed::Tested;
use service::{NO_MISTAKE, Program, Service};

/// What is wrong with a few sagas says enough.
const SHOWN_MAX: usize = 20;

/// Mistakes, one for each thing that the sagas go through. A judge that finds nothing in these
/// proves nothing by finding nothing in a service as it should be.
const MISTAKES: [(&str, &str); 6] = [
    ("ResultForgotten", "an action runs again for each duplicate"),
    ("RoundIgnored", "a later round is told the refusal of the one before"),
    ("RefusalIsNoTombstone", "a later round runs after its undo"),
    ("UndoneAgain", "an undo runs again in its second round"),
    ("BytesIgnored", "other bytes under the same key pass for a duplicate"),
    ("SagaNotBelieved", "what has no record is not undone"),
];

/// Of a storm with a mistake in it: enough that each meets it more than once.
const SAGAS_OF_A_MISTAKE: u32 = 200;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    if let [serve, kind, url, mistake] = &args[..]
        && serve == "serve"
    {
        return runtime.block_on(service::serve(kind, url, mistake));
    }
    let Asked { sagas, seed, service, filter } = match Asked::of(&args) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let program = Program::of(service);
    let storm =
        |kind, sagas, mistake| runtime.block_on(storm(&program, kind, sagas, seed, mistake));
    let kinds: Vec<_> =
        ["postgres", "mariadb", "sqlite"].into_iter().filter(|k| k.contains(filter)).collect();
    let mistakes: Vec<_> = MISTAKES.into_iter().filter(|(m, _)| m.contains(filter)).collect();
    println!("\nrunning {} tests", kinds.len() + mistakes.len());
    let mut storms: Vec<(&str, Vec<String>)> = Vec::new();
    for kind in kinds {
        storms.push((kind, storm(kind, sagas, NO_MISTAKE)));
    }
    for (mistake, what) in mistakes {
        let caught = storm("sqlite", SAGAS_OF_A_MISTAKE, mistake);
        let blind = format!("the judge did not find a service in which {what}");
        storms.push((mistake, if caught.is_empty() { vec![blind] } else { Vec::new() }));
    }
    let mut failed = 0;
    for (name, found) in &storms {
        println!("test {name} ... {}", if found.is_empty() { "ok" } else { "FAILED" });
        for what in found.iter().take(SHOWN_MAX) {
            println!("    {what}");
        }
        failed += usize::from(!found.is_empty());
    }
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, storms.len() - failed);
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered \
         out",
        3 + MISTAKES.len() - storms.len()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All that the judge finds wrong.
async fn storm(
    program: &Program,
    kind: &'static str,
    sagas: u32,
    seed: u32,
    mistake: &str,
) -> Vec<String> {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let mysql = match bed::mysql_url() {
        Some(_) if kind == "mariadb" => Some(bed::mariadb_alone_url().await),
        _ => None,
    };
    let server = match kind {
        _ if mysql.is_some() => None,
        "postgres" => Some(Server::start(amends_testbed::postgres()).unwrap()),
        "mariadb" => Some(Server::start(amends_testbed::mariadb()).unwrap()),
        _ => None,
    };
    let file = folder.path().join("ledger.db");
    let url = server.as_ref().map(Server::url).or(mysql);
    let url = url.unwrap_or_else(|| file.display().to_string());
    let service = Service::start(program, kind, &url, mistake).await;
    match kind {
        "postgres" => storm_on(bed::postgres_pool(&url).await, &service, sagas, seed).await,
        "mariadb" => storm_on(bed::mariadb_pool(&url).await, &service, sagas, seed).await,
        _ => storm_on(bed::sqlite_pool(file).await, &service, sagas, seed).await,
    }
}

async fn storm_on<D: Tested>(
    pool: Pool<D>,
    service: &Service,
    sagas: u32,
    seed: u32,
) -> Vec<String> {
    let kills = service.kill_at_random(u64::from(seed));
    let told = saga::run_all(service, &pool, sagas, u64::from(seed)).await;
    let kills = kills.stop().await;
    let mut found = judge::judge(&pool, &told).await;
    pool.close().await;
    if kills == 0 {
        found.push("the service was never killed: there was no storm".to_owned());
    }
    let answers = told.iter().flat_map(|saga| &saga.answers);
    let (deliveries, retries) =
        answers.fold((0, 0), |(sent, again), answer| (sent + 1, again + answer.retries));
    println!(
        "{service}: {sagas} sagas, {deliveries} deliveries, {retries} asked again, service killed \
         {kills} times, {} wrong (seed {seed})",
        found.len()
    );
    found
}
