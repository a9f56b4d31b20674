//! The engine on the stage: this same binary as a process of its own, to be killed and started
//! again on the same folder.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::api::Api;

/// However busy the machine: an engine that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Ports below those that systems hand out to clients: while the engine is down, nobody gets its
/// port by chance, and callbacks find it at the same place again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Other ports tried when somebody else was quicker.
const PORT_TRIES_MAX: u32 = 5;

/// How much of its log is told when something goes wrong.
const LOG_TAIL_LINES: usize = 15;

/// An engine's process.
pub struct Engine {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    pub api: Api,
}

impl Engine {
    /// Starts one on a free port, with its data, log and `definitions/` in the folder.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            let port = free_port()?;
            let mut engine =
                Self { folder: folder.to_owned(), port, child: None, api: Api::at(port) };
            match engine.revive().await {
                Ok(_) => return Ok(engine),
                Err(e) if tries == PORT_TRIES_MAX || TcpListener::bind(engine.here()).is_ok() => {
                    return Err(e.context(engine.log_tail()));
                }
                Err(_) => tries += 1,
            }
        }
    }

    /// Starts the process on what its folder holds, and waits until it is ready: after how long.
    pub async fn revive(&mut self) -> anyhow::Result<Duration> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let binary = std::env::current_exe().context("this program does not find itself")?;
        let mut command = Command::new(&binary);
        // Settings of this user's own servers are not for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AMENDS_") {
                command.env_remove(name);
            }
        }
        let child = command
            .current_dir(&self.folder)
            .arg("serve")
            .arg("--data")
            .arg(self.folder.join("engine"))
            .arg("--definitions")
            .arg(self.folder.join("definitions"))
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            // It ends when the pipe does, however this process ends.
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C in the terminal is for this process, which then sees to that one.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        self.child = Some(child);
        let since = Instant::now();
        while !self.api.is_ready().await {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.child = None;
                bail!("the engine ended at once, {status}");
            }
            if since.elapsed() > READY_WITHIN {
                bail!("the engine was not ready within {READY_WITHIN:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(since.elapsed())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        format!("the last lines of the engine's log:\n{}", tail.join("\n"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("engine.log")
    }

    fn here(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::LOCALHOST, self.port)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// A port that nobody listens on. Where the search begins differs from process to process, so that
/// two demonstrations do not meet.
fn free_port() -> anyhow::Result<u16> {
    let width = PORTS.end - PORTS.start;
    let seed = u64::from(std::process::id()) * 7919
        + u64::from(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos());
    let first = u16::try_from(seed % u64::from(width)).unwrap_or(0);
    (0..width)
        .map(|step| PORTS.start + (first + step) % width)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .context("no port from 20000 to 32000 is free on the loopback address")
}
