//! `amends graph`: a definition as a picture.

use std::path::PathBuf;

use amends_definition::{Severity, ascii, mermaid, render_within, svg};
use clap::{Args, ValueEnum};

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::print;
use super::{Outcome, columns, shown};

/// Draw a definition: what waits for what, how each step is undone, and in which order
#[derive(Args, Debug)]
pub struct Graph {
    /// The definition file
    file: PathBuf,
    /// For terminals, for Markdown, or for browsers
    #[arg(short, long, value_enum, default_value_t = Format::Ascii)]
    format: Format,
    #[command(flatten)]
    env: AllowedEnv,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Ascii,
    Mermaid,
    Svg,
}

impl Graph {
    pub fn run(self) -> Outcome {
        let mut checked = definition_file::read(&self.file, &self.env)?;
        let Some(compiled) = checked.compiled.take() else {
            checked.findings.retain(|finding| finding.severity == Severity::Error);
            let width = columns::width_of(&std::io::stderr());
            shown::say(render_within(&checked, shown::colour_err(), width).trim_end());
            let what = format_args!("{} has errors and cannot be drawn", self.file.display());
            return Err(Failure::new(Exit::Error, what));
        };
        let picture = match self.format {
            Format::Ascii => ascii(&compiled),
            Format::Mermaid => mermaid(&compiled),
            Format::Svg => svg(&compiled),
        };
        print(&format!("{}\n", picture.trim_end()))
    }
}
