//! Which service is tried, as a saga of its commands alone: one step each, whose command carries the
//! data as it was given.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use amends_core::definition::{Definition, Fence};
use amends_definition::{
    Binding, Bindings, Checked, Compiled, Saga, Severity, StepBuilder, Transport, render_within,
};
use clap::ValueEnum;
use serde_json::Value;

use super::super::definition_file::{self, AllowedEnv};
use super::super::exit::{Exit, Failure};
use super::super::{client, columns, input, shown};

/// The saga type that commands are sent for where no definition names one.
const SAGA_TYPE: &str = "Conformance";

/// A fence, as definitions write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FenceWord {
    /// It keeps tombstones: an action that comes after its undo is refused
    Barrier,
    /// It answers a repeated command with its first answer, also after its undo
    Settle,
    /// Neither
    None,
}

impl From<FenceWord> for Fence {
    fn from(word: FenceWord) -> Self {
        match word {
            FenceWord::Barrier => Self::Barrier,
            FenceWord::Settle => Self::Settle,
            FenceWord::None => Self::None,
        }
    }
}

/// The service of these commands.
pub fn of_commands(
    command: &str,
    undo: Option<&str>,
    fence: Option<FenceWord>,
    secret: Option<&str>,
) -> Result<(String, Compiled), Failure> {
    let (service, name) = parts("--command", command)?;
    if let Some(undo) = undo {
        let (other, _) = parts("--undo", undo)?;
        if other != service {
            let what = format!("{undo} is of another service than {command}");
            return Err(Failure::new(Exit::Usage, what)
                .hint("each service is held against the protocol by itself"));
        }
    }
    let saga = Saga::named(SAGA_TYPE)
        .step(&snake_case(name), |step| with_undo(step.action(command), undo));
    let compiled = built(saga)?;
    let binding = Binding {
        owner: None,
        fence: fence.map(Fence::from),
        flat: true,
        not_found_is_gone: false,
        paths: BTreeMap::new(),
        transport: Some(Transport::Http { url: None }),
        refused_when: None,
        secret_env: secret.map(env_name).transpose()?,
    };
    Ok((service.to_owned(), bound(compiled, service, binding)))
}

/// A service of a definition, with all of its actions or with one; and what was found in the file.
pub fn of_file(
    file: &Path,
    env: &AllowedEnv,
    service: &str,
    command: Option<&str>,
    data_said: bool,
) -> Result<(Compiled, Checked), Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, what);
    let checked = definition_file::read(file, env)?;
    let errors = checked.count(Severity::Error);
    let Some(whole) = checked.compiled.clone().filter(|_| errors == 0) else {
        shown::say(render_within(&checked, shown::colour_err(), columns::width()));
        return Err(usage(format!("{} cannot run", file.display())));
    };
    let definition = &whole.definition;
    let full = |command: &amends_core::definition::Command| {
        format!("{}.{}", command.service, command.name)
    };
    let wanted = |at: &amends_core::StepIx| {
        let action = definition.step(*at).action();
        action.is_some_and(|action| {
            let said = command.is_none_or(|said| said == &*action.name || said == full(action));
            *action.service == *service && said
        })
    };
    let steps: Vec<_> = definition.indices().filter(wanted).collect();
    if steps.is_empty() {
        let actions = definition.steps().iter().filter_map(|step| step.action()).map(full);
        let actions: Vec<String> = actions.collect();
        let of = command.map_or_else(String::new, |command| format!(" {command}"));
        return Err(usage(format!("the definition has no action{of} of {service}"))
            .hint(format!("its actions are {}", actions.join(", "))));
    }
    let own_input = steps.iter().find(|at| whole.expressions.has_own_input(**at));
    if let Some(at) = own_input.filter(|_| !data_said) {
        let step = &definition.step(*at).name;
        let what = format!("the step {step} makes its command's data from more than the saga's");
        return Err(usage(what)
            .hint("give what the command carries with --data, and the one --command it is for"));
    }
    let mut saga = Saga::named(definition.saga_type());
    for at in &steps {
        let step = definition.step(*at);
        let Some(action) = step.action().map(full) else { continue };
        let undo = step.compensation().filter(|undo| *undo.service == *service).map(full);
        saga = saga.step(&step.name, |builder| {
            let builder = with_undo(builder.action(&action), undo.as_deref());
            step.fence.map_or(builder.clone(), |fence| builder.fence(fence))
        });
    }
    let mut compiled = built(saga)?;
    if own_input.is_none() {
        // Its data is the saga's: it has the same schema, and the same key.
        compiled.data_schema.clone_from(&whole.data_schema);
        compiled.pinned.clone_from(&whole.pinned);
    }
    let binding = whole.bindings.get(service).cloned();
    let binding = binding
        .ok_or_else(|| usage(format!("the definition does not describe the service {service}")))?;
    Ok((bound(compiled, service, binding), checked))
}

/// What makes a step be refused: fields for the one command, or for the one that is named.
pub fn refused(said: &[String], definition: &Definition) -> Result<Vec<(String, Value)>, Failure> {
    let steps = definition.steps();
    let read = |text: &str| {
        let data: Value = client::read(&input::json("--refused", text)?)?;
        let what = "--refused takes the fields that are put into the data, as a JSON object";
        data.is_object().then_some(data).ok_or_else(|| Failure::new(Exit::Usage, what))
    };
    said.iter()
        .map(|said| {
            let named = said.split_once('=').and_then(|(name, text)| {
                let of = |step: &&amends_core::definition::Step| {
                    step.action().is_some_and(|action| *action.name == *name.trim())
                };
                Some((steps.iter().find(of)?, text))
            });
            match (named, steps) {
                (Some((step, text)), _) => Ok((step.name.to_string(), read(text)?)),
                (None, [only]) => Ok((only.name.to_string(), read(said)?)),
                (None, _) => {
                    let actions = steps.iter().filter_map(|step| step.action());
                    let names: Vec<&str> = actions.map(|action| &*action.name).collect();
                    let what = "--refused does not say which command refuses that";
                    Err(Failure::new(Exit::Usage, what)
                        .hint(format!("--refused COMMAND=JSON, of {}", names.join(", "))))
                }
            }
        })
        .collect()
}

fn with_undo(step: StepBuilder, undo: Option<&str>) -> StepBuilder {
    match undo {
        Some(undo) => step.compensation(undo),
        None => step.reads_only(),
    }
}

fn built(saga: Saga) -> Result<Compiled, Failure> {
    saga.build().map_err(|error| Failure::new(Exit::Usage, error))
}

fn bound(compiled: Compiled, service: &str, binding: Binding) -> Compiled {
    let bindings = Bindings([(service.to_owned(), binding)].into());
    Compiled { bindings: Arc::new(bindings), ..compiled }
}

/// `Service.Command`, as definitions write it. The service's name goes with every command.
fn parts<'c>(option: &str, command: &'c str) -> Result<(&'c str, &'c str), Failure> {
    let parts =
        command.split_once('.').filter(|(service, name)| !service.is_empty() && !name.is_empty());
    parts.ok_or_else(|| {
        let what = format!("{option}: {command:?} does not say which service's command it is");
        Failure::new(Exit::Usage, what)
            .hint(format!("{option} PaymentService.ProcessPayment, as definitions write it"))
    })
}

/// `env.NAME`, as definitions write it: a secret on the command line would be in every history.
fn env_name(said: &str) -> Result<String, Failure> {
    let name = said.strip_prefix("env.").filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| {
        let what = "--secret names an environment variable, and never is the secret itself";
        Failure::new(Exit::Usage, what).hint("--secret env.PAYMENT_SECRET")
    })
}

/// The name of a step for a command.
fn snake_case(command: &str) -> String {
    let mut name = String::new();
    for c in command.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        name.extend(if c == '.' { '_' } else { c }.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_after_its_command() {
        for (command, step) in
            [("ProcessPayment", "process_payment"), ("do", "do"), ("V2.Do_It", "v2_do_it")]
        {
            assert_eq!(snake_case(command), step);
        }
    }

    #[test]
    fn a_command_says_its_service_and_an_undo_is_of_the_same() {
        let of = |command, undo| {
            let subject = of_commands(command, undo, None, None);
            subject.map(|(service, _)| service).map_err(|failure| failure.what().to_owned())
        };
        assert_eq!(of("Pay.Charge", Some("Pay.Refund")), Ok("Pay".to_owned()));
        let error = of("Charge", None).expect_err("whose?");
        assert!(error.contains("does not say which service's"), "{error}");
        let error = of("Pay.Charge", Some("Bank.Refund")).expect_err("another's");
        assert!(error.contains("of another service"), "{error}");
    }

    #[test]
    fn a_secret_is_named_and_never_said() {
        assert_eq!(env_name("env.PAY").ok().as_deref(), Some("PAY"));
        let error = env_name("whsec_hunter2").expect_err("it is the secret");
        assert!(!error.what().contains("hunter2"));
    }
}
