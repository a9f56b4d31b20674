//! The `amends` binary: the server, and everything a person asks of it in a terminal.

mod bench;
mod brokers;
mod cli;
mod demo;
mod rehearse;
mod verify;

use std::process::ExitCode;

/// A saga's memory is taken on one thread and given back on another, a hundred thousand times a
/// second: the system's allocator does that slowly, and keeps what a burst has taken.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
