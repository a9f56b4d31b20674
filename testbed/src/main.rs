//! Runs a command beside servers of its own: `amends-testbed postgres mariadb -- CMD ARGS…`.
//!
//! The command finds them by `AMENDS_TEST_POSTGRES_URL` and `AMENDS_TEST_MARIADB_URL`, and may have
//! them killed and started again by what it says at `AMENDS_TEST_CONTROL`. The exit code is the
//! command's.

mod control;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use amends_testbed::{BY_NAME, Server};
use anyhow::{Context, bail, ensure};

/// What a shell says of a command that a signal ended: 128 and the signal's number.
const BY_SIGNAL: i32 = 128;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("amends-testbed: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<OsString>) -> anyhow::Result<u8> {
    let (names, command) = split(&args)?;
    let mut servers = BTreeMap::new();
    let mut found = Vec::new();
    for name in names {
        let Some((_, kind)) = BY_NAME.iter().find(|(known, _)| name == known) else {
            let known: Vec<_> = BY_NAME.iter().map(|(name, _)| *name).collect();
            bail!("there is no server {}; there are {}", name.display(), known.join(", "));
        };
        let server = Server::start(kind())?;
        found.push((server.variable(), server.url()));
        servers.insert(name.to_string_lossy().into_owned(), server);
    }
    let servers = Arc::new(Mutex::new(servers));
    found.push((control::VARIABLE.to_owned(), control::listen(Arc::clone(&servers))?));
    let status = Command::new(&command[0]).args(&command[1..]).envs(found).status();
    // Whoever was listened to is gone, and so are the servers before we are.
    servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let status = status.with_context(|| format!("{} cannot be run", command[0].display()))?;
    let code = status.code().or_else(|| Some(BY_SIGNAL + status.signal()?));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The servers' names, and the command.
fn split(args: &[OsString]) -> anyhow::Result<(&[OsString], &[OsString])> {
    const USAGE: &str = "usage: amends-testbed SERVER… -- COMMAND [ARGUMENT…]";
    let at = args.iter().position(|arg| arg == "--").context(USAGE)?;
    let (names, command) = (&args[..at], &args[at + 1..]);
    ensure!(!names.is_empty() && !command.is_empty(), USAGE);
    Ok((names, command))
}
