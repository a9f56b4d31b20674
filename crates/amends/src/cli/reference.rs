//! `docs/cli.md`, made from the commands themselves, and the test that it is current.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::{Cli, exit};

/// How wide the help is in the page.
const WIDTH: usize = 90;

fn page() -> String {
    let mut text = "# The command line\n\nMade from `amends --help`; a test keeps it current \
                    (`AMENDS_BLESS=1 cargo test -p amends cli::reference` writes it anew).\n"
        .to_owned();
    let command = Cli::command().term_width(WIDTH);
    let mut command = super::built(without_environment(command));
    section(&mut command, "amends", &mut text);
    let _ = write!(text, "\n## Exit codes\n\n```text\n{}\n```\n", exit::help());
    text
}

fn section(command: &mut Command, name: &str, text: &mut String) {
    let help = command.clone().bin_name(name).term_width(WIDTH).render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        section(sub, &name, text);
    }
}

/// What stands in somebody's environment does not belong into the page.
fn without_environment(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_environment)
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let expected = page();
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "docs/cli.md is not current: set AMENDS_BLESS=1 and test again");
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
