//! The bank on the command line.

use std::path::PathBuf;

use amends_example_bank::{Bank, Service};
use anyhow::bail;
use lexopt::prelude::*;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
The services of the bank transfer, on the participant kit, on the loopback address.

  --service NAME  accounts, ledger or notification; all three unless said
  --port N        where it listens, with --service (as transfer.yaml has it; 0: anywhere)
  --folder DIR    where their databases are (here)

They say on one line where each listens, and stop at SIGTERM or Ctrl-C.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut name, mut port, mut folder) = (None, None, PathBuf::from("."));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("service") => name = Some(parser.value()?.string()?),
            Long("port") => port = Some(parser.value()?.parse()?),
            Long("folder") => folder = parser.value()?.into(),
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let wanted = Service::ALL.iter().filter(|one| name.as_deref().is_none_or(|n| n == one.name));
    let wanted: Vec<_> = wanted.map(|one| (*one, port.unwrap_or(one.usual_port))).collect();
    if wanted.is_empty() {
        bail!("there is no such service\n\n{USAGE}");
    }
    if port.is_some() && name.is_none() {
        bail!("--port is of one service: say --service too\n\n{USAGE}");
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // Before the first line is printed: who reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let bank = Bank::start(&wanted, &folder).await?;
    for (service, address) in bank.addresses() {
        println!("{} listens on http://{address}", service.in_definitions);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    bank.stop().await
}
