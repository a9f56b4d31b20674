//! `amends conformance`: one service, held against all that the protocol asks of a participant.

mod subject;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_definition::{Checked, Compiled};
use clap::Args;
use serde_json::Value;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::rehearse::against::may_be_sent_to;
use super::rehearse::listening::Listening;
use super::rehearse::{finish, patience, shown, uninterrupted};
use super::serve::binder::http_service;
use super::{Outcome, Session, client, input};
use crate::rehearse::{
    Cell, Drill, Fault, Participants, Patience, Play, Report, Sample, Suite, Talk, Unrehearsed,
    Wanted, drills, rehearse,
};
use subject::FenceWord;

/// Hold one service against the protocol: every rule that a participant keeps, in any language
///
/// The service is sent its own commands: once, twice, eight at a time, after their undo, without
/// an answer; and what no engine sends: the key of another step, other bytes under a key, a field
/// missing, data of a wrong type, another service's command, a wrong signature. What it answers is
/// held against the rules; each broken one is shown with the exchange, what it does in production,
/// and the fix. It needs no kit, and no definition.
///
/// REAL COMMANDS ARE SENT, repeated, lost and undone: to a test system only. A host beyond this
/// machine is named once more with --allow-host. A scenario whose saga completes leaves what it has
/// done; the others undo it, where there is an undo.
///
/// Ends with 0 when every rule that was tried was kept, with 1 when one is broken or the service
/// stops answering, and with 2 when nothing can be said: it is not there, has no such command, or
/// refuses the data.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Conformance {
    /// The address of the service on the test system
    #[arg(value_name = "URL")]
    url: String,
    /// The command to try, as definitions write it: PaymentService.ProcessPayment
    #[arg(long, value_name = "SERVICE.COMMAND")]
    command: Option<String>,
    /// The command that undoes it; without it no rule of undos is tried
    #[arg(long, value_name = "SERVICE.COMMAND", conflicts_with = "definition")]
    undo: Option<String>,
    /// Take the service's commands, undos, fence, paths and secret from this definition
    #[arg(long, value_name = "FILE", requires = "service")]
    definition: Option<PathBuf>,
    /// Which service of the definition
    #[arg(long, value_name = "NAME", requires = "definition")]
    service: Option<String>,
    /// What the command carries: JSON, @file, or - for stdin [default: made from the definition's
    /// data schema, by its examples and defaults]
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// A field of the data that every saga has another value of: a text or a whole number, a.b for
    /// the field b of a
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    vary: Vec<String>,
    /// Data with which the service refuses, as fields to put into --data; where there are several
    /// commands as COMMAND=JSON
    #[arg(long, value_name = "JSON")]
    refused: Vec<String>,
    /// What the service promises of a command whose answer was lost; unsaid it is not held to
    /// tombstones
    #[arg(long, value_enum, value_name = "FENCE", conflicts_with = "definition")]
    fence: Option<FenceWord>,
    /// The environment variable with the secret that commands are signed with, as env.NAME
    #[arg(long, value_name = "env.NAME", conflicts_with = "definition")]
    secret: Option<String>,
    /// Only these scenarios: refuse_before, crash_after, time_out, duplicate, at_once, late, again,
    /// refused, or one of those that need no engine, by the name of its rule in -o json, or many
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    only: Vec<String>,
    /// How long the service may take for an answer, and after a 202 again for its callback; from
    /// 500ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = patience)]
    patience: Duration,
    /// A host beyond this machine that is a test system, and may be sent commands
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    env: AllowedEnv,
}

const AFTER_HELP: &str = "For example:
  amends conformance http://127.0.0.1:7102 \\
    --command PaymentService.ProcessPayment --undo PaymentService.RefundPayment \\
    --data '{\"order_id\": \"o-1\", \"total\": 4200, \"payment_method\": \"card\"}' --vary order_id \\
    --refused '{\"payment_method\": \"card_declined\"}' --fence barrier

More is on the page docs/conformance.md.";

impl Conformance {
    pub async fn run(self, session: &Session) -> Outcome {
        let Subject { service, compiled, checked } = self.subject()?;
        may_be_sent_to(&service, &self.url, &self.allow_host, "http://127.0.0.1:PORT, say".into())?;
        let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
        let only = self.only()?;
        let data = self.data.as_deref().map(|said| input::json("--data", said)).transpose()?;
        let data = data.map(|text| client::read::<Value>(&text)).transpose()?;
        let refused = subject::refused(&self.refused, &compiled.definition)?;
        let mark = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let sample = Sample::new(&compiled, data, self.vary.clone(), refused, mark);
        let sample = sample.map_err(|error| {
            usage(&error).hint("--data '{\"order_id\": \"o-1\", \"total\": 4200}', say, or @file")
        })?;
        let binding = compiled.bindings.get(&service).ok_or_else(|| {
            usage(&format!("the definition does not describe the service {service}"))
        })?;
        let http = http_service(&service, binding, self.url.clone()).map_err(|why| usage(&why))?;
        let patience = Patience::new(&compiled.definition, self.patience);
        let callbacks = self.listening.open().await?;
        let services = [(service.clone(), http)].into();
        let participants = Participants::at(services, patience, callbacks);
        let participants = participants.map_err(|error| usage(&error))?;
        let play = Play { compiled, participants, signals: Vec::new() };
        let mut progress = shown::progress();
        only.can_be_played(&play, &sample)?;
        let wanted = Wanted {
            is_part: !only.is_empty(),
            drills: &|drill| only.drill(drill),
            talks: &|talk| only.talk(talk),
        };
        let report = rehearse(play, sample, Suite::Conformance, wanted, &mut progress);
        let report = uninterrupted(report).await;
        drop(progress);
        let named = self.definition.is_none();
        let report = report?.map_err(|error| {
            checked.iter().for_each(definition_file::warn);
            unsaid(&service, named, error)
        })?;
        finish(session, &report, checked.as_ref())?;
        only.tried(&report, &service)
    }

    /// The service, and a saga of its commands alone.
    fn subject(&self) -> Result<Subject, Failure> {
        match (&self.definition, &self.service, &self.command) {
            (Some(file), Some(service), command) => {
                let data_said = self.data.is_some();
                let command = command.as_deref();
                let (compiled, checked) =
                    subject::of_file(file, &self.env, service, command, data_said)?;
                Ok(Subject { service: service.clone(), compiled, checked: Some(checked) })
            }
            (_, _, Some(command)) => {
                let (undo, secret) = (self.undo.as_deref(), self.secret.as_deref());
                let (service, compiled) = subject::of_commands(command, undo, self.fence, secret)?;
                Ok(Subject { service, compiled, checked: None })
            }
            _ => Err(Failure::new(Exit::Usage, "which command is tried is not said").hint(
                "--command PaymentService.ProcessPayment --undo PaymentService.RefundPayment, or \
                 --definition order.yaml --service PaymentService",
            )),
        }
    }

    fn only(&self) -> Result<Only, Failure> {
        let mut only = Only { faults: Vec::new(), talks: Vec::new() };
        for word in self.only.iter().map(|word| word.trim()) {
            let fault = Fault::ALL.into_iter().find(|fault| fault.name() == word);
            let talks = Talk::ALL.into_iter().filter(|talk| talk.name() == word);
            let before = only.faults.len() + only.talks.len();
            only.faults.extend(fault);
            only.talks.extend(talks);
            if only.faults.len() + only.talks.len() == before {
                let faults = Fault::ALL.iter().skip(1).map(|fault| fault.name());
                let mut names: Vec<_> = faults.chain(Talk::ALL.map(Talk::name)).collect();
                names.dedup();
                let what = format!("--only: there is no scenario {word:?}");
                let hint = format!("there are {}", names.join(", "));
                return Err(Failure::new(Exit::Usage, what).hint(hint));
            }
        }
        Ok(only)
    }
}

/// What is tried.
struct Subject {
    service: String,
    /// A saga of its commands alone.
    compiled: Compiled,
    /// What was found in the file that describes it, where there is one.
    checked: Option<Checked>,
}

/// The scenarios that are wanted: all, where none is said.
struct Only {
    faults: Vec<Fault>,
    talks: Vec<Talk>,
}

impl Only {
    fn drill(&self, drill: &Drill) -> bool {
        self.is_empty() || self.faults.contains(&drill.fault)
    }

    fn talk(&self, talk: Talk) -> bool {
        self.is_empty() || self.talks.contains(&talk)
    }

    fn is_empty(&self) -> bool {
        self.faults.is_empty() && self.talks.is_empty()
    }

    /// Is there a scenario to play for each fault that was asked for by name?
    fn can_be_played(&self, play: &Play, sample: &Sample) -> Outcome {
        let definition = &play.compiled.definition;
        let all = drills(definition, &|step| play.fence(step), &|step| sample.has_refused(step));
        let missing = self.faults.iter().find(|fault| all.iter().all(|d| d.fault != **fault));
        let Some(fault) = missing else { return Ok(()) };
        let what = format!("--only {}: it could not be tried", fault.name());
        Err(Failure::new(Exit::Usage, what).hint(match fault {
            Fault::Refused => "give data that the service refuses with --refused",
            Fault::Late => "it takes an undo, and a fence that is not none",
            _ => "it takes an undo: give it with --undo",
        }))
    }

    /// Was all tried that was asked for by name? Who asks for one rule and hears no complaint takes
    /// it for kept.
    fn tried(&self, report: &Report, service: &str) -> Outcome {
        for talk in &self.talks {
            if let Cell::NotTried(why) = report.cell(talk.rule(), service) {
                let what = format!("--only {}: it could not be tried: {why}", talk.name());
                return Err(Failure::new(Exit::Usage, what));
            }
        }
        Ok(())
    }
}

/// Why nothing can be said of the service, whose commands were `named` one by one, or by a definition.
fn unsaid(service: &str, named: bool, error: Unrehearsed) -> Failure {
    match error {
        Unrehearsed::NoCommand { is_undo, .. } => {
            let hint = match (named, is_undo) {
                (true, false) => {
                    "correct --command, or the address; where its path is not its name, give a \
                     --definition that says the path; nothing is said of its rules"
                }
                (true, true) => {
                    "correct --undo; where its path is not its name, give a --definition that says \
                     the path; nothing is said of its rules, and what was done here is not undone"
                }
                (false, false) => {
                    "correct the name or the path in the definition, or the address; nothing is \
                     said of its rules"
                }
                (false, true) => {
                    "correct the name or the path in the definition; nothing is said of its rules, \
                     and what was done here is not undone"
                }
            };
            Failure::new(Exit::Usage, error).hint(hint)
        }
        Unrehearsed::Unreachable { .. } => Failure::new(Exit::Usage, error)
            .hint("start it, or correct the address; nothing is said of its rules"),
        Unrehearsed::Incomplete(why) => {
            Failure::new(Exit::Usage, format!("{service} does not carry its command out: {why}"))
                .hint(
                    "give data that it takes with --data, and fields that must differ with --vary",
                )
        }
        Unrehearsed::Expression(_) | Unrehearsed::Sample(_) => Failure::new(Exit::Usage, error)
            .hint("give data that it takes with --data, and fields that must differ with --vary"),
    }
}
