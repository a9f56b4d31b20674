//! The same orders with no coordinator: the services run them among themselves, over one broker, while it
//! and each of them is killed. docs/choreography.md says what is run and what is judged.

mod channel;
mod judged;
mod service;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use amends_transport::{End, Listener};
use libtest_mimic::{Failed, Trial};

use crate::broker::{Broker, Kafka, Nats, RabbitMq, Running};
use crate::judge::{self, served::Served};
use crate::order::{self, STEPS};
use crate::server::Server;
use crate::service::Hired;
use service::hire;
pub use service::{ARGUMENT, run};

/// What the test command has time for.
const SAGAS: u64 = 60;

/// What a release is to survive.
pub const SAGAS_OF_A_RELEASE: u64 = 5_000;

/// Under which name `amends serve` listens.
const OBSERVER: &str = "amends";

/// The first word of the place.
const PLACE: &str = "orders";

/// How long what was killed stays away: long enough to be missed.
const AWAY: Duration = Duration::from_secs(2);

/// A run in which nothing has moved for so long, while nobody was being killed, moves no more.
const MOVES_WITHIN: Duration = Duration::from_secs(180);

/// What comes late has come by then.
const QUIET: Duration = Duration::from_secs(3);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Over which broker they may speak: at SQS whoever says something has to know all who listen.
static BROKERS: [&dyn Broker; 3] = [&Nats, &RabbitMq, &Kafka];

/// A short run. Over the others services are seen to take part by the tests of the command line.
pub fn tests() -> Vec<Trial> {
    let go = || go(&Nats, SAGAS).map(drop).map_err(Failed::from);
    vec![Trial::test("every_ledger_is_exact_without_a_coordinator", go)]
}

/// The broker of this name.
pub fn named(name: &str) -> Result<&'static dyn Broker, String> {
    let found = BROKERS.into_iter().find(|broker| broker.name() == name);
    let names: Vec<_> = BROKERS.iter().map(|broker| broker.name()).collect();
    found.ok_or_else(|| format!("there is no broker {name:?}; there are {}", names.join(", ")))
}

/// Those over which a release is run.
pub fn of_a_release() -> Vec<&'static dyn Broker> {
    vec![&Nats, &Kafka]
}

/// What a run came to.
pub struct Report {
    broker: &'static str,
    sagas: u64,
    completed: usize,
    failed: usize,
    struck: Vec<String>,
    brought: u64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, sagas, completed, failed, struck, brought, took } = self;
        writeln!(
            f,
            "without a coordinator over {broker}: {sagas} started, {completed} completed, {failed} failed"
        )?;
        for struck in struck {
            writeln!(f, "  {struck}")?;
        }
        let seconds = took.as_secs_f64();
        writeln!(f, "  {brought} events brought, of which one in ten was published twice")?;
        writeln!(f, "  {seconds:.1} s, {:.0} sagas/s", *sagas as f64 / seconds)?;
        write!(f, "  every ledger is exact, and all services and the observer tell every end alike")
    }
}

/// Runs in a folder that stays unless all is well. An error is what is wrong.
pub fn go(broker: &'static dyn Broker, sagas: u64) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
    println!(
        "{sagas} orders without a coordinator over {}, in {}",
        broker.name(),
        folder.display()
    );
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let report = runtime.block_on(play(broker, sagas, &folder)).map_err(|what| {
        format!("over {}: {what}\nledgers and logs: {}", broker.name(), folder.display())
    })?;
    // What is left over harms nobody.
    let _ = std::fs::remove_dir_all(folder);
    Ok(report)
}

async fn play(broker: &'static dyn Broker, sagas: u64, folder: &Path) -> Result<Report, String> {
    let mut running = Running::start(broker).await?;
    let events = broker.telling(PLACE);
    let definition = std::fs::write(folder.join("order.yaml"), order::choreographed(&events));
    definition.map_err(|error| format!("the definition cannot be written: {error}"))?;
    let options = vec![broker.option().to_owned(), running.url.clone()];
    let mut observer = Server::new(folder, options, broker.env().to_vec())?;
    observer.start().await?;
    listens(broker, &running.url, OBSERVER).await?;
    let mut services = Vec::new();
    // Who starts the orders comes last: by then all others listen.
    for place in (0..STEPS.len()).rev() {
        let orders = if place == 0 { (sagas, apart(sagas)) } else { (0, 1) };
        services.push(hire(place, broker, &running.url, folder, orders)?);
        listens(broker, &running.url, STEPS[place].service).await?;
        if place == 1 {
            tokio::time::sleep(broker.kept_after()).await;
        }
    }
    services.reverse();
    let began = Instant::now();
    let struck = strike(&mut running, &mut services, &mut observer, (folder, sagas)).await?;
    until_all_have_ended(folder, sagas).await?;
    let took = began.elapsed();
    tokio::time::sleep(QUIET).await;

    let observed = observed(&observer, sagas).await?;
    observer.stop().await?;
    let mut ledgers = Vec::new();
    for service in &mut services {
        service.stop().await?;
        ledgers.push(service.ledger().await?);
    }
    let mut dead_letters = Vec::new();
    for name in STEPS.iter().map(|step| step.service).chain([OBSERVER]) {
        let letters = broker.dead_letters(&running.url, PLACE, listener(name)).await;
        let letters = letters.map_err(|error| format!("{name}: {error}"))?;
        dead_letters.push((name.to_owned(), letters));
    }
    let evidence = judge::Evidence {
        sagas,
        heard: judged::acknowledged(folder)?,
        served: judged::with_the_observer(judged::told(folder).await?, &observed),
        ledgers,
        orphans: Vec::new(),
        dead_letters,
    };
    let wrong = judge::judge(&evidence);
    if !wrong.is_empty() {
        let shown: Vec<_> = wrong.iter().take(40).map(String::as_str).collect();
        return Err(format!("{} things are wrong:\n  {}", wrong.len(), shown.join("\n  ")));
    }
    Ok(Report {
        broker: broker.name(),
        sagas,
        completed: evidence.ended_as("completed"),
        failed: evidence.ended_as("failed"),
        struck,
        brought: channel::brought(folder),
        took,
    })
}

fn listener(service: &str) -> End {
    End::Listener(Listener::named(service).expect("it is a name"))
}

/// Until who goes by this name has its place at the broker: what is said from then on is kept for it.
async fn listens(broker: &dyn Broker, url: &str, name: &str) -> Result<(), String> {
    let since = Instant::now();
    while let Err(error) = broker.dead_letters(url, PLACE, listener(name)).await {
        if since.elapsed() > MOVES_WITHIN {
            return Err(format!("{name} does not listen: {error}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// How many orders end from one blow to the next: no more are on their way at once, so that none falls when
/// all is over.
const fn apart(sagas: u64) -> u64 {
    sagas / (STEPS.len() as u64 + 4)
}

/// What the observer has of all sagas, once it has heard the end of each.
async fn observed(observer: &Server, sagas: u64) -> Result<Vec<Served>, String> {
    let since = Instant::now();
    loop {
        let (observed, _) = judge::served::of_the_server(&observer.api()).await?;
        let ended = observed.iter().filter(|saga| ["completed", "failed"].contains(&&*saga.state));
        if ended.count() as u64 >= sagas || since.elapsed() > MOVES_WITHIN {
            return Ok(observed);
        }
        tokio::time::sleep(QUIET).await;
    }
}

/// The broker once, every service and the observer, each when so many orders have ended.
async fn strike(
    running: &mut Running,
    services: &mut [Hired],
    observer: &mut Server,
    (folder, sagas): (&Path, u64),
) -> Result<Vec<String>, String> {
    let mut struck = Vec::new();
    for turn in 0..=services.len() + 1 {
        let by = apart(sagas) * (turn as u64 + 1);
        let ended = until(folder, by, &[0]).await?;
        let what = match turn.checked_sub(1) {
            None => {
                running.kill().await?;
                tokio::time::sleep(AWAY).await;
                running.start_again().await?;
                format!("broker {} killed", running.broker.name())
            }
            Some(place) if place == services.len() => {
                observer.kill()?;
                tokio::time::sleep(AWAY).await;
                observer.start().await?;
                "the observer killed".to_owned()
            }
            Some(place) => {
                let service = &mut services[place];
                service.kill()?;
                tokio::time::sleep(AWAY).await;
                service.revive()?;
                format!("{} killed", service.step.service)
            }
        };
        if ended >= sagas {
            return Err(format!("{what} when all was over: too few orders"));
        }
        struck.push(format!("{what} when {ended} of {sagas} had ended"));
        println!("  {}", struck[turn]);
    }
    Ok(struck)
}

async fn until_all_have_ended(folder: &Path, sagas: u64) -> Result<(), String> {
    until(folder, sagas, &[0, 1, 2, 3]).await.map(drop)
}

/// Until these services know of so many ends.
async fn until(folder: &Path, ends: u64, places: &[usize]) -> Result<u64, String> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let (mut least, mut all) = (u64::MAX, 0);
        for &place in places {
            let ended = judged::ended(folder, place).await?;
            (least, all) = (least.min(ended), all + ended);
        }
        if least >= ends {
            return Ok(least);
        }
        if all != last {
            (last, since) = (all, Instant::now());
        }
        if since.elapsed() > MOVES_WITHIN {
            let secs = MOVES_WITHIN.as_secs();
            return Err(format!("nothing has moved for {secs} s, with {least} of {ends} ended"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
