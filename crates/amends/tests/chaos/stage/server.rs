//! The server under test: the real binary on one data folder, started, ended and started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::process::Process;
use crate::load::api::{Answer, Api};

/// However busy the machine: a server that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How a server is run.
pub struct Server {
    folder: PathBuf,
    data: PathBuf,
    port: u16,
    /// Where participants answer to, and clients ask.
    public_port: u16,
    clock: Option<Clock>,
    process: Option<Process>,
}

impl Server {
    /// Not started yet; its definitions are in `<folder>/definitions`.
    pub fn new(
        folder: &Path,
        data: PathBuf,
        port: u16,
        public_port: u16,
        clock: Option<Clock>,
    ) -> Self {
        Self { folder: folder.to_owned(), data, port, public_port, clock, process: None }
    }

    /// Its own door, without a proxy in front.
    pub fn api(&self) -> Api {
        Api::at(self.port)
    }

    /// Where its journal and catalog are.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it; it may not answer yet.
    pub fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        // Settings of this user's own servers are not for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AMENDS_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.folder)
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--public-url", &format!("http://127.0.0.1:{}", self.public_port)])
            .arg("--definitions")
            .arg(self.folder.join("definitions"))
            .arg("--exit-with-stdin");
        if let Some(clock) = &self.clock {
            clock.lend(&mut command);
        }
        let log = self.folder.join("server.log");
        self.process = Some(Process::start(&mut command, &log).expect("the binary starts"));
    }

    /// Waits until it answers that it is ready.
    pub async fn ready(&mut self) -> Result<(), String> {
        let (since, api) = (Instant::now(), self.api());
        while !matches!(api.get("/readyz").await, Answer::Of(200, _)) {
            let process = self.process.as_mut().ok_or("it was not started")?;
            if let Some(status) = process.ended() {
                return Err(format!("the server ended, {status}:\n{}", process.log_tail()));
            }
            if since.elapsed() > READY_WITHIN {
                return Err(format!("the server is never ready:\n{}", process.log_tail()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// `kill -9`, and its end.
    pub fn kill(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let id = process.id();
        process.kill().map_err(|what| format!("the server: {what}"))?;
        if self.clock.is_some() {
            Clock::forget(id);
        }
        Ok(())
    }

    /// SIGTERM, and its end in order.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.stop().await.map_err(|what| format!("the server: {what}"))
    }

    pub fn freeze(&self) {
        self.process.iter().for_each(Process::freeze);
    }

    pub fn thaw(&self) {
        self.process.iter().for_each(Process::thaw);
    }

    /// Its wall clock jumps; the process reads it when it next looks.
    pub fn jump(&mut self, secs: i64) -> Result<(), String> {
        let clock = self.clock.as_mut().ok_or("this server has the machine's own clock")?;
        clock.jump(secs).map_err(|error| format!("the server's clock cannot be set: {error}"))
    }

    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }
}
