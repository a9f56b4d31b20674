//! `amends bench`: what this machine does with this engine, and how that was measured.

use clap::Args;

use super::exit::{Exit, Failure};
use super::{Outcome, Session};
use crate::bench::{self, Arguments};

/// Measure this machine: sagas a second, latency, CPU, bytes and syncs a saga, memory
///
/// Runs an engine of its own in a new folder that is deleted at the end; every fact is synced to
/// disk. Say --data to choose the disk.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    arguments: Arguments,
}

impl Bench {
    pub fn run(self, session: &Session) -> Outcome {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Error, error);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        match runtime.block_on(bench::run(&self.arguments)) {
            Ok(Some(report)) => session.output.one(&report.to_json(), || Ok(format!("{report}\n"))),
            Ok(None) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}
