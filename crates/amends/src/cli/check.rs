//! `amends check`: what is wrong with a definition, before it runs.

use std::path::{Path, PathBuf};

use amends_definition::{
    Checked, Document, Reactions, Rule, Severity, findings_json, render_within,
};
use clap::Args;
use serde_json::value::RawValue;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::{Form, print};
use super::{Outcome, Session, client, columns, shown};

/// Check definition files: every finding with its place, the reason and the fix
///
/// The reactions of a free choreography are taken through every order in which they may come, up to a
/// limit; see docs/choreography.md.
///
/// Ends with 1 when a file has an error, with 2 when one cannot be read; warnings and notes are no
/// errors. With -o json the findings are a list for editors and scripts. While you type, an editor
/// finds most of them by the schema that amends schema prints.
#[derive(Args, Debug)]
pub struct Check {
    /// The files, or folders of them (*.yaml, *.yml, *.json; not *.data.json and *.schema.json)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    env: AllowedEnv,
}

impl Check {
    pub fn run(self, session: &Session) -> Outcome {
        let table = session.output.output == Form::Table;
        let (mut all, mut errors, mut unread) = (Vec::new(), 0, None);
        for path in definition_file::found(&self.files)? {
            let (words, findings) = match definition_file::read_either(&path, &self.env) {
                Ok(Document::Saga(checked)) => (words(&checked, &path), checked.findings),
                Ok(Document::Free(checked)) => {
                    (shown(&checked) + &free_words(&checked, &path), checked.findings)
                }
                // The others are checked all the same; the last of these ends the command.
                Err(failure) => {
                    if let Some(before) = unread.replace(failure) {
                        Failure::report(before);
                    }
                    continue;
                }
            };
            errors += findings.iter().filter(|found| found.severity == Severity::Error).count();
            if table {
                print(&words)?;
            } else {
                all.extend(findings);
            }
        }
        if !table {
            let findings: Vec<Box<RawValue>> = client::read(&findings_json(&all).to_string())?;
            session.output.many(&findings, || Ok(String::new()))?;
        }
        match unread {
            Some(failure) => Err(failure),
            None if errors > 0 => Err(Failure::silent(Exit::Error)),
            None => Ok(()),
        }
    }
}

fn shown<T>(checked: &Checked<T>) -> String {
    render_within(checked, shown::colour_out(), columns::width())
}

/// What holds of a free choreography.
fn free_words(checked: &Checked<Reactions>, path: &Path) -> String {
    let Some(reactions) = &checked.compiled else { return String::new() };
    if checked.count(Severity::Error) > 0 {
        return String::new();
    }
    let cut = checked.findings.iter().any(|found| found.id == Rule::NotAllExplored);
    let held =
        if cut { "nothing wrong as far as it was looked at" } else { "holds in every order" };
    format!("{}: {}, {held}\n", path.display(), crate::verify::free::size(reactions))
}

fn words(checked: &Checked, path: &Path) -> String {
    let mut words = shown(checked);
    if let Some(compiled) = &checked.compiled {
        let (definition, steps) = (&compiled.definition, compiled.definition.steps().len());
        let plural = if steps == 1 { "" } else { "s" };
        let (path, name) = (path.display(), definition.saga_type());
        words += &format!("{path}: {name}, {steps} step{plural}, can run\n");
    }
    words
}
