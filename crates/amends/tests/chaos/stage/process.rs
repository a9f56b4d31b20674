//! A process under test: killed, stopped as one stops a program, frozen and thawed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How much of a log is told when something goes wrong.
const LOG_TAIL_LINES: usize = 30;

/// A stop waits some seconds for participants; one that takes longer hangs.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running process whose output goes to a file of its own.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. It ends with its stdin, which this process holds, so that none outlives it.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// `kill -9`, and its end. That it had ended by itself is an error.
    pub fn kill(mut self) -> Result<(), String> {
        self.still_runs()?;
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a killed child ends");
        Ok(())
    }

    /// SIGTERM, and its end in order.
    pub async fn stop(mut self) -> Result<(), String> {
        self.still_runs()?;
        self.signal(Signal::TERM);
        let since = Instant::now();
        // Waiting for a child closes its stdin first, with which it would end at once.
        let status = loop {
            match self.ended() {
                Some(status) => break status,
                None if since.elapsed() > STOPS_WITHIN => {
                    return Err(format!("told to stop, it goes on:\n{}", self.log_tail()));
                }
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        if status.success() {
            return Ok(());
        }
        Err(format!("told to stop, it ended with {status}:\n{}", self.log_tail()))
    }

    /// SIGSTOP: not one instruction more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // One that has just ended is found so by whoever looks next.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn still_runs(&mut self) -> Result<(), String> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(format!("it ended by itself, {status}:\n{}", self.log_tail())),
        }
    }

    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
