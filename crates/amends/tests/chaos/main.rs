//! Chaos: the real binary under a load, with everything done to it that a machine and a network may
//! do; afterwards every acknowledged saga has ended, and the ledgers of the participants show what
//! `semantics.md` promises. docs/chaos.md says what is done and what is judged.
//!
//! As a test it is short: ten kills, one run with every kind of fault, and one with a server that
//! forgets, which the judge must find out. As a program it takes a command:
//!
//! ```text
//! kills [--times N] [--seed N]             kill -9 of the server and nothing else
//! storm [--minutes N] [--kills N] [--seed N]   everything, for so long
//! ```

mod dice;
mod judge;
mod lacking;
mod lies;
mod load;
mod nemesis;
mod plan;
mod report;
mod run;
mod stage;

use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use libtest_mimic::{Arguments, Failed, Trial};

use plan::Plan;
use report::Report;
use run::Run;
use stage::{Wanted, participant};

/// How often it is killed as a test: enough to meet each part of a saga's life.
const KILLS: u64 = 10;

/// How often as a program: as often as a release is to survive it.
const KILLS_OF_A_RELEASE: u64 = 200;

/// The seed of the tests.
pub const SEED: u64 = 1;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    match first.to_str() {
        Some(participant::ARGUMENT) => participant::run(arguments),
        Some(command @ ("kills" | "storm")) => match asked(command, arguments) {
            Ok(run) => told(&run.go()),
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
    let holds = |asked: Asked| move || asked.go().map_err(Failed::from);
    let mut tests = vec![
        Trial::test(
            "no_kill_loses_a_saga_or_an_effect",
            holds(Asked::Kills { times: KILLS, seed: SEED }),
        ),
        Trial::test(
            "no_fault_of_any_kind_loses_a_saga_or_an_effect",
            holds(Asked::Each { seed: SEED }),
        ),
    ];
    tests.extend(judge::tests::tests());
    tests.extend(lacking::tests());
    tests.extend(lies::tests());
    tests
}

/// What is to be run.
#[derive(Clone, Copy)]
enum Asked {
    Kills { times: u64, seed: u64 },
    Each { seed: u64 },
    Storm { minutes: u64, kills: u64, seed: u64 },
}

fn asked(
    command: &str,
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Asked, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut times, mut minutes, mut kills) = (KILLS_OF_A_RELEASE, 5, 0);
    let mut seed = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("times") if command == "kills" => times = parser.value()?.parse()?,
            Long("minutes") if command == "storm" => minutes = parser.value()?.parse()?,
            Long("kills") if command == "storm" => kills = parser.value()?.parse()?,
            Long("seed") => seed = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(match command {
        "kills" => Asked::Kills { times, seed },
        _ => Asked::Storm { minutes, kills, seed },
    })
}

impl Asked {
    /// Runs it in a folder that stays unless all is well, and shows what it came to, also where that is
    /// as it should be: what struck how often, and what was not tried.
    fn go(self) -> Result<(), String> {
        let (seed, again) = match self {
            Self::Kills { times, seed } => {
                (seed, format!("cargo xtask kills --times {times} --seed {seed}"))
            }
            Self::Each { seed } => (seed, format!("cargo xtask chaos --minutes 0 --seed {seed}")),
            Self::Storm { minutes, kills, seed } => (
                seed,
                format!("cargo xtask chaos --minutes {minutes} --kills {kills} --seed {seed}"),
            ),
        };
        let everything = Wanted { clock: true, disk: true };
        let run = Run {
            seed,
            again,
            wanted: if matches!(self, Self::Kills { .. }) { Wanted::default() } else { everything },
            plan: &|scope, dice| match self {
                Self::Kills { times, .. } => Plan::of_kills(times, dice),
                Self::Each { .. } => Plan::of_each(scope, dice),
                Self::Storm { minutes, kills, .. } => {
                    Plan::of_length(minutes * 60_000, kills, scope, dice)
                }
            },
            quiet_within: run::QUIET_WITHIN,
            shows: true,
        };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
        println!("seed {seed}, in {}", folder.display());
        let report = in_a_runtime(&run, &folder)?;
        if !report.holds() {
            return Err(report.to_string());
        }
        // What is left over harms nobody.
        let _ = std::fs::remove_dir_all(folder);
        println!("{report}");
        let may_lack = std::env::var(lacking::MAY_LACK).unwrap_or_default();
        lacking::amiss(&report.lacking, &may_lack).map_or(Ok(()), Err)
    }
}

fn in_a_runtime(run: &Run<'_>, folder: &Path) -> Result<Report, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(run.play(folder, &mut |_| {}))
}

fn told(outcome: &Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
