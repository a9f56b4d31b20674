//! The `amends` binary: the server, and everything a person asks of it in a terminal.

mod bench;
mod cli;
mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
