//! The command line: one file a command; what they share stands beside them.

mod acknowledge;
mod act;
mod bench;
mod cancel;
mod check;
mod client;
mod columns;
mod completions;
mod dead_letters;
mod definition_file;
mod definitions;
mod demo;
mod doctor;
mod edit;
mod exit;
mod extend;
mod get;
mod graph;
mod input;
mod list;
mod output;
mod pause;
#[cfg(test)]
mod reference;
mod resolve;
mod resume;
mod retry;
mod saga_view;
mod serve;
mod settings;
mod shown;
mod signal;
mod skip;
mod start;
mod watch;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use client::{Client, Remote};
use exit::{Exit, Failure};
use output::Output;

/// What every command but a broken one ends with: nothing, or why not.
type Outcome = Result<(), Failure>;

/// Runs sagas, and undoes what they did when a step fails.
///
/// A flag goes before the environment (AMENDS_…), the environment before amends.toml, and that
/// before the defaults. Data goes to stdout, words to stderr.
#[derive(Debug, Parser)]
#[command(name = "amends", version, max_term_width = 100, after_help = exit::help())]
struct Cli {
    /// The file with settings [default: amends.toml, where it is there]
    #[arg(long, global = true, value_name = "FILE", env = "AMENDS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Graph(graph::Graph),
    Start(start::Start),
    List(list::List),
    Get(get::Get),
    Watch(watch::Watch),
    Cancel(cancel::Cancel),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Signal(signal::Signal),
    Retry(retry::Retry),
    Resolve(resolve::Resolve),
    Skip(skip::Skip),
    Edit(edit::Edit),
    Extend(extend::Extend),
    Acknowledge(acknowledge::Acknowledge),
    #[command(visible_alias = "dlq")]
    DeadLetters(dead_letters::DeadLetters),
    Definitions(definitions::Definitions),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Completions(completions::Completions),
}

/// What commands that speak to a server have at hand.
struct Session {
    remote: Remote,
    output: Output,
}

impl Session {
    fn client(&self) -> Result<Client, Failure> {
        self.remote.client()
    }
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    match parse().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn parse() -> Result<Cli, Failure> {
    let args: Vec<_> = std::env::args_os().collect();
    let command = settings::apply(Cli::command(), &args)?;
    let matches = command.get_matches_from(args);
    Cli::from_arg_matches(&matches).map_err(|error| error.exit())
}

fn run(cli: Cli) -> Outcome {
    let session = Session { remote: cli.remote, output: cli.output };
    match cli.command {
        Command::Serve(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Check(command) => command.run(&session),
        Command::Graph(command) => command.run(),
        Command::Start(command) => asking(command.run(&session)),
        Command::List(command) => asking(command.run(&session)),
        Command::Get(command) => asking(command.run(&session)),
        Command::Watch(command) => asking(command.run(&session)),
        Command::Cancel(command) => asking(command.run(&session)),
        Command::Pause(command) => asking(command.run(&session)),
        Command::Resume(command) => asking(command.run(&session)),
        Command::Signal(command) => asking(command.run(&session)),
        Command::Retry(command) => asking(command.run(&session)),
        Command::Resolve(command) => asking(command.run(&session)),
        Command::Skip(command) => asking(command.run(&session)),
        Command::Edit(command) => asking(command.run(&session)),
        Command::Extend(command) => asking(command.run(&session)),
        Command::Acknowledge(command) => asking(command.run(&session)),
        Command::DeadLetters(command) => asking(command.run(&session)),
        Command::Definitions(command) => asking(command.run(&session)),
        Command::Doctor(command) => command.run(),
        Command::Bench(command) => command.run(&session),
        Command::Completions(command) => command.run(),
    }
}

/// Carries out a command that asks a server.
fn asking(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Error, error))?;
    runtime.block_on(command)
}
