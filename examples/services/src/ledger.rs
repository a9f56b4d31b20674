//! A service's ledger: one thread that owns the database and commits commands in batches.
//!
//! An answer leaves after the commit that holds it. Commands that arrive while one commit is on
//! its way to the disk share the next.

use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use rusqlite::Connection;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::evidence::Word;
use crate::fault::{Course, Fault};
use crate::guard::{self, Told};
use crate::service::Service;
use crate::services::Settings;

/// How far an answer's commit has got when the answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk: survives a power cut.
    Full,
    /// In the operating system, on the disk at the next checkpoint: survives a killed process.
    Normal,
    /// As `Normal`, and no sync at all; for benchmarks that measure something else.
    Off,
}

impl Durability {
    const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }
}

/// Commands in one commit: enough that a sync is shared by all that wait, few enough that the
/// first of them does not wait for work of more than some milliseconds.
const BATCH_COMMANDS_MAX: usize = 256;

/// Commands that wait for the ledger; the connections wait with them.
const QUEUE_COMMANDS_MAX: usize = 1024;

/// What is to become of a call, decided and written down.
#[derive(Debug)]
pub(crate) enum Reaction {
    Answer(Told),
    AnswerTwice(Told),
    /// It is to come again, without its fault, when its lateness is over.
    Later(Option<std::time::Duration>),
    /// It is to come again, without its fault; the answer goes to the callback.
    Accepted,
    /// Nothing was done, and nothing is said.
    Silence,
    /// All was done, and nothing is said.
    Lost,
    /// All was done, and the service dies.
    Die,
}

struct Job {
    command: Command,
    fault: Option<Fault>,
    reaction: oneshot::Sender<Reaction>,
}

/// The way to a service's database.
pub(crate) struct Ledger {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    pub(crate) fn open(service: Service, path: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let open = || -> rusqlite::Result<Connection> {
            let db = Connection::open(path)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", settings.durability.pragma())?;
            db.execute_batch(guard::TABLES)?;
            Ok(db)
        };
        let db = open().with_context(|| {
            format!("the ledger of {service} cannot be opened at {}", path.display())
        })?;
        let (jobs, queue) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let clerk = Clerk { db, service, log_all: settings.call_log };
        let thread =
            thread::Builder::new().name(format!("{service}-ledger")).spawn(|| clerk.work(queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// What becomes of a command; an error when nothing of it was kept.
    pub(crate) async fn carry_out(
        &self,
        command: Command,
        fault: Option<Fault>,
    ) -> anyhow::Result<Reaction> {
        let gone = || anyhow!("the ledger could not be written; nothing was changed");
        let (reaction, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(Job { command, fault, reaction }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("a ledger's thread ended in a panic");
        }
    }
}

struct Clerk {
    db: Connection,
    service: Service,
    log_all: bool,
}

impl Clerk {
    fn work(self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS_MAX);
        while queue.blocking_recv_many(&mut batch, BATCH_COMMANDS_MAX) > 0 {
            match self.commit(&batch) {
                Ok(reactions) => {
                    for (job, reaction) in batch.drain(..).zip(reactions) {
                        // Who hung up meanwhile will ask again, and be told the same.
                        let _ = job.reaction.send(reaction);
                    }
                }
                Err(e) => {
                    eprintln!("{}: the ledger cannot be written: {e}", self.service);
                    batch.clear();
                }
            }
        }
    }

    fn commit(&self, batch: &[Job]) -> rusqlite::Result<Vec<Reaction>> {
        let transaction = self.db.unchecked_transaction()?;
        let reactions = batch.iter().map(|job| self.react(job)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(reactions)
    }

    fn react(&self, job: &Job) -> rusqlite::Result<Reaction> {
        let Job { command, fault, .. } = job;
        let course = match fault {
            Some(fault) => fault.course(guard::earlier_calls(&self.db, command)?),
            None => Course::Plain,
        };
        let (status, word, reaction) = match course {
            Course::NeverAnswer => (0, Word::Unanswered, Reaction::Silence),
            Course::AnswerLate(after) => (0, Word::Held, Reaction::Later(after)),
            Course::AnswerByCallback => (202, Word::Accepted, Reaction::Accepted),
            Course::NotNow => (503, Word::Transient, Reaction::Answer(not_now())),
            _ => {
                let refuse = course == Course::Refuse;
                let told = guard::carry_out(&self.db, self.service, command, refuse)?;
                match course {
                    Course::LoseReply => (0, Word::Lost, Reaction::Lost),
                    Course::Die => (0, Word::Lost, Reaction::Die),
                    Course::AnswerTwice => (told.status, told.word, Reaction::AnswerTwice(told)),
                    _ => (told.status, told.word, Reaction::Answer(told)),
                }
            }
        };
        // A fault counts the calls before, so they are noted whatever the settings say.
        if self.log_all || fault.is_some() {
            guard::note(&self.db, command, status, word)?;
        }
        Ok(reaction)
    }
}

fn not_now() -> Told {
    let error = json!({"code": "BUSY", "message": "the data's faults ask for a transient failure"});
    let body = json!({"error": error, "retryable": true}).to_string();
    Told { status: 503, body, word: Word::Transient }
}
