//! The services, each a process of its own on the participant kit: its business, its guard and what it knows
//! of its sagas in one database. The first one starts the orders.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use amends_participant::{Choreographed, Choreographies, Reacting, Surroundings};
use sqlx::Sqlite;
use tokio::signal::unix::{SignalKind, signal};

use super::channel::Doubling;
use super::{PLACE, listener, named};
use crate::broker::Broker;
use crate::order::{self, STEPS};
use crate::service::{Hired, database, ledger};

/// The first argument by which this program is a service that takes part.
pub const ARGUMENT: &str = "takes-part";

/// How many orders are on their way at once, at most: as many as keep every service busy.
const ON_THEIR_WAY_MAX: u64 = 64;

/// Between two looks how many are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Between two tries to reach what is away.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Starts the service of this step; it starts so many orders, of which so many are on their way at once.
pub fn hire(
    place: usize,
    broker: &dyn Broker,
    url: &str,
    folder: &Path,
    (orders, at_once): (u64, u64),
) -> Result<Hired, String> {
    let (step, shown) = (&STEPS[place], folder.display().to_string());
    let numbers = [orders, at_once.min(ON_THEIR_WAY_MAX)].map(|number| number.to_string());
    let arguments = [ARGUMENT, step.short, broker.name(), url, &shown, &numbers[0], &numbers[1]];
    Hired::start(step, arguments.map(str::to_owned).to_vec(), folder.to_owned())
}

/// Which order was acknowledged as which saga, a line each.
pub fn acknowledgements(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

/// What a service does that this program runs as.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    crate::service::as_a_process(arguments, async |arguments| take_part(&arguments).await)
}

async fn take_part(arguments: &[String]) -> Result<(), String> {
    let [short, over, url, folder, orders, at_once] = arguments else {
        return Err(format!(
            "its name, its broker, a URL, a folder, orders, at once: {arguments:?}"
        ));
    };
    let place = STEPS.iter().position(|step| step.short == short).ok_or("no such service")?;
    let (broker, folder, step) = (named(over)?, Path::new(folder), &STEPS[place]);
    let orders: u64 = orders.parse().map_err(|_| "no number of orders")?;
    let at_once: i64 = at_once.parse().map_err(|_| "no number of orders at once")?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let said = |error: sqlx::Error| format!("its database: {error}");
    let participant = ledger::participant(place, &database(folder, step)).await.map_err(said)?;
    let text = std::fs::read(folder.join("order.yaml")).map_err(|error| error.to_string())?;
    let of = Choreographed::read(&text, "order.yaml", &Surroundings::none());
    let of = of.map_err(|why| why.to_string())?;
    let service = participant.choreographies([of]).map_err(|why| why.to_string())?;
    service.create_tables().await.map_err(said)?;
    let channel = loop {
        match broker.connect(url, PLACE, listener(step.service)).await {
            Ok(channel) => break channel,
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    };
    let channel = Doubling::over(channel, folder, step.short);
    let channel = channel.map_err(|error| format!("what is brought cannot be noted: {error}"))?;
    let starting =
        tokio::spawn(start(service.clone(), (orders, at_once), acknowledgements(folder)));
    let stop = async move {
        terminate.recv().await;
    };
    Reacting::new(service, Arc::new(channel)).run(stop).await;
    starting.abort();
    Ok(())
}

/// Starts what was not started yet, by keys: who was killed asks again.
async fn start(
    service: Choreographies<Sqlite>,
    (orders, at_once): (u64, i64),
    acknowledged: PathBuf,
) {
    for n in 1..=orders {
        loop {
            match one(&service, n).await {
                Ok(saga) => {
                    let file = File::options().create(true).append(true).open(&acknowledged);
                    let line = format!("{n} {saga}\n");
                    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("it is noted");
                    break;
                }
                Err(error) => eprintln!("{} is not started yet: {error}", order::name(n)),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        while on_their_way(&service).await.is_none_or(|sagas| sagas >= at_once) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn one(service: &Choreographies<Sqlite>, n: u64) -> Result<String, String> {
    let key = order::name(n);
    let started = async {
        let mut tx = service.pool().begin_with("BEGIN IMMEDIATE").await?;
        let saga = service.start_once(&mut tx, order::SAGA, &key, &order::data(n)).await?;
        tx.commit().await?;
        Ok::<_, amends_participant::NotStarted>(saga)
    };
    let saga = started.await.map_err(|error| error.to_string())?;
    service.relay_soon();
    Ok(saga.to_string())
}

/// How many have been started and have not ended: also those of which nothing was heard yet.
async fn on_their_way(service: &Choreographies<Sqlite>) -> Option<i64> {
    let count = "SELECT (SELECT count(DISTINCT id) FROM amends_inbox) \
                 - (SELECT count(*) FROM amends_saga WHERE state IN ('completed', 'failed'))";
    sqlx::query_scalar(count).fetch_one(service.pool()).await.ok()
}
