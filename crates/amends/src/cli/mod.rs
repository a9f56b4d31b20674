//! The command line: one file a command; what they share stands beside them.

mod check;
mod completions;
mod definition_file;
mod exit;
mod graph;
mod shown;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Failure;

/// What every command but a broken one ends with: nothing, or why not.
type Outcome = Result<(), Failure>;

/// Runs sagas, and undoes what they did when a step fails.
#[derive(Debug, Parser)]
#[command(name = "amends", version, max_term_width = 100, after_help = exit::help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Graph(graph::Graph),
    Completions(completions::Completions),
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Check(command) => command.run(),
        Command::Graph(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
