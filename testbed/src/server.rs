//! One server: its folder, its port, its process.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::keeper::Keeper;
use crate::kind::Kind;
use crate::program::User;

/// A start takes a second or two; a busy machine may take many times that.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks at whether it is ready, or gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A free port may be taken by another between our look and the server's start.
const PORTS_TRIED_MAX: u32 = 5;

/// What of the log is shown when a server does not start.
const LOG_LINES_SHOWN: usize = 20;

/// A running server, or one that was killed and can be started again.
pub struct Server {
    kind: Box<dyn Kind>,
    user: Option<User>,
    port: u16,
    process: Option<Child>,
    // Both end after the process, in this order: whatever is left, the keeper removes.
    _keeper: Keeper,
    folder: TempDir,
}

impl Server {
    /// Sets it up in a new folder and starts it; ready when this returns.
    ///
    /// # Errors
    ///
    /// A program is missing (its Debian package is named), or the server does not become ready;
    /// the end of its log is in the error.
    pub fn start(kind: Box<dyn Kind>) -> anyhow::Result<Self> {
        let user = User::instead_of_root(kind.user())?;
        // A short name: the path of a Unix socket has 107 bytes.
        let folder = tempfile::Builder::new().prefix("amends-").tempdir();
        let folder = folder.context("no temporary folder can be made")?;
        if let Some(user) = user {
            user.own(folder.path())?;
        }
        let keeper = Keeper::of(folder.path())?;
        let mut server = Self { kind, user, port: 0, process: None, _keeper: keeper, folder };
        server.set_up()?;
        let mut tries = 1;
        loop {
            server.port = free_port()?;
            match server.start_again() {
                Err(_) if tries < PORTS_TRIED_MAX && server.is_port_taken() => tries += 1,
                started => return started.map(|()| server),
            }
        }
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        self.kind.url(self.port)
    }

    /// The variable that tells its URL to a program.
    pub fn variable(&self) -> String {
        self.kind.variable()
    }

    /// The port on the loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where all is that it keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it and its children at once, as a loss of power would; its folder stays.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let name = self.kind.name();
        let children = children(process.id());
        process.kill().with_context(|| format!("{name} cannot be killed"))?;
        process.wait().with_context(|| format!("{name} cannot be waited for"))?;
        // Its number may be another's from now on.
        let _ = fs::remove_file(self.pid_file());
        for child in &children {
            let _ = kill_process(*child, Signal::KILL);
        }
        // A child that still holds the server's memory keeps the next start away.
        wait_until(READY_WITHIN, || !children.iter().any(|child| is_alive(*child)))
            .with_context(|| format!("children of {name} do not end"))
    }

    /// Starts it on the same folder and port, after a kill; ready when this returns.
    ///
    /// # Errors
    ///
    /// As of [`Server::start`]; also when it runs already.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let name = self.kind.name();
        ensure!(self.process.is_none(), "{name} runs already: kill it first");
        let program = self.kind.serve(self.folder.path(), self.port)?;
        let mut process = program
            .command(self.user, &self.log())?
            .spawn()
            .with_context(|| format!("{name} cannot be run"))?;
        fs::write(self.pid_file(), process.id().to_string())?;
        let mut ended: Option<ExitStatus> = None;
        let ready = wait_until(READY_WITHIN, || {
            ended = process.try_wait().ok().flatten();
            ended.is_some() || self.kind.is_ready(self.folder.path(), self.port)
        });
        if let Some(status) = ended {
            bail!("{name} ended while it started, {status}; its log ends with\n{}", self.log_end());
        }
        self.process = Some(process);
        ready.with_context(|| format!("{name} does not become ready:\n{}", self.log_end()))
    }

    fn set_up(&self) -> anyhow::Result<()> {
        let name = self.kind.name();
        let Some(program) = self.kind.set_up(self.folder.path())? else { return Ok(()) };
        let status = program.command(self.user, &self.log())?.status();
        let status = status.with_context(|| format!("{name} cannot be set up"))?;
        ensure!(status.success(), "{name} cannot be set up, {status}:\n{}", self.log_end());
        Ok(())
    }

    fn is_port_taken(&self) -> bool {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.to_lowercase().contains("address already in use")
    }

    /// What the keeper reads.
    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The lines that tell what went wrong, which advice may follow, and the last ones.
    fn log_end(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let (before, last) = lines.split_at(lines.len().saturating_sub(LOG_LINES_SHOWN));
        let errors = before.iter().filter(|line| line.to_lowercase().contains("error"));
        errors.take(LOG_LINES_SHOWN).chain(last).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(e) = self.kill() {
            eprintln!("{e:#}");
        }
    }
}

/// One that nobody listens at just now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// The children of a process, as Linux lists them.
fn children(of: u32) -> Vec<Pid> {
    let of = of.to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |folder: &Path| {
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        // pid (name) state parent …, and the name may hold anything.
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        after_name.and_then(|mut fields| fields.nth(1).map(|parent| parent == of)).unwrap_or(false)
    };
    processes
        .filter(|entry| is_child(&entry.path()))
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// A zombie is not: whoever should reap it is no concern of ours.
fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    let state = stat.ok().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done() {
        ensure!(started.elapsed() < within, "waited for {} s", within.as_secs());
        sleep(LOOK_EVERY);
    }
    Ok(())
}
