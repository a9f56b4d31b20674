//! The command line of the example services, also for a program that embeds them.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use lexopt::prelude::*;

use crate::ledger::Durability;
use crate::server::OnCrash;
use crate::service::{Service, Worked};
use crate::services::{Ports, Services, Settings};

/// What the command line understands.
pub const USAGE: &str = "\
The services of the worked sagas, each with its own SQLite ledger, on the loopback address.

  --service NAME     one service: inventory, payment, shipping, notification, accounts, ledger,
                     budget, reimbursement, hotel, flight, car
      --port N       where it listens (as its definition file has it; 0: anywhere)
      --db FILE      its ledger (NAME.db)
      --exit-on-crash  the fault `crash` ends the process with code 70
  --saga NAME        all services of one: order, bank, approval, travel, at their usual ports
      --folder DIR   their ledgers (here)
  --durability LEVEL full (fsync before an answer; the default), normal, off
  --no-call-log      keep no log of calls

They say on one line where each listens, and stop at SIGTERM or Ctrl-C.";

struct Asked {
    which: Which,
    folder: PathBuf,
    db: Option<PathBuf>,
    settings: Settings,
}

enum Which {
    One(Service),
    Of(Worked),
}

/// Runs services as the arguments (without the program's name) say, until a signal stops them.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let Some(asked) = read(arguments)? else {
        println!("{USAGE}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(asked))
}

async fn serve(asked: Asked) -> anyhow::Result<()> {
    // Before the first line is printed: who reads it may send a signal at once.
    let stop = stop_signal()?;
    let services = match asked.which {
        Which::One(service) => {
            let db = asked.db.unwrap_or_else(|| asked.folder.join(format!("{service}.db")));
            let mut services = Services::start(&asked.folder, &[]).await?;
            services.add(service, db, asked.settings).await?;
            services
        }
        Which::Of(worked) => {
            Services::start_with(&asked.folder, worked.services(), asked.settings).await?
        }
    };
    for (service, address) in services.addresses() {
        println!("{} listens on http://{address}", service.in_definitions());
    }
    stop.await;
    services.stop().await
}

/// Done at the first SIGTERM or Ctrl-C from now on.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The arguments; `None` when help is asked for.
fn read(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<Asked>> {
    let mut which = None;
    let (mut port, mut db) = (None, None);
    let mut folder = PathBuf::from(".");
    let mut settings = Settings { ports: Ports::Usual, ..Settings::default() };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("service") => which = Some(Which::One(parser.value()?.parse()?)),
            Long("saga") => which = Some(Which::Of(parser.value()?.parse()?)),
            Long("port") => port = Some(parser.value()?.parse()?),
            Long("db") => db = Some(parser.value()?.into()),
            Long("folder") => folder = parser.value()?.into(),
            Long("exit-on-crash") => settings.on_crash = OnCrash::Exit,
            Long("no-call-log") => settings.call_log = false,
            Long("durability") => {
                settings.durability = match parser.value()?.string()?.as_str() {
                    "full" => Durability::Full,
                    "normal" => Durability::Normal,
                    "off" => Durability::Off,
                    other => bail!("--durability {other} is none of full, normal, off"),
                };
            }
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(which) = which else { bail!("say --service NAME or --saga NAME; --help tells more") };
    if let Some(port) = port {
        settings.ports = Ports::This(port);
    }
    let one = matches!(which, Which::One(_));
    ensure!(one || (port.is_none() && db.is_none()), "--port and --db are for one --service");
    Ok(Some(Asked { which, folder, db, settings }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: &str) {
        let error = read(arguments.iter().map(OsString::from)).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        check(&[], "--service NAME or --saga NAME");
        check(&["--service", "warehouse"], "warehouse");
        check(&["--saga", "war"], "there are order");
        check(&["--saga", "order", "--port", "1"], "are for one --service");
        check(&["--service", "car", "--durability", "some"], "none of full");
        check(&["--car"], "--car");
    }

    #[test]
    fn a_service_is_at_its_usual_port_unless_another_is_said() {
        let ports = |arguments: &[&str]| {
            read(arguments.iter().map(OsString::from)).unwrap().unwrap().settings.ports
        };
        assert_eq!(ports(&["--service", "car"]), Ports::Usual);
        assert_eq!(ports(&["--service", "car", "--port", "0"]), Ports::This(0));
    }
}
