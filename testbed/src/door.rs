//! A door in front of a server on the loopback: shut, it is as if the server were away, while the
//! server keeps what it has.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

/// How long the door tries to have its port again: what is closed keeps it for a moment.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A door on a port of its own, which is its own for as long as it lives.
pub struct Door {
    shared: Arc<Shared>,
    port: u16,
    /// None while it is shut.
    keeping: Option<JoinHandle<()>>,
}

struct Shared {
    behind: u16,
    shut: AtomicBool,
    connections: Mutex<Connections>,
    manner: Mutex<Manner>,
}

/// Both sides of each connection that is through, so that it can be cut.
#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Vec<TcpStream>>,
}

/// What it does with what comes.
#[derive(Clone)]
enum Manner {
    /// Both ways are open.
    Through,
    /// What is asked goes through; the connection is cut at the first byte of the answer.
    AnswersLost,
    /// Nothing goes through: this is the answer, and the connection ends.
    Says(Vec<u8>),
}

impl Door {
    /// An open one before the server at this port.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn before(behind: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            behind,
            shut: AtomicBool::new(false),
            connections: Mutex::default(),
            manner: Mutex::new(Manner::Through),
        });
        let keeping = keep(&shared, listener);
        Ok(Self { shared, port, keeping: Some(keeping) })
    }

    /// Where the server is reached through it.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Shuts it: every connection is cut, and each new one refused.
    pub fn shut(&mut self) {
        let Some(keeping) = self.keeping.take() else { return };
        self.shared.shut.store(true, Ordering::Release);
        // Whoever waits for the next one has it.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = keeping.join();
        self.shared.cut();
    }

    /// Opens it again, on the same port.
    ///
    /// # Errors
    ///
    /// The port is another's by now.
    pub fn open(&mut self) -> anyhow::Result<()> {
        if self.keeping.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)) {
                Ok(listener) => break listener,
                Err(_) if began.elapsed() < OPEN_WITHIN => thread::sleep(LOOK_EVERY),
                Err(error) => return Err(error).context("the door's port cannot be had again"),
            }
        };
        self.shared.shut.store(false, Ordering::Release);
        self.keeping = Some(keep(&self.shared, listener));
        Ok(())
    }

    /// From now on both ways are open.
    pub fn let_through(&self) {
        self.behave(Manner::Through);
    }

    /// From now on the server hears what it is asked, and its answers are lost.
    pub fn lose_answers(&self) {
        self.behave(Manner::AnswersLost);
    }

    /// From now on nothing goes through, and whoever asks hears this.
    pub fn say(&self, answer: impl Into<Vec<u8>>) {
        self.behave(Manner::Says(answer.into()));
    }

    /// Connections that are there end: they have learned another manner.
    fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
        self.shared.cut();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut();
    }
}

fn keep(shared: &Arc<Shared>, listener: TcpListener) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for came in listener.incoming() {
            if shared.shut.load(Ordering::Acquire) {
                return;
            }
            if let Ok(came) = came {
                let shared = Arc::clone(&shared);
                // A connection that breaks is its two ends' business.
                thread::spawn(move || drop(shared.receive(came)));
            }
        }
    })
}

impl Shared {
    fn receive(&self, came: TcpStream) -> io::Result<()> {
        let connection = {
            let mut connections = self.connections();
            connections.next += 1;
            let connection = connections.next;
            connections.open.insert(connection, vec![came.try_clone()?]);
            connection
        };
        let passed = self.pass(connection, came);
        self.connections().open.remove(&connection);
        passed
    }

    fn pass(&self, connection: u64, mut came: TcpStream) -> io::Result<()> {
        let manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Manner::Says(answer) = manner {
            let mut asked = vec![0; 64 * 1024];
            let _ = came.read(&mut asked)?; // what it was does not matter
            came.write_all(&answer)?;
            return came.shutdown(Shutdown::Write);
        }
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.behind))?;
        if let Some(sides) = self.connections().open.get_mut(&connection) {
            sides.push(server.try_clone()?);
        } else {
            return came.shutdown(Shutdown::Both); // it was cut meanwhile
        }
        let (mut asking, mut asked) = (came.try_clone()?, server.try_clone()?);
        let asking = thread::spawn(move || {
            let _ = io::copy(&mut asking, &mut asked);
            let _ = asked.shutdown(Shutdown::Write);
        });
        if let Manner::AnswersLost = manner {
            let _ = server.read(&mut [0])?;
        } else {
            let _ = io::copy(&mut server, &mut came);
        }
        // The server has no more to say, so nobody has anything to ask.
        let shut = came.shutdown(Shutdown::Both);
        let _ = asking.join();
        shut
    }

    fn cut(&self) {
        for connection in std::mem::take(&mut self.connections().open).into_values().flatten() {
            let _ = connection.shutdown(Shutdown::Both); // it has ended already
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says twice what it is told.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for came in listener.incoming() {
                let mut came = came.unwrap();
                let mut said = [0; 2];
                if came.read_exact(&mut said).is_ok() {
                    came.write_all(&[said, said].concat()).unwrap();
                }
            }
        });
        port
    }

    fn ask(port: u16) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(b"hi")?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard)?;
        Ok(heard)
    }

    #[test]
    fn what_is_shut_lets_nobody_in_and_is_there_again_when_it_is_opened() {
        let mut door = Door::before(echo()).unwrap();
        assert_eq!(ask(door.port()).unwrap(), "hihi");
        let mut waiting = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port())).unwrap();
        door.shut();
        assert!(waiting.read(&mut [0]).is_ok_and(|read| read == 0) || waiting.write(b"x").is_err());
        // Reset, and not refused, while a program that another test starts has our sockets still.
        let kind = ask(door.port()).unwrap_err().kind();
        let is_away =
            matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset);
        assert!(is_away, "{kind:?}");
        door.open().unwrap();
        assert_eq!(ask(door.port()).unwrap(), "hihi");
    }

    #[test]
    fn it_loses_answers_and_has_answers_of_its_own() {
        let door = Door::before(echo()).unwrap();
        door.lose_answers();
        assert!(ask(door.port()).is_err() || ask(door.port()).unwrap().is_empty());
        door.say("no");
        assert_eq!(ask(door.port()).unwrap(), "no");
        door.let_through();
        assert_eq!(ask(door.port()).unwrap(), "hihi");
    }
}
