//! `amends check`: what is wrong with a definition, before it runs.

use std::path::PathBuf;

use amends_definition::{Severity, findings_json, render};
use clap::{Args, ValueEnum};

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::{Outcome, shown};

/// Check definition files: every finding with its place, the reason and the fix
///
/// Ends with 1 when a file has an error; warnings and notes are no errors.
#[derive(Args, Debug)]
pub struct Check {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to say it: text for people, json for editors and scripts
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    env: AllowedEnv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Check {
    pub fn run(self) -> Outcome {
        let (mut all, mut errors) = (Vec::new(), 0);
        for path in &self.files {
            let checked = definition_file::read(path, &self.env)?;
            errors += checked.count(Severity::Error);
            if self.output == Format::Json {
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
        if self.output == Format::Json {
            println!("{:#}", findings_json(&all));
        }
        if errors > 0 { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
    }
}
