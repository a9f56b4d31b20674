//! Names, commands, and what belongs to which kind of step.

use std::collections::{HashMap, HashSet};

use amends_core::definition::{Kind, STEPS_MAX};

use super::Subject;
use crate::compile::Laid;
use crate::compile::command;
use crate::file::{CompensationFile, Field, ItemFile, StepFile};
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::source::Span;
use crate::tree::shorten;

/// The longest name: it stands in keys, addresses and topics.
const NAME_BYTES_MAX: usize = 64;

/// Letters, digits, `_` and `-`, a letter first.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    top_level(subject, findings);
    let mut first_at: HashMap<&str, Span> = HashMap::new();
    for laid in subject.laid {
        let step = laid.file;
        match &step.name {
            None if step.said.find("name").is_none() => {
                findings.add(Rule::NoStepName, at_start(step.span), "this step has no name");
            }
            None => {}
            Some(name) => {
                good_name(name, "the step's name", findings);
                match first_at.get(name.value.as_str()) {
                    Some(first) => {
                        let line = subject.source.place(first.start).line;
                        let name = shorten(&name.value);
                        let message = format!("a step `{name}` already stands in line {line}");
                        findings.add(Rule::DuplicateName, laid.name_span(), message);
                    }
                    None => drop(first_at.insert(&name.value, name.span)),
                }
            }
        }
        work(laid, findings);
        compensation(laid, findings);
        codes(step, findings);
    }
    services_named(subject, findings);
}

fn top_level(subject: &Subject<'_>, findings: &mut Findings) {
    let file = subject.file;
    match &file.saga {
        None if file.said.find("saga").is_none() => {
            findings.add(Rule::NoSagaName, Span::default(), "the definition has no name");
        }
        None => {}
        Some(name) => good_name(name, "the saga's name", findings),
    }
    if let Some(version) = file.version.as_ref().filter(|v| v.value == 0) {
        findings.add(Rule::BadVersion, version.span, "the version is 0");
    }
    let Some(steps) = &file.steps else {
        if file.said.find("steps").is_none() {
            findings.add(Rule::NoSteps, Span::default(), "the definition has no steps");
        }
        return;
    };
    if steps.value.is_empty() {
        findings.add(Rule::NoSteps, steps.span, "the list of steps is empty");
    }
    let mut count = 0;
    for item in &steps.value {
        count += match item {
            ItemFile::Step(_) => 1,
            ItemFile::Parallel(group) => {
                let steps = group.parallel.as_ref().map_or(0, |p| p.value.len());
                if steps == 0 && group.parallel.is_some() {
                    findings.add(Rule::EmptyGroup, group.span, "this group has no steps");
                }
                steps
            }
        };
    }
    if count > STEPS_MAX {
        let message = format!("the definition has {count} steps");
        findings.add(Rule::TooManySteps, steps.key, message);
    }
}

pub(crate) fn good_name(name: &Field<String>, what: &str, findings: &mut Findings) {
    if !is_name(&name.value) {
        let message = match name.value.as_str() {
            "" => format!("{what} is empty"),
            text if text.len() > NAME_BYTES_MAX => format!("{what} has {} characters", text.len()),
            text => format!("{what} `{}` has a character it must not have", shorten(text)),
        };
        findings.add(Rule::BadName, name.span, message);
    }
}

fn work(laid: &Laid<'_>, findings: &mut Findings) {
    let step = laid.file;
    match (step.said.find("action"), step.said.find("signal")) {
        (None, None) => {
            let message = format!("the step `{}` does nothing", shorten(laid.name()));
            findings.add(Rule::NoWork, laid.name_span(), message);
        }
        (Some(_), Some(signal)) => {
            let message = format!("the step `{}` has an action and a signal", shorten(laid.name()));
            findings.add(Rule::TwoWorks, signal, message);
        }
        _ => {}
    }
    if let Some(action) = &step.action {
        good_command(action, findings);
    }
    if let Some(signal) = &step.signal {
        good_name(signal, "the signal's name", findings);
    }
    let misplaced: &[&str] = if step.said.find("signal").is_some() {
        &["compensation", "timeout", "accepted_timeout", "retry", "fence", "failures", "redact"]
    } else {
        &["on_deadline", "refuse_when"]
    };
    for key in misplaced {
        if let Some(span) = step.said.find(key) {
            let message = match step.signal {
                Some(_) => format!("`{key}` has no meaning for a step that waits for a signal"),
                None => format!("`{key}` has a meaning only for a step that waits for a signal"),
            };
            findings.add(Rule::MisplacedKey, span, message);
        }
    }
}

fn good_command(text: &Field<String>, findings: &mut Findings) {
    if command(&text.value).is_none() {
        let message = format!("`{}` is not `Service.Command`", shorten(&text.value));
        findings.add(Rule::BadCommand, text.span, message);
    }
}

fn compensation(laid: &Laid<'_>, findings: &mut Findings) {
    let step = laid.file;
    let name = shorten(laid.name());
    if step.said.find("signal").is_some() {
        return;
    }
    let Some(field) = &step.compensation else {
        let missing = step.said.find("compensation").is_none()
            && step.said.find("kind").is_none_or(|_| step.kind.is_some());
        if missing && laid.kind() == Kind::Compensatable && step.said.find("action").is_some() {
            let message = format!("the step `{name}` does not say how it is undone");
            findings.add(Rule::NoCompensation, laid.name_span(), message);
        }
        return;
    };
    let written = match &field.value {
        CompensationFile::Word(word) if word == "none" => return,
        CompensationFile::Word(word) => {
            Some(Field { value: word.clone(), span: field.span, key: field.key })
        }
        CompensationFile::Policy(policy) => {
            if policy.said.find("command").is_none() {
                let message = format!("the compensation of `{name}` names no command");
                findings.add(Rule::NoCompensation, field.span, message);
            }
            policy.command.clone()
        }
    };
    let Some(written) = written else { return };
    good_command(&written, findings);
    if step.action.as_ref().is_some_and(|action| action.value == written.value) {
        let message = format!("the step `{name}` is undone by its own action");
        findings.add(Rule::SelfCompensation, written.span, message);
    }
}

fn codes(step: &StepFile, findings: &mut Findings) {
    let Some(failures) = step.failures.as_ref().map(|f| &f.value) else { return };
    let permanent: HashSet<&str> =
        failures.permanent.iter().flat_map(|f| &f.value).map(|code| code.value.as_str()).collect();
    for code in failures.transient.iter().flat_map(|f| &f.value) {
        if permanent.contains(code.value.as_str()) {
            let message = format!("the code `{}` is listed as both", shorten(&code.value));
            findings.add(Rule::CodeTwice, code.span, message);
        }
    }
}

/// Each command's service is listed, when services are listed at all: a definition without any is
/// bound by the program that embeds it.
fn services_named(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(services) = &subject.file.services else { return };
    let listed: HashSet<&str> = services.value.names().collect();
    for laid in subject.laid {
        for (text, span) in laid.commands() {
            let Some(command) = command(text) else { continue };
            if listed.contains(&*command.service) {
                continue;
            }
            let message = format!("the service `{}` is not listed", command.service);
            let fix = match did_you_mean(&command.service, services.value.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `{}:` under `services:`", command.service),
            };
            findings.add_with_fix(Rule::UnknownService, span, message, fix);
        }
    }
    for (name, _) in &services.value.0 {
        good_name(name, "the service's name", findings);
    }
}

/// The first byte of a span, so that a whole step is not underlined.
fn at_start(span: Span) -> Span {
    Span::new(span.start, span.start + 1)
}

impl Laid<'_> {
    /// Where to point for something about the whole step.
    pub(crate) fn name_span(&self) -> Span {
        self.file.name.as_ref().map_or(at_start(self.file.span), |name| name.span)
    }

    /// Its commands as written, with their places.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&str, Span)> {
        let action = self.file.action.as_ref().map(|f| (f.value.as_str(), f.span));
        let compensation = self.file.compensation.as_ref().and_then(|field| match &field.value {
            CompensationFile::Word(_) => Some((self.compensation()?, field.span)),
            CompensationFile::Policy(policy) => {
                policy.command.as_ref().map(|f| (f.value.as_str(), f.span))
            }
        });
        action.into_iter().chain(compensation)
    }
}
