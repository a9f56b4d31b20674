//! `amends check`: what is wrong with a definition, before it runs.

use std::path::PathBuf;

use amends_definition::{Severity, findings_json, render};
use clap::Args;
use serde_json::value::RawValue;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::Form;
use super::{Outcome, Session, client, shown};

/// Check definition files: every finding with its place, the reason and the fix
///
/// Ends with 1 when a file has an error; warnings and notes are no errors. With -o json the
/// findings are a list for editors and scripts.
#[derive(Args, Debug)]
pub struct Check {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    env: AllowedEnv,
}

impl Check {
    pub fn run(self, session: &Session) -> Outcome {
        let (mut all, mut errors) = (Vec::new(), 0);
        for path in &self.files {
            let checked = definition_file::read(path, &self.env)?;
            errors += checked.count(Severity::Error);
            if session.output.output != Form::Table {
                all.extend(checked.findings);
                continue;
            }
            print!("{}", render(&checked, shown::colour_out()));
            if let Some(compiled) = &checked.compiled {
                let (definition, steps) = (&compiled.definition, compiled.definition.steps().len());
                let plural = if steps == 1 { "" } else { "s" };
                let name = definition.saga_type();
                println!("{}: {name}, {steps} step{plural}, can run", path.display());
            }
        }
        if session.output.output != Form::Table {
            let findings: Vec<Box<RawValue>> = client::read(&findings_json(&all).to_string())?;
            session.output.many(&findings, || Ok(String::new()))?;
        }
        if errors > 0 { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
    }
}
