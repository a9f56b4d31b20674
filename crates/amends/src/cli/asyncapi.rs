//! `amends asyncapi`: what goes over brokers, for whoever writes the other end.

use std::path::PathBuf;

use amends_definition::{Severity, asyncapi, render_within};
use clap::Args;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::print;
use super::{Outcome, columns, shown};

/// Print the AsyncAPI 3 document of a definition: its queues, and every message on them
///
/// It describes amends: what amends sends is `send`, what it takes is `receive`. What goes over
/// HTTP is not in it.
#[derive(Args, Debug)]
pub struct AsyncApi {
    /// The definition file
    file: PathBuf,
    #[command(flatten)]
    env: AllowedEnv,
}

impl AsyncApi {
    pub fn run(self) -> Outcome {
        let mut checked = definition_file::read(&self.file, &self.env)?;
        let Some(compiled) = checked.compiled.take() else {
            checked.findings.retain(|finding| finding.severity == Severity::Error);
            let width = columns::width_of(&std::io::stderr());
            shown::say(render_within(&checked, shown::colour_err(), width).trim_end());
            let what = format_args!("{} has errors and cannot be described", self.file.display());
            return Err(Failure::new(Exit::Error, what));
        };
        let Some(document) = asyncapi(&compiled) else {
            let what = format_args!(
                "nothing of {} goes over a broker: give a service `kafka`, `rabbitmq`, `nats` or \
                 `sqs`, or the saga type `messaging`",
                self.file.display()
            );
            return Err(Failure::new(Exit::Error, what));
        };
        print(&format!("{document:#}\n"))
    }
}
