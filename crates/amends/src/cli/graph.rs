//! `amends graph`: a definition as a picture.

use std::path::PathBuf;

use amends_definition::{Checked, Document, Severity, ascii, mermaid, render_within, svg};
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
        let picture = match definition_file::read_either(&self.file, &self.env)? {
            Document::Saga(mut checked) => {
                let saga = checked.compiled.take().ok_or_else(|| self.wrong(checked))?;
                match self.format {
                    Format::Ascii => ascii(&saga),
                    Format::Mermaid => mermaid(&saga),
                    Format::Svg => svg(&saga),
                }
            }
            // What is missing is seen best in the picture: only what cannot be read is not drawn.
            Document::Free(mut checked) => {
                let reactions = checked.compiled.take().ok_or_else(|| self.wrong(checked))?;
                match self.format {
                    Format::Ascii => reactions.ascii(),
                    Format::Mermaid => reactions.mermaid(),
                    Format::Svg => reactions.svg(),
                }
            }
        };
        print(&format!("{}\n", picture.trim_end()))
    }

    fn wrong<T>(&self, mut checked: Checked<T>) -> Failure {
        checked.findings.retain(|finding| finding.severity == Severity::Error);
        let width = columns::width_of(&std::io::stderr());
        shown::say(render_within(&checked, shown::colour_err(), width).trim_end());
        let what = format_args!("{} has errors and cannot be drawn", self.file.display());
        Failure::new(Exit::Error, what)
    }
}
