//! A service's process: killed, started again on its database, and stopped in order.

use std::path::PathBuf;
use std::process::Command;

use super::{database, ledger};
use crate::order::Step;
use crate::process::Process;

/// See the module.
pub struct Hired {
    pub step: &'static Step,
    arguments: Vec<String>,
    pub(super) folder: PathBuf,
    process: Option<Process>,
}

impl Hired {
    /// Starts this program with these arguments, the folder among them.
    pub fn start(
        step: &'static Step,
        arguments: Vec<String>,
        folder: PathBuf,
    ) -> Result<Self, String> {
        let mut this = Self { step, arguments, folder, process: None };
        this.revive()?;
        Ok(this)
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.kill().map_err(|what| format!("{}: {what}", self.step.service))
    }

    /// Starts it on its database.
    pub fn revive(&mut self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let log = self.folder.join(format!("{}.log", self.step.short));
        let process = Process::start(Command::new(program).args(&self.arguments), &log);
        self.process = Some(process.map_err(|error| format!("{}: {error}", self.step.service))?);
        Ok(())
    }

    /// SIGTERM, and its end in order.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.stop().await.map_err(|what| format!("{}: {what}", self.step.service))
    }

    /// What its database says, once it has stopped.
    pub async fn ledger(&self) -> Result<ledger::Ledger, String> {
        let read = ledger::read(&database(&self.folder, self.step)).await;
        read.map_err(|error| format!("the ledger of {}: {error}", self.step.service))
    }
}
