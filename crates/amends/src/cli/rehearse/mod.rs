//! `amends rehearse`: a definition against its own participants on a test system, with a fault at
//! each step and in each direction.

pub(super) mod against;
pub(super) mod listening;
pub(super) mod shown;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_core::definition::{Definition, Work};
use amends_definition::{Checked, Pattern, Severity, findings_json, render_within};
use clap::Args;
use serde_json::Value;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::Form;
use super::{Outcome, Session, client, columns, input, interrupt};
use crate::rehearse::{
    Drill, Fault, Participants, Patience, Play, Report, Sample, Suite, Unrehearsed, Wanted,
    rehearse,
};
use against::Against;
use listening::Listening;

/// The shortest patience: less would tell of this machine, not of the service.
const PATIENCE_MIN: Duration = Duration::from_millis(500);

/// The longest: a rehearsal is waited for.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// Rehearse a saga: run it against your services on a test system, with every fault at every step
///
/// Each scenario is one saga with one fault: a command refused before it arrives, an answer lost,
/// a time-out, a duplicate one after another and at the same time, a command that arrives after
/// its undo, or again after it. What the services answer is held against the rules that the engine
/// relies on; each broken one is shown with the exchange, what it does in production, and the fix.
///
/// REAL COMMANDS ARE SENT, repeated, lost and undone: rehearse against a test system only. So the
/// services must be named with --against (or --as-bound), and those beyond this machine once more
/// with --allow-host.
///
/// Every scenario is a saga of its own, with its own idempotency keys. Where a service has keys of
/// its own in the data, an order number say, name the fields with --vary: each saga gets another
/// value. What was done by a saga that completed stays done.
///
/// A service may answer a command in the exchange, or say 202 and post the answer to the
/// Amends-Reply-To of the command: this listens for it, on this machine and a free port. For
/// services that run elsewhere say --listen and --reply-url.
///
/// Ends with 0 when every rule that was tried was kept, with 1 when one is broken, a service stops
/// answering, or a saga does not go as its definition says, and with 2 when nothing can be said: a
/// service that is not there, a file or data that will not do.
#[derive(Args, Debug)]
pub struct Rehearse {
    /// The definition
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    against: Against,
    /// The data of the sagas: JSON, @file, or - for stdin [default: made from the definition's
    /// data schema, by its examples and defaults]
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// A field of the data that every saga has another value of: a text or a whole number, a.b for
    /// the field b of a [default: the field that business_key is]
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    vary: Vec<String>,
    /// Data with which the participant of a step refuses, as fields to put into --data
    #[arg(long, value_name = "STEP=JSON")]
    refused: Vec<String>,
    /// What a signal says that the saga waits for
    #[arg(long, value_name = "NAME=JSON")]
    signal: Vec<String>,
    /// Only these steps, and these faults: refuse_before, crash_after, time_out, duplicate,
    /// at_once, late, again, refused
    #[arg(long, value_name = "STEP|FAULT", value_delimiter = ',')]
    only: Vec<String>,
    /// How long a service may take for an answer, and after a 202 again for its callback, or there
    /// as long as the step's accepted_timeout where that is longer, but a minute at most; from
    /// 500ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = patience)]
    patience: Duration,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    env: AllowedEnv,
}

impl Rehearse {
    pub async fn run(self, session: &Session) -> Outcome {
        let checked = definition_file::read(&self.file, &self.env)?;
        let errors = checked.count(Severity::Error);
        let Some(compiled) = checked.compiled.clone().filter(|_| errors == 0) else {
            super::shown::say(render_within(
                &checked,
                super::shown::colour_err(),
                columns::width(),
            ));
            let what = format!("{} cannot run", self.file.display());
            return Err(Failure::new(Exit::Usage, what));
        };
        if compiled.pattern == Pattern::Choreography {
            let what = "a choreography has no coordinator, and a rehearsal plays one";
            return Err(Failure::new(Exit::Usage, what));
        }
        let definition = &compiled.definition;
        let only = only(&self.only, definition)?;
        let signals = signals(&self.signal, definition)?;
        let services = self.against.services(&compiled)?;
        let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
        let patience = Patience::new(definition, self.patience);
        let data = self.data.as_deref().map(|said| input::json("--data", said)).transpose()?;
        let data = data.map(|text| client::read::<Value>(&text)).transpose()?;
        let refused = named("--refused", &self.refused)?;
        if let Some((step, _)) = refused.iter().find(|(step, _)| definition.find(step).is_none()) {
            return Err(no_step("--refused", step, definition));
        }
        let mark = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let sample = Sample::new(&compiled, data, self.vary, refused, mark);
        let sample = sample.map_err(|e| usage(&e))?;
        let callbacks = self.listening.open().await?;
        let participants = Participants::at(services, patience, callbacks);
        let participants = participants.map_err(|e| usage(&e))?;
        let play = Play { compiled, participants, signals };
        let mut progress = shown::progress();
        let is_part = !self.only.is_empty();
        let wanted = Wanted { is_part, drills: &only, talks: &|_| true };
        let report = rehearse(play, sample, Suite::Rehearsal, wanted, &mut progress);
        let report = uninterrupted(report).await;
        drop(progress);
        match report? {
            Ok(report) => finish(session, &report, Some(&checked)),
            Err(error) => {
                definition_file::warn(&checked);
                Err(unrehearsed(error))
            }
        }
    }
}

/// A rehearsal, unless Ctrl-C ends it: then it says that it leaves something behind.
pub(super) async fn uninterrupted<T>(rehearsal: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        rehearsed = rehearsal => Ok(rehearsed),
        () = interrupt::pressed() => {
            let what = "interrupted, so nothing is said of any rule";
            Err(Failure::new(Exit::Interrupted, what).hint(
                "what the scenarios under way have done at the services is not undone; look after \
                 it there if that matters on this test system",
            ))
        }
    }
}

fn unrehearsed(error: Unrehearsed) -> Failure {
    let next = match &error {
        Unrehearsed::NoCommand { .. } => "correct the name or the path in the definition",
        Unrehearsed::Unreachable { .. } => {
            "start it, or name its address with --against; nothing is said of its rules"
        }
        Unrehearsed::Expression(_) => {
            "give data that has what it reads, with --data; or correct it in the definition \
             (`has(data.x)` asks whether x is there)"
        }
        Unrehearsed::Incomplete(_) | Unrehearsed::Sample(_) => {
            "give data that the services take, with --data, and fields that must differ with --vary"
        }
    };
    Failure::new(Exit::Usage, error).hint(next)
}

/// Shows a report, with what is to be said of the file that was rehearsed, and ends as it says.
pub(super) fn finish(session: &Session, report: &Report, of: Option<&Checked>) -> Outcome {
    let mut json = report.json();
    if let Some(checked) = of {
        json["warnings"] = findings_json(&checked.warnings());
    }
    let json = json.to_string();
    let words = || {
        let colour = super::shown::colour_out();
        Ok(shown::words(report, columns::width_folded(), colour))
    };
    match session.output.output {
        Form::Table => super::output::print(&words()?)?,
        _ => session.output.one(&json, words)?,
    }
    if let Some(checked) = of {
        definition_file::warn(checked);
    }
    if !report.all_kept() {
        return Err(Failure::silent(Exit::Error));
    }
    if !report.commanded_any() {
        let what = "no step was commanded, so nothing is said of any service";
        let next = "give data with which the saga's steps run, by --data";
        return Err(Failure::new(Exit::Usage, what).hint(next));
    }
    Ok(())
}

/// A duration that tells of a service and that a person waits for.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let said = input::duration(text)?;
    if said < PATIENCE_MIN {
        return Err("at least 500ms: less would tell of this machine, not of the service".into());
    }
    if said > PATIENCE_MAX {
        return Err(
            "at most 1m: a rehearsal waits so long at every answer that does not come".into()
        );
    }
    Ok(said)
}

/// Which drills are wanted: of the steps named, if any is, and with the faults named, if any is.
fn only(
    said: &[String],
    definition: &Definition,
) -> Result<impl Fn(&Drill) -> bool + use<>, Failure> {
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    for word in said.iter().map(|word| word.trim()) {
        if let Some(fault) = Fault::ALL.into_iter().find(|fault| fault.name() == word) {
            faults.push(fault);
        } else if definition.find(word).is_some() {
            steps.push(word.to_owned());
        } else {
            let names = Fault::ALL.map(Fault::name).join(", ");
            return Err(no_step("--only", word, definition).hint(format!("faults are {names}")));
        }
    }
    Ok(move |drill: &Drill| {
        (steps.is_empty() || steps.contains(&drill.name))
            && (faults.is_empty() || faults.contains(&drill.fault))
    })
}

fn no_step(option: &str, step: &str, definition: &Definition) -> Failure {
    let steps: Vec<&str> = definition.steps().iter().map(|step| &*step.name).collect();
    let what = format!("{option}: there is no step {step:?}; there are {}", steps.join(", "));
    Failure::new(Exit::Usage, what)
}

/// What every signal says that a step waits for.
fn signals(said: &[String], definition: &Definition) -> Result<Vec<(String, Value)>, Failure> {
    let signals = named("--signal", said)?;
    let waited = definition.steps().iter().filter_map(|step| match &step.work {
        Work::Signal { signal, .. } => Some(signal),
        Work::Command { .. } => None,
    });
    for wanted in waited {
        if !signals.iter().any(|(name, _)| **name == **wanted) {
            let what = format!("the saga waits for the signal {wanted}, and it is not said");
            return Err(Failure::new(Exit::Usage, what)
                .hint(format!("--signal {wanted}='{{\"approved\": true}}', say")));
        }
    }
    Ok(signals)
}

/// `NAME=JSON`, each.
fn named(option: &str, said: &[String]) -> Result<Vec<(String, Value)>, Failure> {
    said.iter()
        .map(|said| {
            let (name, text) = said.split_once('=').ok_or_else(|| {
                Failure::new(Exit::Usage, format!("{option} takes NAME=JSON, not {said:?}"))
            })?;
            let value = client::read(&input::json(option, text)?)?;
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}
