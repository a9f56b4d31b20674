//! `kill -9` of the server at any moment, again and again, under a running load: afterwards every
//! acknowledged saga ends, and the ledgers of the participants show what `semantics.md` promises.
//!
//! | Variable | What it says |
//! |---|---|
//! | `AMENDS_KILLS` | how often the server is killed (10) |
//! | `AMENDS_SEED` | what is drawn: the load, and the moments of the kills (1) |
//!
//! `cargo xtask kills` sets them. When something is wrong, the folder with the ledgers, the data
//! and the server's log stays.

mod api;
mod dice;
mod findings;
mod load;
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use amends_example_services::{Durability, Service, Services, Settings, Worked};

use api::Api;
use dice::Dice;
use load::{Book, Load};
use server::Server;

/// How often it is killed unless said otherwise: enough to meet each part of a saga's life.
const KILLS: u64 = 10;

/// Short enough that the sagas that wait in vain end with the others; a stop of the engine of this
/// length is met by some.
const TIMES: &str = "\
defaults:
  timeout: 400ms
  deadline: 1500ms
  retry: { backoff: { initial: 50ms, factor: 2, max: 400ms, jitter: full } }
  undo_policy: { timeout: 400ms, retry: { max_attempts: 100, backoff: { initial: 50ms, factor: 2, max: 400ms, jitter: full } } }
";

/// A late success comes 300 ms after its attempt's time; the machine may be busy.
const LATE_BY_MAX: Duration = Duration::from_secs(2);

#[test]
fn no_kill_loses_a_saga_or_an_effect() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (kills, seed) = (number("AMENDS_KILLS", KILLS), number("AMENDS_SEED", 1));
    // It stays unless all is well, also after a panic.
    let folder = tempfile::tempdir().unwrap().keep();
    println!("{kills} kills, seed {seed}, in {}", folder.display());
    match runtime.block_on(kill_and_judge(&folder, kills, seed)) {
        Ok(told) => println!("{told}"),
        Err(told) => panic!("{told}"),
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn number(name: &str, unsaid: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")),
        Err(_) => unsaid,
    }
}

async fn kill_and_judge(folder: &Path, kills: u64, seed: u64) -> Result<String, String> {
    let began = Instant::now();
    let mut dice = Dice::seeded(seed);
    let which: Vec<Service> =
        Service::ALL.into_iter().filter(|service| is_of_order_or_bank(*service)).collect();
    // The participants are not killed by surprise, so their answers need no sync.
    let settings = Settings { durability: Durability::Off, ..Settings::default() };
    let services = Services::start_with(&folder.join("ledgers"), &which, settings)
        .await
        .map_err(|e| e.to_string())?;
    let definitions = folder.join("definitions");
    std::fs::create_dir_all(&definitions).map_err(|e| e.to_string())?;
    for worked in [Worked::Order, Worked::Bank] {
        let file = definitions.join(format!("{}.yaml", worked.name()));
        std::fs::write(file, hurried(&services.definition(worked))).map_err(|e| e.to_string())?;
    }

    let mut server = Server::new(folder, &mut dice);
    let api = Api::at(server.port);
    let book = Arc::new(Book::default());
    server.start().map_err(|e| e.to_string())?;
    server.ready(&api).await;
    let load = Load::start(&api, &dice.split(u64::MAX), &book);
    for _ in 0..kills {
        kill_once(&mut server, &api, &mut dice).await;
    }
    load.stop().await;
    let killed_for = began.elapsed();

    findings::until_nothing_is_owed(&api).await;
    // What comes late comes now, and may owe an undo.
    tokio::time::sleep(LATE_BY_MAX).await;
    let mut found = findings::of_the_server(&api, &book).await;
    server.kill();
    let evidence = services.evidence().map_err(|e| e.to_string())?;
    services.stop().await.map_err(|e| e.to_string())?;
    let verdict = findings::of_the_ledgers(&mut found, &evidence);
    let mut told = format!(
        "{kills} kills in {:.1} s, {:.1} s in all, seed {seed}\n\
         starts: {} acknowledged, {} unknown ({} of them were taken), {} found nobody; {} cancelled\n\
         ends: {} completed, {} failed; {verdict}",
        killed_for.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        book.started.lock().unwrap().len(),
        book.unknown.load(Ordering::Relaxed),
        book.found.load(Ordering::Relaxed),
        book.refused.load(Ordering::Relaxed),
        book.cancelled.load(Ordering::Relaxed),
        found.completed,
        found.failed,
    );
    if found.wrong.is_empty() {
        return Ok(told);
    }
    let _ = write!(told, "\n{} things are wrong:", found.wrong.len());
    for wrong in found.wrong.iter().take(WRONG_SHOWN_MAX) {
        let _ = write!(told, "\n  {wrong}");
    }
    let _ = write!(told, "\nthe end of the server's log:\n{}", server.log_tail());
    Err(told)
}

/// As many as a reader looks at; the first ones tell most.
const WRONG_SHOWN_MAX: usize = 40;

/// One life and one death. Most deaths come under load, some while it starts, some at once after
/// it answered for the first time; some lives are long enough for checkpoints, and some downtimes
/// for an outage that moves deadlines.
async fn kill_once(server: &mut Server, api: &Api, dice: &mut Dice) {
    let lives_ms = match dice.below(100) {
        0..10 => dice.below(2_500),
        10..15 => 0,
        _ => dice.below(500),
    };
    tokio::time::sleep(Duration::from_millis(lives_ms)).await;
    server.kill();
    let down_ms = match dice.below(100) {
        0 => 5_500,
        1..6 => dice.below(800),
        _ => dice.below(20),
    };
    tokio::time::sleep(Duration::from_millis(down_ms)).await;
    server.start().expect("the binary starts");
    if dice.percent(15) {
        let early_us = dice.below(60_000);
        tokio::time::sleep(Duration::from_micros(early_us)).await;
        server.kill();
        server.start().expect("the binary starts");
    }
    server.ready(api).await;
}

fn is_of_order_or_bank(service: Service) -> bool {
    [Worked::Order, Worked::Bank].iter().any(|worked| worked.services().contains(&service))
}

/// The definition with short times in place of its own.
fn hurried(definition: &str) -> String {
    let mut text = String::new();
    for line in definition.lines() {
        let key = line.trim_start();
        if ["defaults:", "timeout:", "deadline:"].iter().any(|old| key.starts_with(old)) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line.starts_with("saga: ") {
            text.push_str(TIMES);
        }
    }
    text
}
