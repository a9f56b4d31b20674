//! `amends doctor`: is this installation fit to run?

mod machine;
mod services;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use amends_definition::Severity;
use clap::Args;
use serde_json::value::RawValue;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::{Form, print};
use super::{Outcome, Session, columns, shown};
use crate::brokers::BrokerOptions;

/// Where a line has its words: after the mark and the name.
const WORDS_COLUMN: usize = 14;

/// Check this installation: the data folder, the disk, the port, the clock, services and brokers
///
/// At a broker it says of each service what is there, what is missing, and which settings promise
/// less than a saga needs. Changes nothing, unless --create is said, but for a small file that is
/// written to measure the disk, and removed. Ends with 1 when something keeps a server from
/// running here.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "amends-data", env = "AMENDS_DATA")]
    data: PathBuf,
    /// Where a server would listen
    #[arg(long, value_name = "ADDR", default_value = super::serve::listen_default(), env = "AMENDS_LISTEN")]
    listen: SocketAddr,
    /// Definition files, or folders of them, whose services are called
    #[arg(long, value_name = "PATH", value_delimiter = ',', env = "AMENDS_DEFINITIONS")]
    definitions: Vec<PathBuf>,
    #[command(flatten)]
    brokers: BrokerOptions,
    /// Make what a server would make at the brokers when it starts, and say what that was
    #[arg(long, conflicts_with = "brokers_as_they_are")]
    create: bool,
    #[command(flatten)]
    env: AllowedEnv,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

use Verdict::{Bad, Doubtful, Good};

struct Report {
    form: Form,
    worst_is_bad: bool,
    /// For programs, at the end.
    rows: Vec<Box<RawValue>>,
}

impl Report {
    /// A line for people at once: a service that is not there takes its time.
    fn say(&mut self, verdict: Verdict, name: &str, text: &str) -> Outcome {
        self.worst_is_bad |= verdict == Bad;
        let (mark, style, word) = match verdict {
            Good => ("✓", "32", "good"),
            Doubtful => ("!", "33", "doubtful"),
            Bad => ("✗", "31", "bad"),
        };
        if self.form == Form::Table {
            let mark = shown::paint(mark, style, shown::colour_out());
            let words = columns::below(text, WORDS_COLUMN, columns::width());
            return print(&format!("{mark} {name:11} {}", words.trim_start()));
        }
        let row = serde_json::json!({"check": name, "verdict": word, "detail": text}).to_string();
        self.rows.push(super::client::read(&row)?);
        Ok(())
    }
}

impl Doctor {
    pub async fn run(self, session: &Session) -> Outcome {
        let form = session.output.output;
        let mut report = Report { form, worst_is_bad: false, rows: Vec::new() };
        let (verdict, text) = machine::sqlite();
        report.say(verdict, "sqlite", &text)?;
        let (verdict, text) = machine::folder(&self.data);
        report.say(verdict, "data folder", &text)?;
        let (verdict, text) = machine::disk(&self.data);
        report.say(verdict, "disk", &text)?;
        let (verdict, text) = machine::room(&self.data);
        report.say(verdict, "room", &text)?;
        let (verdict, text) = machine::port(self.listen);
        report.say(verdict, "port", &text)?;
        let (verdict, text) = machine::clock();
        report.say(verdict, "clock", &text)?;
        for path in definition_file::found(&self.definitions)? {
            self.definition(&path, &mut report).await?;
        }
        if form != Form::Table {
            session.output.many(&report.rows, || Ok(String::new()))?;
        }
        if report.worst_is_bad { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
    }

    async fn definition(&self, path: &Path, report: &mut Report) -> Outcome {
        let checked = definition_file::read(path, &self.env)?;
        let shown = path.display();
        // A server passes it over as well.
        if definition_file::is_not_run(&checked) {
            let words = format!("{shown}: a free choreography, which is not served");
            return report.say(Good, "definition", &words);
        }
        let errors = checked.count(Severity::Error);
        let Some(compiled) = checked.compiled else {
            report.say(
                Bad,
                "definition",
                &format!("{shown}: {errors} errors; amends check {shown} shows them"),
            )?;
            return Ok(());
        };
        report.say(Good, "definition", &format!("{shown}: {}", compiled.definition.saga_type()))?;
        self.reached(&compiled, report).await
    }
}
