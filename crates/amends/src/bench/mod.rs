//! `amends bench`: what this machine does with this engine, printed with the method it was
//! measured by.
//!
//! A benchmark without its method says nothing, so the two are one thing here; `docs/benchmarks.md`
//! says more about it.

mod brokers;
mod inflight;
mod latency;
mod load;
mod machine;
mod parked;
mod parts;
mod report;
mod site;
mod throughput;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub use report::Report;
use work::Work;

use crate::brokers::BrokerOptions;

/// What is measured, and how.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Mode::InProcess)]
    mode: Mode,
    /// How many sagas are under way at a time.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: u32,
    /// Which share of the sagas is refused at step 3 and undone, from 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    failure_rate: f64,
    /// How many steps a saga has.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    steps: u32,
    /// About how many bytes a saga's data has.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=200_000))]
    data_bytes: u32,
    /// How long sagas are started for, in seconds. With --sagas, whichever ends first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// How many sagas are started.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    sagas: Option<u64>,
    /// A folder on the disk that is to be measured; a new folder in it is used, and deleted.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    brokers: BrokerOptions,
    /// What this process does for another one.
    #[arg(long, value_enum, hide = true)]
    part: Option<Part>,
}

/// How long sagas are started for, unless it is said.
const DURATION_SECS: u64 = 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Sagas whose participants are functions of the engine's own process.
    InProcess,
    /// Sagas whose participants are another process, over HTTP.
    Http,
    /// Sagas whose participant is another process behind Kafka (--kafka), beside what its client does
    /// alone.
    Kafka,
    /// The same behind NATS JetStream (--nats).
    Nats,
    /// The same behind RabbitMQ (--rabbitmq).
    Rabbitmq,
    /// The same behind Amazon SQS (--sqs).
    Sqs,
    /// From the start of a process to its first sending, with sagas in flight (100 000 unless
    /// --sagas says otherwise).
    Restart,
    /// The memory held while sagas wait for a signal (1 000 000 unless --sagas says otherwise).
    Parked,
}

impl Mode {
    /// Its name on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What a process of its own does in a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Answers commands.
    Participants,
    /// Answers messages without an engine.
    Echo,
    /// Puts sagas in flight, and waits to be killed.
    Fill,
    /// Recovers them.
    Recover,
}

impl Part {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Participants => "participants",
            Self::Echo => "echo",
            Self::Fill => "fill",
            Self::Recover => "recover",
        }
    }
}

/// Why a benchmark came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder.
    #[error("cannot make the folder {}: {source}; name another one with --data", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store.
    #[error("cannot open the store: {0}")]
    Store(#[from] amends_store_sqlite::OpenError),
    /// The engine.
    #[error("the engine did not run: {0}")]
    Engine(#[from] amends_engine::Error),
    /// The definition was not taken.
    #[error("the benchmark's definition was not taken: {0}")]
    Deploy(#[from] amends_engine::DeployError),
    /// The definition is wrong.
    #[error("the benchmark's definition is wrong: {0}")]
    Definition(#[from] amends_definition::BuildError),
    /// A saga was not started.
    #[error("a saga was not started: {0}")]
    Start(#[from] amends_engine::StartError),
    /// It did not come to its end.
    #[error("the benchmark did not come to its end: {0}")]
    Lost(String),
}

/// Runs what was asked for. A part of another benchmark reports nothing.
pub async fn run(arguments: &Arguments) -> Result<Option<Report>, Error> {
    if let Some(part) = arguments.part {
        parts::run(part, arguments).await?;
        return Ok(None);
    }
    let report = match arguments.mode {
        Mode::InProcess => throughput::in_process(arguments).await,
        Mode::Http => throughput::http(arguments).await,
        Mode::Kafka | Mode::Nats | Mode::Rabbitmq | Mode::Sqs => {
            brokers::by_message(arguments).await
        }
        Mode::Restart => inflight::measure(arguments).await,
        Mode::Parked => parked::measure(arguments).await,
    };
    report.map(Some)
}

impl Arguments {
    fn work(&self) -> Work {
        Work {
            steps: self.steps,
            data_bytes: self.data_bytes as usize,
            failure_rate: self.failure_rate,
        }
    }

    /// The words that say the same work to a part.
    fn words(&self) -> Vec<String> {
        let mut words = vec![
            format!("--mode={}", self.mode.name()),
            format!("--concurrency={}", self.concurrency),
            format!("--failure-rate={}", self.failure_rate),
            format!("--steps={}", self.steps),
            format!("--data-bytes={}", self.data_bytes),
        ];
        words.extend(self.sagas.map(|sagas| format!("--sagas={sagas}")));
        words
    }

    fn until(&self) -> load::Until {
        let forever = u64::from(u32::MAX);
        let secs =
            self.duration.unwrap_or(if self.sagas.is_some() { forever } else { DURATION_SECS });
        load::Until { sagas: self.sagas.unwrap_or(u64::MAX), time: Duration::from_secs(secs) }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("say a share from 0 to 1".into()) }
}
