//! The storm: sagas under duplicate, reordered and late delivery, with the service killed at
//! random, on each database; and a judge that reads the business's own ledger.
//!
//! A few hundred sagas a database are part of the tests. More, from another seed:
//! `cargo test -p amends-participant --test storm -- --sagas 10000 --seed 7`. The service may be
//! another program, in another language: `--service COMMAND ARGUMENT…`, the last of all, see `service`.

#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../databases/bed.rs"]
mod bed;
mod chance;
mod judge;
mod saga;
mod service;

use std::process::ExitCode;

use amends_testbed::Server;

use service::Program;

/// What the test command has time for, with some kills in it.
const SAGAS: u32 = 500;

/// What is wrong with a few sagas says enough.
const SHOWN_MAX: usize = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    if let [serve, kind, url, mistake] = &args[..]
        && serve == "serve"
    {
        return runtime.block_on(service::serve(kind, url, mistake));
    }
    let number = |name: &str| -> Option<u32> {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse().ok()
    };
    let (sagas, seed) = (number("--sagas").unwrap_or(SAGAS), number("--seed").unwrap_or(1));
    let at = args.iter().position(|arg| arg == "--service");
    let program = Program::of(at.and_then(|at| args.get(at + 1..)));
    println!("\nrunning 4 tests");
    let storm =
        |kind, sagas, mistake| runtime.block_on(storm(&program, kind, sagas, seed, mistake));
    let held = |kind| storm(kind, sagas, service::NO_MISTAKE);
    let mut storms = vec![
        ("postgres", held("postgres")),
        ("mariadb", held("mariadb")),
        ("sqlite", held("sqlite")),
    ];
    // A judge that finds nothing in this proves nothing by finding nothing in the others.
    let caught = storm("sqlite", sagas.min(SAGAS), "ResultForgotten");
    let blind = "an action that runs again for each duplicate was not found".to_owned();
    let found = if caught.is_empty() { vec![blind] } else { Vec::new() };
    storms.push(("a guard with a mistake is found", found));
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
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
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
    let server = match kind {
        "postgres" => Some(Server::start(amends_testbed::postgres()).unwrap()),
        "mariadb" => Some(Server::start(amends_testbed::mariadb()).unwrap()),
        _ => None,
    };
    let file = folder.path().join("ledger.db");
    let url = server.as_ref().map_or_else(|| file.display().to_string(), Server::url);
    let service = service::Service::start(program, kind, &url, mistake).await;
    let kills = service.kill_at_random(u64::from(seed));
    let told = saga::run_all(&service, sagas, u64::from(seed)).await;
    let kills = kills.stop().await;
    let mut found = judge::judge(kind, &url, &told).await;
    if kills == 0 {
        found.push("the service was never killed: there was no storm".to_owned());
    }
    let (deliveries, retries): (u32, u32) =
        told.iter().fold((0, 0), |(d, r), saga| (d + saga.deliveries, r + saga.retries));
    println!(
        "{kind}, {mistake}: {sagas} sagas, {deliveries} deliveries, {retries} asked again, service killed \
         {kills} times, {} wrong (seed {seed})",
        found.len()
    );
    found
}
