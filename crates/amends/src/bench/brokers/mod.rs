//! Participants behind a broker, beside what the broker's own client does without an engine.

mod bare;
mod participants;

use std::sync::Arc;
use std::time::Duration;

use amends_definition::{Broker, Queues};
use amends_transport::{ByMessage, End};

use super::machine::Process;
use super::parts::{Running, say, until_the_end};
use super::report::Report;
use super::site::{self, Folder};
use super::throughput::measure;
use super::work::ONE_SERVICE;
use super::{Arguments, Error, Mode, Part};
use crate::brokers::Found;

/// How long the bare client is measured at most.
const BARE_FOR: Duration = Duration::from_secs(5);

/// A part that is connected to its broker.
#[derive(serde::Deserialize, serde::Serialize)]
struct Connected {}

/// The engine's round trips beside those of the bare client.
pub async fn by_message(arguments: &Arguments) -> Result<Report, Error> {
    let bare_for = arguments.until().time.min(BARE_FOR);
    let bare = bare::measure(arguments, bare_for).await?;
    let work = arguments.work();
    let folder = Folder::below(arguments.data.as_deref())?;
    let Found { broker, place } = found(arguments, "amends-bench")?;
    let (channel, _) = place.connect(End::Engine, true).await.map_err(Error::Lost)?;
    let started = Running::start(Part::Participants, arguments, None)?;
    let (participants, Connected {}) = started.ready().await?;
    let runtime = tokio::runtime::Handle::current();
    let transport = Arc::new(ByMessage::new(channel, ONE_SERVICE, runtime));
    let window = arguments.concurrency as usize;
    let definition = work.definition_of_one_service()?;
    let engine = site::engine_by_message(&folder, window, transport, definition).await?;
    let method = format!(
        "The engine, on its SQLite store with every sync on, and the callers in one process; the \
         participants in another one, over {broker}: a place of its own (amends-bench) for \
         commands and one for replies, with what a server makes there. Each caller starts a saga, \
         waits for its end, and starts the next. Counted when the catalog holds all. A round trip \
         is a command and its reply. Before that, for {} s, the client of {broker} alone: as many \
         at once publish a message as large as a command, wait for the broker's word and for the \
         answer of another process, with every message confirmed and acknowledged \
         (amends-bench-bare).",
        bare_for.as_secs()
    );
    let report = Report::new(&arguments.mode.name(), &method);
    let theirs = Process::child(participants.pid());
    let mut report = measure(arguments, &folder, engine, report, Some(theirs)).await?;
    report.figure("bare_round_trips_per_second", bare);
    if let Some(ours) = report.value("round_trips_per_second") {
        report.figure("share_of_bare", ours / bare);
    }
    Ok(report)
}

/// The participants' process.
pub async fn participants(arguments: &Arguments) -> Result<(), Error> {
    let Found { place, .. } = found(arguments, "amends-bench")?;
    let (channel, _) = place.connect(End::Service, true).await.map_err(Error::Lost)?;
    tokio::spawn(participants::answer_all(channel, arguments.work()));
    say(&Connected {}).await?;
    until_the_end().await;
    Ok(())
}

/// The other process of the bare client.
pub async fn echo(arguments: &Arguments) -> Result<(), Error> {
    let Found { place, .. } = found(arguments, bare::PLACE)?;
    let bare = place.bare(End::Service).await.map_err(Error::Lost)?;
    tokio::spawn(bare::echo(bare));
    say(&Connected {}).await?;
    until_the_end().await;
    Ok(())
}

/// The place of this name at the broker that is measured.
fn found(arguments: &Arguments, name: &str) -> Result<Found, Error> {
    // A name has no full stop over SQS.
    let mark = if arguments.mode == Mode::Sqs { '-' } else { '.' };
    let [commands, replies] = ["commands", "replies"].map(|of| format!("{name}{mark}{of}"));
    let broker = match arguments.mode {
        Mode::Kafka => Broker::Kafka,
        Mode::Nats => Broker::Nats { stream: name.to_owned() },
        Mode::Rabbitmq => Broker::RabbitMq { exchange: String::new() },
        Mode::Sqs => Broker::Sqs,
        Mode::InProcess | Mode::Http | Mode::Restart | Mode::Parked => {
            return Err(Error::Lost("it has no broker".to_owned()));
        }
    };
    arguments.brokers.place(&broker, Some(&Queues { commands, replies }), None).map_err(Error::Lost)
}
