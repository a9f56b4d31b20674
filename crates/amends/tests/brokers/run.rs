//! One run: the stage is set, the clients start their orders, the blows fall; then everything ends,
//! comes to rest, and the judge looks at all of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use amends_transport::{End, Kind, Message};

use crate::blows::Blows;
use crate::book::Book;
use crate::clients::Clients;
use crate::judge::{self, Evidence};
use crate::report::Report;
use crate::service::{self, Deliveries};
use crate::stage::Stage;
use crate::way::Way;

/// A run in which nothing has moved for so long, while nobody was being killed, moves no more.
const MOVES_WITHIN: Duration = Duration::from_secs(120);

/// However busy the machine: what was put to the dead letters is there by then.
const BURIED_WITHIN: Duration = Duration::from_secs(120);

/// What is late comes within a minute or two.
const QUIET_WITHIN: Duration = Duration::from_secs(600);

/// How many orders are on their way at once in a long run: as many as keep every service busy.
const CLIENTS_MAX: u64 = 128;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a run is to be.
pub struct Run {
    pub way: &'static Way,
    pub sagas: u64,
    pub services_killed: usize,
    /// When nothing was brought to a service for so long, what comes late has come: a broker may
    /// bring again after half a minute what somebody took to its grave.
    pub quiet_secs: u64,
}

impl Run {
    /// Runs in a folder that stays unless all is well. An error is what is wrong.
    pub fn go(&self) -> Result<Report, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
        println!("{} orders over {}, in {}", self.sagas, self.way.name, folder.display());
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let played = runtime.block_on(self.play(&folder));
        let report = played.map_err(|what| {
            format!("over {}: {what}\ndata, ledgers and logs: {}", self.way.name, folder.display())
        })?;
        if !report.holds() {
            return Err(report.to_string());
        }
        // What is left over harms nobody.
        let _ = std::fs::remove_dir_all(folder);
        Ok(report)
    }

    async fn play(&self, folder: &Path) -> Result<Report, String> {
        let mut stage = Stage::set(folder, self.way).await?;
        stage.server.start().await?;
        self.connected(&stage).await?;
        let api = stage.server.api();

        let (book, at_work) = (Arc::new(Book::default()), AtomicBool::new(false));
        let began = Instant::now();
        let blows = Blows::of(stage.brokers.len(), self.services_killed, self.sagas);
        let clients = blows.apart().clamp(1, CLIENTS_MAX);
        let mut clients = Clients::start(clients, self.sagas, &api, &book);
        let moves = || book.ends() + service::deliveries_bytes(folder);
        let struck = tokio::select! {
            struck = async {
                let strikes = blows.strike(&mut stage, &book, &at_work);
                let ends = async {
                    clients.done().await;
                    Ok(())
                };
                tokio::try_join!(strikes, ends).map(|(struck, ())| struck)
            } => Some(struck?),
            () = until_nothing_moves(&moves, &at_work) => None,
        };
        drop(clients);
        let took = began.elapsed();
        let mut wrong = book.broken();
        if struck.is_some() {
            wrong.extend(self.until_quiet(folder).await);
        } else {
            wrong.push(format!(
                "nothing has moved for {} s, with {} of {} orders ended",
                MOVES_WITHIN.as_secs(),
                book.ends(),
                self.sagas
            ));
        }
        let (served, orphans) = judge::served::of_the_server(&api).await?;
        let log_tail = stage.server.log_tail();
        stage.server.stop().await?;
        let dead_letters = dead_letters(&stage).await?;
        let mut deliveries = Deliveries::default();
        for service in &stage.services {
            deliveries = deliveries.and(service.deliveries()?);
        }
        wrong.extend(a_dead_letter_is_counted(&stage).await?);
        let mut ledgers = Vec::new();
        for service in &mut stage.services {
            service.hired.stop().await?;
            ledgers.push(service.hired.ledger().await?);
        }
        let evidence = Evidence {
            sagas: self.sagas,
            heard: book.heard(),
            served,
            ledgers,
            orphans,
            dead_letters,
        };
        wrong.extend(judge::judge(&evidence));
        Ok(Report {
            way: self.way.name,
            sagas: self.sagas,
            completed: evidence.ended_as("completed"),
            failed: evidence.ended_as("failed"),
            struck: struck.unwrap_or_default(),
            deliveries,
            repeated: book.repeated(),
            took,
            wrong,
            log_tail,
            folder: folder.to_owned(),
        })
    }

    /// Until every end has made its place at its broker, and the broker keeps it.
    async fn connected(&self, stage: &Stage) -> Result<(), String> {
        let since = Instant::now();
        while let Err(error) = dead_letters(stage).await {
            if since.elapsed() > MOVES_WITHIN {
                return Err(format!("the queues are not made: {error}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let kept_after = self.way.over.iter().map(|broker| broker.kept_after()).max();
        tokio::time::sleep(kept_after.unwrap_or_default()).await;
        Ok(())
    }

    /// Until nothing is brought to a service any more.
    async fn until_quiet(&self, folder: &Path) -> Option<String> {
        let quiet = Duration::from_secs(self.quiet_secs);
        let (began, mut since) = (Instant::now(), Instant::now());
        let mut brought = service::deliveries_bytes(folder);
        while since.elapsed() < quiet {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = service::deliveries_bytes(folder);
            if now != brought {
                (brought, since) = (now, Instant::now());
            }
            if began.elapsed() > QUIET_WITHIN {
                return Some("all orders have ended, and commands keep coming".to_owned());
            }
        }
        None
    }
}

/// Returns when neither an order nor a message has moved for long, and nobody was away meanwhile.
async fn until_nothing_moves(moves: &(dyn Fn() -> u64 + Sync), at_work: &AtomicBool) {
    let (mut moved, mut since) = (moves(), Instant::now());
    while since.elapsed() < MOVES_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = moves();
        if now != moved || at_work.load(Ordering::SeqCst) {
            (moved, since) = (now, Instant::now());
        }
    }
}

/// How many messages each end of each service has put aside.
async fn dead_letters(stage: &Stage) -> Result<Vec<(String, u64)>, String> {
    let mut found = Vec::new();
    for service in &stage.services {
        for (end, whose) in [(End::Service, "commands"), (End::Engine, "replies")] {
            let short = service.hired.step.short;
            let letters = service.broker.dead_letters(&service.url, short, end).await;
            let letters = letters.map_err(|error| format!("{short}.{whose}: {error}"))?;
            found.push((format!("{short}.{whose}"), letters));
        }
    }
    Ok(found)
}

/// That there are none is worth something only if one would have been seen: so each service, when
/// all is over, is sent something that is no command.
async fn a_dead_letter_is_counted(stage: &Stage) -> Result<Vec<String>, String> {
    for service in &stage.services {
        let short = service.hired.step.short;
        let engine = service.broker.connect(&service.url, short, End::Engine).await?;
        let none = Message {
            id: "none".to_owned(),
            saga_id: "none".to_owned(),
            kind: Kind::Command,
            name: "None".to_owned(),
            attributes: Vec::new(),
            body: "{}".into(),
        };
        let published = engine.publish(&none).await;
        published.map_err(|error| format!("{short} cannot be sent anything: {error}"))?;
        engine.close().await;
    }
    let since = Instant::now();
    loop {
        let found = dead_letters(stage).await?;
        let commands = found.iter().filter(|(queue, _)| queue.ends_with("commands"));
        let unseen: Vec<_> = commands.filter(|(_, letters)| *letters == 0).collect();
        if unseen.is_empty() {
            return Ok(Vec::new());
        }
        if since.elapsed() > BURIED_WITHIN {
            let what = |(queue, _): &&(String, u64)| format!("a dead letter of {queue} is unseen");
            return Ok(unseen.iter().map(what).collect());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
