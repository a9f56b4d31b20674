//! Services: their fences, their transports, and what they read from the environment.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::compile::command;
use crate::expression::{Part, Parts};
use crate::file::{FenceWord, Field, MessagingFile, PatternWord, ServiceFile};
use crate::finding::Findings;
use crate::rule::Rule;
use crate::source::Span;
use crate::surroundings::EnvVar;
use crate::tree::shorten;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let file = subject.file;
    let used = used(subject);
    let choreography = file.pattern.as_ref().is_some_and(|p| p.value == PatternWord::Choreography);
    for (name, service) in file.services.iter().flat_map(|f| &f.value.0) {
        match used.get(&name.value) {
            None => {
                let message = format!("no step uses the service `{}`", shorten(&name.value));
                findings.add(Rule::UnusedService, name.span, message);
            }
            Some(commands) => {
                fence(name, service, subject, choreography, findings);
                unused_commands(service, commands, findings);
            }
        }
        transports(name, service, subject, choreography, findings);
    }
    if let Some(said) = &file.messaging {
        messaging(said, subject, findings);
    }
    // In a choreography each service reaches its own handlers.
    if file.said.find("services").is_none() && !choreography {
        unlisted(subject, &used, findings);
    }
}

/// The services that steps use, with the commands they use of each.
fn used(subject: &Subject<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for laid in subject.laid {
        for (text, _) in laid.commands() {
            if let Some(command) = command(text) {
                used.entry(command.service.to_string())
                    .or_default()
                    .insert(command.name.to_string());
            }
        }
    }
    used
}

/// Without `services`, whoever embeds the definition binds them: one note a service says that.
fn unlisted(
    subject: &Subject<'_>,
    used: &BTreeMap<String, BTreeSet<String>>,
    findings: &mut Findings,
) {
    for service in used.keys() {
        let place =
            subject.laid.iter().flat_map(|laid| laid.commands()).find_map(|(text, span)| {
                (command(text)?.service.as_ref() == service.as_str()).then_some(span)
            });
        let message = format!("nothing says how the service `{service}` is reached");
        findings.add(Rule::NoTransport, place.unwrap_or_default(), message);
    }
}

fn fence(
    name: &Field<String>,
    service: &ServiceFile,
    subject: &Subject<'_>,
    choreography: bool,
    findings: &mut Findings,
) {
    let shown = shorten(&name.value);
    match &service.fence {
        Some(fence) if choreography && fence.value != FenceWord::Barrier => {
            let message = format!("the service `{shown}` of a choreography has another fence");
            findings.add(Rule::ChoreographyNeedsBarrier, fence.span, message);
        }
        Some(_) => {}
        None if service.said.find("fence").is_some() => {}
        None if choreography => {
            let message = format!("the service `{shown}` of a choreography does not say its fence");
            findings.add(Rule::ChoreographyNeedsBarrier, name.span, message);
        }
        None => {
            // Where every step that uses the service says its own, the service's never counts.
            let said_by_steps = subject
                .laid
                .iter()
                .filter(|laid| {
                    laid.commands()
                        .any(|(text, _)| command(text).is_some_and(|c| *c.service == *name.value))
                })
                .all(|laid| laid.file.fence.is_some());
            if !said_by_steps {
                let message = format!("the service `{shown}` does not say its fence");
                findings.add(Rule::FenceNotSaid, name.span, message);
            }
        }
    }
}

fn unused_commands(service: &ServiceFile, used: &BTreeSet<String>, findings: &mut Findings) {
    for (name, command) in service.commands.iter().flat_map(|f| &f.value.0) {
        if !used.contains(&name.value) {
            let message = format!("no step sends the command `{}`", shorten(&name.value));
            findings.add(Rule::UnusedCommand, name.span, message);
        }
        if let Some(path) = command.path.as_ref().filter(|p| !p.value.starts_with('/')) {
            let message = format!("the path `{}` does not begin with `/`", shorten(&path.value));
            findings.add(Rule::BadPath, path.span, message);
        }
    }
}

/// Each broker's section says what its transport needs.
macro_rules! brokers {
    ($file:expr, $findings:expr) => {
        brokers!(kafka in $file, $findings; "commands", "replies");
        brokers!(rabbitmq in $file, $findings; "commands", "replies");
        brokers!(nats in $file, $findings; "stream", "commands", "replies");
        brokers!(sqs in $file, $findings; "commands", "replies");
    };
    ($field:ident in $file:expr, $findings:expr; $($key:literal),*) => {
        if let Some(broker) = &$file.$field {
            $(
                let missing = broker.value.said.find($key).is_none();
                needed(missing, stringify!($field), $key, broker.key, $findings);
            )*
        }
    };
}

const TRANSPORTS: [&str; 5] = ["http", "kafka", "rabbitmq", "nats", "sqs"];

fn transports(
    name: &Field<String>,
    service: &ServiceFile,
    subject: &Subject<'_>,
    choreography: bool,
    findings: &mut Findings,
) {
    let said: Vec<_> = TRANSPORTS
        .iter()
        .filter_map(|key| service.said.find(key).map(|span| (*key, span)))
        .collect();
    match said[..] {
        [] if choreography => {}
        [] => {
            let message =
                format!("nothing says how the service `{}` is reached", shorten(&name.value));
            findings.add(Rule::NoTransport, name.span, message);
        }
        [_] => {}
        [(first, _), ..] => {
            for (key, span) in &said[1..] {
                let message = format!("`{key}` stands beside `{first}`");
                findings.add(Rule::ManyTransports, *span, message);
            }
        }
    }
    if !said.is_empty() && !said.iter().any(|(key, _)| *key == "http") {
        for key in ["not_found", "refused_when", "commands"] {
            if let Some(span) = service.said.find(key) {
                let message =
                    format!("`{key}` speaks of HTTP, and the service is reached otherwise");
                findings.add(Rule::NotFoundOverBroker, span, message);
            }
        }
    }
    if let Some(http) = service.http.as_ref() {
        let missing = http.value.said.find("url").is_none();
        needed(missing, "http", "url", http.key, findings);
        if let Some(url) = &http.value.url {
            check_url(url, findings);
        }
        secret(http.value.secret.as_ref(), subject, findings);
    }
    brokers!(service, findings);
    for said in [
        service.kafka.as_ref().map(|f| &f.value.secret),
        service.rabbitmq.as_ref().map(|f| &f.value.secret),
        service.nats.as_ref().map(|f| &f.value.secret),
        service.sqs.as_ref().map(|f| &f.value.secret),
    ] {
        secret(said.and_then(Option::as_ref), subject, findings);
    }
}

/// Each broker's section of `messaging`.
macro_rules! asked_or_told {
    ($file:expr, $findings:expr; $($field:ident),*) => {
        $(if let Some(broker) = &$file.$field {
            let says = |key: &str| broker.value.said.find(key).is_some();
            asked_or_told(stringify!($field), broker.key, says, $findings);
        })*
    };
}

/// How the saga type itself is reached.
fn messaging(messaging: &Field<MessagingFile>, subject: &Subject<'_>, findings: &mut Findings) {
    let file = &messaging.value;
    let said: Vec<_> = TRANSPORTS.iter().filter_map(|key| file.said.find(key)).collect();
    match said[..] {
        [] => {
            let message = "`messaging` names no broker";
            let fix = "add `kafka:`, `rabbitmq:`, `nats:` or `sqs:`, or remove it";
            findings.add_with_fix(Rule::MissingTransportKey, messaging.key, message, fix);
        }
        [_] => {}
        [_, ref others @ ..] => {
            for span in others {
                let message = "`messaging` names one broker";
                findings.add(Rule::ManyTransports, *span, message);
            }
        }
    }
    asked_or_told!(file, findings; kafka, rabbitmq, nats, sqs);
    secret(file.secret.as_ref(), subject, findings);
}

/// What is asked comes in by one queue and is answered over another; or neither is said, and events
/// alone go out.
fn asked_or_told(section: &str, at: Span, says: impl Fn(&str) -> bool, findings: &mut Findings) {
    needed(section == "nats" && !says("stream"), section, "stream", at, findings);
    if ["exchange", "commands", "replies"].into_iter().any(&says) {
        for key in ["commands", "replies"] {
            needed(!says(key), section, key, at, findings);
        }
    } else if !says("events") {
        let message = format!("`{section}` takes nothing and tells nothing");
        let fix = "add `events:` to tell of sagas, `commands:` and `replies:` to be asked for them, \
                   or all three";
        findings.add_with_fix(Rule::MissingTransportKey, at, message, fix);
    }
}

fn needed(missing: bool, section: &str, key: &str, at: Span, findings: &mut Findings) {
    if missing {
        let message = format!("`{section}` has no `{key}`");
        findings.add_with_fix(Rule::MissingTransportKey, at, message, format!("add `{key}:`"));
    }
}

fn check_url(url: &Field<String>, findings: &mut Findings) {
    // What the environment puts in is not known to be there; a literal beginning is.
    let parts = Parts::of(&url.value);
    let literal = match parts.0.first() {
        Some(Part::Text(text)) => text,
        _ => return,
    };
    let rest = literal.strip_prefix("http://").or_else(|| literal.strip_prefix("https://"));
    match rest {
        None => {
            let message = format!("`{}` is no url that can be posted to", shorten(&url.value));
            findings.add(Rule::BadUrl, url.span, message);
        }
        Some(rest) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if authority.is_empty() && parts.0.len() == 1 {
                findings.add(Rule::BadUrl, url.span, "the url names no host");
            }
            if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
                findings.add(Rule::BadUrl, url.span, "the url has a blank in it");
            }
            if authority.contains('@') {
                findings.add(Rule::CredentialsInUrl, url.span, "the url holds credentials");
            }
        }
    }
}

fn secret(secret: Option<&Field<String>>, subject: &Subject<'_>, findings: &mut Findings) {
    let Some(secret) = secret else { return };
    match env_name(&secret.value) {
        // The text is not repeated: it may be the secret.
        None => findings.add(Rule::SecretInClear, secret.span, "this is not `env.NAME`"),
        Some(name) => env_is_there(name, secret.span, subject, findings),
    }
}

/// The variable's name in `env.NAME`.
pub(crate) fn env_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix("env.")?;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

/// Reports a variable that is not there or not to be seen.
pub(super) fn env_is_there(name: &str, span: Span, subject: &Subject<'_>, findings: &mut Findings) {
    let shown = shorten(name);
    match subject.surroundings.env(name) {
        EnvVar::Set(_) => {}
        EnvVar::Unset => {
            findings.add(Rule::EnvUnset, span, format!("the variable `{shown}` is not set"));
        }
        EnvVar::NotAllowed => {
            let message = format!("the variable `{shown}` is not on the allow-list");
            findings.add(Rule::EnvNotAllowed, span, message);
        }
    }
}
