//! The participants, each in a process of its own with a ledger that is on disk before it answers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_example_services::{CRASH_EXIT_CODE, Evidence, Service};

use super::process::Process;

/// The first argument by which this program is a participant.
pub const ARGUMENT: &str = "participant";

/// How often is looked whether one died to order.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a participant does that this program runs as.
pub fn run(arguments: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    std::thread::spawn(|| {
        // It ends with the one that started it. An error ends it as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(1);
    });
    match amends_example_services::run(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// One of them.
#[derive(Clone)]
pub struct Participant {
    pub service: Service,
    pub port: u16,
    folder: PathBuf,
    process: Arc<Mutex<Option<Process>>>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Participant {
    /// Starts it with its ledger in the folder, and again whenever a fault makes it die.
    pub fn start(service: Service, port: u16, folder: &Path) -> Self {
        let (process, trouble) = Default::default();
        let this = Self { service, port, folder: folder.to_owned(), process, trouble };
        this.revive();
        tokio::spawn(this.clone().keep());
        this
    }

    async fn keep(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut process = self.process.lock().unwrap();
            let ended = process.as_mut().and_then(Process::ended);
            let Some(status) = ended else { continue };
            let tail = process.take().map(|process| process.log_tail()).unwrap_or_default();
            drop(process);
            if status.code() != Some(CRASH_EXIT_CODE) {
                let what = format!("{} ended by itself, {status}:\n{tail}", self.service);
                *self.trouble.lock().unwrap() = Some(what);
                return;
            }
            self.revive();
        }
    }

    /// `kill -9`; it is away until it is revived.
    pub fn kill(&self) -> Result<(), String> {
        match self.process.lock().unwrap().take() {
            Some(mut process) => match process.ended() {
                // A fault came first; it is away all the same.
                Some(status) if status.code() == Some(CRASH_EXIT_CODE) => Ok(()),
                _ => process.kill().map_err(|what| format!("{}: {what}", self.service)),
            },
            None => Ok(()),
        }
    }

    /// Starts it on its ledger.
    pub fn revive(&self) {
        let mut command = Command::new(std::env::current_exe().expect("this program is somewhere"));
        command
            .arg(ARGUMENT)
            .args(["--service", self.service.name()])
            .args(["--port", &self.port.to_string()])
            .arg("--db")
            .arg(self.ledger())
            .args(["--durability", "full", "--exit-on-crash"]);
        let log = self.folder.join(format!("{}.log", self.service));
        let process = Process::start(&mut command, &log).expect("this program starts");
        *self.process.lock().unwrap() = Some(process);
    }

    pub fn freeze(&self) {
        self.process.lock().unwrap().iter().for_each(Process::freeze);
    }

    pub fn thaw(&self) {
        self.process.lock().unwrap().iter().for_each(Process::thaw);
    }

    /// What its ledger proves.
    pub fn evidence(&self) -> Result<Evidence, String> {
        if let Some(trouble) = self.trouble.lock().unwrap().take() {
            return Err(trouble);
        }
        Evidence::read(self.service.name(), &self.ledger()).map_err(|error| format!("{error:#}"))
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join(format!("{}.db", self.service))
    }
}
