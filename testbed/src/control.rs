//! What the command may do to its servers, by saying `kill nats` or `start nats` in a line at an
//! address of the loopback. The answer is a line, too: `done`, or what went wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use amends_testbed::Server;
use anyhow::{Context, bail};

/// The variable that tells the address to the command.
pub(crate) const VARIABLE: &str = "AMENDS_TEST_CONTROL";

/// The servers by their names.
pub(crate) type Servers = Arc<Mutex<BTreeMap<String, Server>>>;

/// Listens for as long as this process lives: the address.
pub(crate) fn listen(servers: Servers) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A command that has gone before its answer has no use for it.
            let _ = answer(stream, &servers);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, servers: &Servers) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    match obey(line.trim(), servers) {
        Ok(()) => writeln!(stream, "done"),
        // One line, whatever the end of a server's log has.
        Err(e) => writeln!(stream, "{}", format!("{e:#}").replace('\n', " | ")),
    }
}

fn obey(line: &str, servers: &Servers) -> anyhow::Result<()> {
    let (what, name) = line.split_once(' ').context("say `kill` or `start`, and which server")?;
    let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
    let server =
        servers.get_mut(name).with_context(|| format!("there is no server {name} here"))?;
    match what {
        "kill" => server.kill(),
        "start" => server.start_again(),
        _ => bail!("{what} is neither kill nor start"),
    }
}
