//! The order saga over brokers: many orders at once, one in ten refused, with every broker killed and
//! started again in mid-run, the server and services killed; afterwards every ledger is exact.
//! docs/brokers.md says what is run and what is judged.
//!
//! As a test it is short. As a program it takes a command:
//!
//! ```text
//! run [--sagas N] [--over NAME]...     so many orders over this broker, or `mixed`
//! among [--sagas N] [--over NAME]...   so many that the services run among themselves
//! ```

mod among;
#[allow(dead_code, reason = "the chaos needs more of it")]
#[path = "../chaos/load/api.rs"]
mod api;
mod blows;
mod book;
#[path = "../broker/mod.rs"]
mod broker;
mod clients;
mod judge;
mod order;
#[allow(dead_code, reason = "the chaos needs more of it")]
#[path = "../chaos/stage/process.rs"]
mod process;
mod report;
mod run;
mod server;
mod service;
mod stage;
mod way;

use std::ffi::OsString;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use run::Run;
use way::{WAYS, Way};

/// What the test command has time for: enough that each blow falls while orders are on their way.
const SAGAS: u64 = 150;

/// What a release is to survive.
const SAGAS_OF_A_RELEASE: u64 = 20_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    match first.to_str() {
        Some(service::ARGUMENT) => service::run(arguments),
        Some(among::ARGUMENT) => among::run(arguments),
        Some("run") => match asked(arguments, SAGAS_OF_A_RELEASE, Way::named) {
            Ok((sagas, ways)) if ways.is_empty() => long(sagas, &WAYS.iter().collect::<Vec<_>>()),
            Ok((sagas, ways)) => long(sagas, &ways),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Some("among") => match asked(arguments, among::SAGAS_OF_A_RELEASE, among::named) {
            Ok((sagas, over)) if over.is_empty() => long_among(sagas, &among::of_a_release()),
            Ok((sagas, over)) => long_among(sagas, &over),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            // One after the other: each takes the machine for itself.
            let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
            libtest_mimic::run(&arguments, tests()).exit_code()
        }
    }
}

fn tests() -> Vec<Trial> {
    let short = |way: &'static Way| {
        let run = Run { sagas: SAGAS, services_killed: 1, quiet_secs: 5, way };
        move || run.go().map(drop).map_err(Failed::from)
    };
    let runs = WAYS
        .iter()
        .map(|way| Trial::test(format!("every_ledger_is_exact_over_{}", way.name), short(way)));
    runs.chain(among::tests()).chain(judge::lies::tests()).collect()
}

/// Runs them all, and says of each what it came to.
fn long(sagas: u64, ways: &[&'static Way]) -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for way in ways {
        let run = Run { sagas, services_killed: 4, quiet_secs: 40, way };
        match run.go() {
            Ok(report) => println!("{report}\n"),
            Err(report) => {
                eprintln!("{report}\n");
                exit = ExitCode::FAILURE;
            }
        }
    }
    exit
}

/// The same without a coordinator.
fn long_among(sagas: u64, over: &[&'static dyn broker::Broker]) -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for broker in over {
        match among::go(*broker, sagas) {
            Ok(report) => println!("{report}\n"),
            Err(report) => {
                eprintln!("{report}\n");
                exit = ExitCode::FAILURE;
            }
        }
    }
    exit
}

/// How many, and over what; nothing where that is not said.
fn asked<W>(
    arguments: impl IntoIterator<Item = OsString>,
    mut sagas: u64,
    named: impl Fn(&str) -> Result<W, String>,
) -> Result<(u64, Vec<W>), lexopt::Error> {
    use lexopt::prelude::*;
    let mut ways = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("sagas") => sagas = parser.value()?.parse()?,
            Long("over") => {
                let name = parser.value()?.string()?;
                ways.push(named(&name)?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok((sagas, ways))
}
