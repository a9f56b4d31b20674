//! `amends plan`: a choreography for services that are not written in Rust.

use std::path::PathBuf;

use amends_choreography::Choreographed;
use amends_definition::{Severity, render_within};
use clap::Args;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::print;
use super::{Outcome, columns, shown};

/// Print the plan of a choreography, for services whose kit reads no definition files
///
/// It is JSON, and says all that a service has to know: the steps, what each waits for, its times
/// and pauses, and its expressions. All services of a choreography go by plans of one file.
#[derive(Args, Debug)]
pub struct Plan {
    /// The definition file
    file: PathBuf,
    #[command(flatten)]
    env: AllowedEnv,
}

impl Plan {
    pub fn run(self) -> Outcome {
        let mut checked = definition_file::read(&self.file, &self.env)?;
        let Some(compiled) = checked.compiled.take() else {
            checked.findings.retain(|finding| finding.severity == Severity::Error);
            let width = columns::width_of(&std::io::stderr());
            shown::say(render_within(&checked, shown::colour_err(), width).trim_end());
            let what = format_args!("{} has errors and has no plan", self.file.display());
            return Err(Failure::new(Exit::Error, what));
        };
        match Choreographed::new(compiled) {
            Ok(of) => print(&format!("{}\n", of.plan())),
            Err(unfit) => Err(Failure::new(Exit::Error, unfit)),
        }
    }
}
