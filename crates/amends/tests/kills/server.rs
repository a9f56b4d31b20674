//! The server under test: the real binary on one data folder, started, killed and started again.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::api::{Answer, Api};
use super::dice::Dice;

/// However busy the machine: a server that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Ports below those that systems hand out to clients: while the server is down, nobody else gets
/// its port by chance.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How much of the log is told when something goes wrong.
const LOG_TAIL_LINES: usize = 30;

pub struct Server {
    pub port: u16,
    pub folder: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Not started yet; its definitions are in `<folder>/definitions`.
    pub fn new(folder: &Path, dice: &mut Dice) -> Self {
        let port = loop {
            let width = u64::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(dice.below(width)).unwrap_or(0);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                break port;
            }
        };
        Self { port, folder: folder.to_owned(), child: None }
    }

    /// Starts it; it may not answer yet.
    pub fn start(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(env!("CARGO_BIN_EXE_amends"))
            .current_dir(&self.folder)
            .arg("serve")
            .arg("--data")
            .arg(self.folder.join("data"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--definitions")
            .arg(self.folder.join("definitions"))
            .arg("--exit-with-stdin")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it answers that it is ready.
    pub async fn ready(&mut self, api: &Api) {
        let since = Instant::now();
        while !matches!(api.get("/readyz").await, Answer::Of(200, _)) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended, {ended:?}:\n{}", self.log_tail());
            assert!(since.elapsed() < READY_WITHIN, "it is never ready:\n{}", self.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `kill -9`, and its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "it ended by itself, {ended:?}:\n{}", self.log_tail());
            child.kill().expect("a running child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
