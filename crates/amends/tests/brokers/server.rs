//! The server under test: the real binary on one data folder, killed and started again.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::api::{Answer, Api};
use crate::process::Process;

/// However busy the machine: a server that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ports below those that systems hand out to clients: while it is down, nobody else gets its port
/// by chance.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// See the module.
pub struct Server {
    folder: PathBuf,
    port: u16,
    /// Where the brokers are.
    options: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
    process: Option<Process>,
}

impl Server {
    /// Not started yet. Its definition is `<folder>/order.yaml`.
    pub fn new(
        folder: &Path,
        options: Vec<String>,
        env: Vec<(&'static str, &'static str)>,
    ) -> Result<Self, String> {
        let folder = folder.to_owned();
        Ok(Self { folder, port: free_port()?, options, env, process: None })
    }

    /// How it is asked.
    pub fn api(&self) -> Api {
        Api::at(self.port)
    }

    /// Starts it, and waits until it says that it is ready.
    pub async fn start(&mut self) -> Result<(), String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        // Settings of this user's own servers are not for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AMENDS_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.folder)
            .args(["serve", "--data", "data", "--definitions", "order.yaml", "--exit-with-stdin"])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(&self.options)
            .envs(self.env.iter().copied());
        let process = Process::start(&mut command, &self.folder.join("server.log"));
        let process = self.process.insert(process.map_err(|error| format!("amends: {error}"))?);
        let (since, api) = (Instant::now(), Api::at(self.port));
        while !matches!(api.get("/readyz").await, Answer::Of(200, _)) {
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

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.kill().map_err(|what| format!("the server: {what}"))
    }

    /// SIGTERM, and its end in order.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.stop().await.map_err(|what| format!("the server: {what}"))
    }

    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::log_tail).unwrap_or_default()
    }
}

/// One that nobody has; two programs begin to look at different ones.
fn free_port() -> Result<u16, String> {
    let first = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
    let mut ports = (PORTS.start + first..PORTS.end).chain(PORTS.start..PORTS.start + first);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).ok_or_else(|| "no port is free".to_owned())
}
