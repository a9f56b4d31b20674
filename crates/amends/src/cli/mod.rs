//! The command line: one file a command; what they share stands beside them.

mod acknowledge;
mod act;
mod asyncapi;
mod bench;
mod cancel;
mod check;
mod client;
mod columns;
mod completions;
mod conformance;
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
mod interrupt;
mod list;
mod output;
mod pause;
mod plan;
#[cfg(test)]
mod reference;
mod rehearse;
mod resolve;
mod resume;
mod retry;
mod saga_diagram;
mod saga_view;
mod schema;
mod serve;
mod settings;
mod shown;
mod sidecar;
mod signal;
mod skip;
mod start;
mod times;
mod trust;
mod verify;
mod watch;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use client::{Client, Remote};
use exit::{Exit, Failure};
use output::Output;
use shown::Colour;

/// What every command but a broken one ends with: nothing, or why not.
type Outcome = Result<(), Failure>;

/// Runs sagas, and undoes what they did when a step fails.
///
/// A flag goes before the environment (AMENDS_…), the environment before amends.toml, and that
/// before the defaults. Data goes to stdout, words to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "amends",
    version,
    max_term_width = 100,
    after_help = after_help()
)]
struct Cli {
    /// The file with settings [default: amends.toml, where it is there]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AMENDS_CONFIG",
        help_heading = "Every command"
    )]
    config: Option<PathBuf>,
    /// When colour is used
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t = Colour::Auto,
        env = "AMENDS_COLOR",
        help_heading = "Every command"
    )]
    color: Colour,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// Which command when, and how each can end.
fn after_help() -> String {
    format!("{WHICH_WHEN}\n\n{}", exit::help())
}

const WHICH_WHEN: &str = "Which command when:
  to see what it is          demo
  while writing a saga       schema, check, graph, verify, asyncapi, plan
  while writing a service    conformance: one service, under all that the protocol asks
  before it goes live        rehearse: your services, under every fault
  on a new machine           doctor, bench, completions
  to run sagas               serve, definitions, start
  without a coordinator      sidecar: beside a service in any language
  where are my sagas?        list, get, watch
  a saga waits               signal, extend, pause, resume, cancel
  a saga needs a person      list --attention, dead-letters; then retry,
                             resolve, skip, edit or acknowledge, as get says";

/// Options that have no meaning for a command, and only fill its help.
const HIDDEN: [(&str, &[&str]); 14] = [
    ("serve", &["server", "token", "ca", "output"]),
    ("demo", &["server", "token", "ca", "output"]),
    ("check", &["server", "token", "ca"]),
    ("verify", &["server", "token", "ca"]),
    ("graph", &["server", "token", "ca", "output"]),
    ("asyncapi", &["server", "token", "ca", "output"]),
    ("plan", &["server", "token", "ca", "output"]),
    ("rehearse", &["server", "token", "ca"]),
    ("conformance", &["server", "token", "ca"]),
    ("schema", &["server", "token", "ca", "output"]),
    ("sidecar", &["server", "token", "ca", "output"]),
    ("doctor", &["server", "token", "ca"]),
    ("bench", &["server", "token", "ca"]),
    ("completions", &["server", "token", "ca", "output"]),
];

/// The command line as it is shown and understood. Global options are known to the commands only
/// once it is built.
fn built(mut command: clap::Command) -> clap::Command {
    command.build();
    command.mut_subcommands(|sub| {
        let hidden = HIDDEN.iter().find(|(name, _)| *name == sub.get_name());
        let hidden = hidden.map_or(&[] as &[&str], |(_, options)| options);
        sub.mut_args(|arg| {
            let hide = hidden.contains(&arg.get_id().as_str());
            if hide { arg.hide(true) } else { arg }
        })
    })
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Graph(graph::Graph),
    #[command(name = "asyncapi")]
    AsyncApi(asyncapi::AsyncApi),
    Plan(plan::Plan),
    Verify(verify::Verify),
    Schema(schema::Schema),
    Sidecar(sidecar::Sidecar),
    Rehearse(Box<rehearse::Rehearse>),
    Conformance(Box<conformance::Conformance>),
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
    let colour = settings::said(&args, "--color", "AMENDS_COLOR");
    let colour = colour.and_then(|said| Colour::from_str(said.to_str()?, true).ok());
    let colour = colour.unwrap_or(Colour::Auto);
    let command = settings::apply(Cli::command().color(colour.of_help()), &args)?;
    let mut command = built(command);
    if args.len() < 2 {
        shown::say(command.render_help().ansi());
        return Err(Failure::silent(Exit::Usage));
    }
    let matches = command.get_matches_from(args);
    Cli::from_arg_matches(&matches).map_err(|error| error.exit())
}

fn run(cli: Cli) -> Outcome {
    cli.color.choose();
    let session = Session { remote: cli.remote, output: cli.output };
    match cli.command {
        Command::Serve(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Check(command) => command.run(&session),
        Command::Graph(command) => command.run(),
        Command::AsyncApi(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Verify(command) => command.run(&session),
        Command::Schema(command) => command.run(),
        Command::Sidecar(command) => command.run(),
        Command::Rehearse(command) => asking(command.run(&session)),
        Command::Conformance(command) => asking(command.run(&session)),
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
        Command::Doctor(command) => asking(command.run(&session)),
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
