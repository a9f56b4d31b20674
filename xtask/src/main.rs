//! The project's own chores: `cargo xtask test` sets up what the tests need and runs them all,
//! `cargo xtask kills` and `cargo xtask chaos` do to the server under load what a machine may do,
//! `cargo xtask brokers` runs many orders over brokers that are killed meanwhile,
//! `cargo xtask fuzz` feeds every reader with made-up bytes, `cargo xtask mistakes` builds mistakes in
//! to see them caught, `cargo xtask mutants` breaks the machine in every small way, `cargo xtask tidy`
//! checks the shape of the tree.

mod brokers;
mod built;
mod chaos;
mod folder;
mod fuzz;
mod machine;
mod mistakes;
mod mutants;
mod proof;
mod python;
mod run;
mod stages;
mod summary;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use lexopt::prelude::*;

const USAGE: &str = "\
cargo xtask test [STAGE...]   set up what the tests need, then run every stage, or these
cargo xtask stages            list the stages
cargo xtask kills [--times N] [--seed N]
                              kill the server N times (200) under load, and judge the ledgers
cargo xtask chaos [--minutes N] [--kills N] [--seed N]
                              every kind of fault for N minutes (5), and until N kills
cargo xtask brokers [--sagas N] [--over NAME]... [--without-coordinator]
                              N orders (20,000) over each broker and over all mixed, or over these,
                              with everything killed in mid-run, and judge the ledgers; or 5,000 that
                              the services run among themselves, over NATS and Kafka
cargo xtask mistakes [NAME...]
                              build mistakes in, and see that a test catches each
cargo xtask fuzz [--minutes N] [--seed N] [TARGET...]
                              feed every target, or these, with made-up bytes (5 s each)
cargo xtask mutants [FILE...] break the machine in every small way, and see a test find each
cargo xtask folder [--again]  make the data folder of this version, to be checked in with its release
cargo xtask proof             write docs/proof.md: which check holds which law
cargo xtask tidy              check the shape of the tree: docs, lengths, names, crate edges";

fn main() -> ExitCode {
    match chore() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does the chore that the arguments name: did it end well?
fn chore() -> anyhow::Result<bool> {
    let root = root()?;
    let mut parser = lexopt::Parser::from_env();
    let mut words = Vec::new();
    let mut again = false;
    let mut chaos = chaos::Asked::default();
    let mut brokers = brokers::Asked::default();
    let mut fuzz = fuzz::Asked::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) => words.push(word.string()?),
            Long("again") => again = true,
            Long("times") => chaos.times = Some(parser.value()?.parse()?),
            Long("kills") => chaos.kills = Some(parser.value()?.parse()?),
            Long("sagas") => brokers.sagas = Some(parser.value()?.parse()?),
            Long("without-coordinator") => brokers.among = true,
            Long("over") => brokers.over.push(parser.value()?.string()?),
            Long("minutes") => {
                chaos.minutes = Some(parser.value()?.parse()?);
                fuzz.minutes = chaos.minutes;
            }
            Long("seed") => {
                chaos.seed = Some(parser.value()?.parse()?);
                fuzz.seed = chaos.seed;
            }
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(true);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test", wanted @ ..] => run::test(&root, wanted),
        ["stages"] => {
            for stage in stages::STAGES {
                println!("{:20} {}", stage.name, stage.what);
            }
            Ok(true)
        }
        ["kills"] => chaos::run(&root, "kills", &chaos),
        ["chaos"] => chaos::run(&root, "storm", &chaos),
        ["brokers"] => brokers::run(&root, &brokers),
        ["mistakes", wanted @ ..] => mistakes::make(&root, wanted),
        ["fuzz", wanted @ ..] => fuzz::fuzz(&root, &fuzz, wanted),
        ["mutants", files @ ..] => mutants::mutants(&root, files),
        ["folder"] => folder::make(&root, again),
        ["proof"] => run::write_proof(&root),
        ["tidy"] => tidy::print(&root),
        _ => bail!("what is to be done?\n{USAGE}"),
    }
}

/// The root of the repository, wherever in it cargo was called.
fn root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask stands at the root of a file system")?.to_owned())
}
