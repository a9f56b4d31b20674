//! A definition that is ready to run, with all that belongs to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use amends_core::Millis;
use amends_core::definition::{Definition, Fence};
use serde_json::{Map, Value as Json};

use super::layout::{Laid, fence_of};
use super::pinned::{hash, pin};
use crate::check::{Subject, env_name};
use crate::expression::{Expressions, Program, RefusedWhen, Scope, Template};
use crate::file::{Field, MessagingFile, NotFoundWord, PatternWord, ServiceFile};
use crate::source::Span;
use crate::surroundings::{EnvVar, Surroundings};

/// A definition that is ready to run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the machine runs.
    pub definition: Arc<Definition>,
    /// The version the file says; without one the server gives the next number.
    pub said_version: Option<u32>,
    /// The file, byte for byte.
    pub source: Arc<[u8]>,
    /// The canonical form that a version pins.
    pub pinned: Arc<[u8]>,
    /// SHA-256 of `pinned`.
    pub hash: [u8; 32],
    /// With or without a coordinator.
    pub pattern: Pattern,
    /// Its expressions, ready to be evaluated.
    pub expressions: Arc<Expressions>,
    /// What starts' data must look like.
    pub data_schema: Option<Arc<DataSchema>>,
    /// Per step, by its place: what the machine does not need to know.
    pub extras: Arc<[StepExtras]>,
    /// How services are reached. Not pinned.
    pub bindings: Arc<Bindings>,
    /// How the saga type itself is reached by message, where it is. Not pinned.
    pub messaging: Option<Arc<Messaging>>,
    /// When somebody is told. Not pinned.
    pub alerts: Alerts,
    /// Where its parts stand in the file.
    pub places: Arc<Places>,
}

impl Compiled {
    /// The same under another version number.
    #[must_use]
    pub fn with_version(self, version: u32) -> Self {
        let (name, steps) = (self.definition.saga_type(), self.definition.steps());
        let renumbered =
            Definition::new(Arc::clone(name), version, self.definition.deadline(), steps.to_vec());
        // The steps are those of a definition, so they are well-formed.
        let definition = renumbered.map_or(self.definition, Arc::new);
        Self { definition, ..self }
    }

    /// The hash as 64 lower-case hexadecimal digits.
    pub fn hash_hex(&self) -> String {
        self.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Has the definition a business key?
    pub fn has_business_key(&self) -> bool {
        self.expressions.business_key.is_some()
    }
}

/// Where the parts of a definition stand in its file, for whoever has something to say of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The name of each step, by the step's place in the definition.
    pub steps: Vec<Span>,
    /// The name of each service that is listed.
    pub services: BTreeMap<String, Span>,
}

/// With or without a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// amends sends the commands.
    Orchestration,
    /// Each service reacts to the events of the steps before its own.
    Choreography,
}

/// When somebody is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// How long without progress counts as stuck, where that is said.
    pub stuck_after: Option<Millis>,
}

/// What belongs to a step and is no business of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepExtras {
    /// Which failure codes are final and which pass.
    pub failures: Failures,
    /// Fields of its command that are kept out of sight; `a.b` is the field `b` of `a`.
    pub redact: Vec<String>,
    /// When it is slow, and when too slow.
    pub sla: Sla,
}

/// Failure codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// A refusal.
    pub permanent: Vec<String>,
    /// Worth another attempt.
    pub transient: Vec<String>,
}

/// When a step is slow, and when too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sla {
    /// When somebody is warned.
    pub warn: Option<Millis>,
    /// When the promise is broken.
    pub breach: Option<Millis>,
}

/// How the services of a definition are reached, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings(pub BTreeMap<String, Binding>);

impl Bindings {
    /// The binding of a service.
    pub fn get(&self, service: &str) -> Option<&Binding> {
        self.0.get(service)
    }
}

/// How a service is reached, and what it promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The team that answers for it.
    pub owner: Option<String>,
    /// Its fence, where it says one.
    pub fence: Option<Fence>,
    /// Whether the fields of `data` also stand at the top level of a command.
    pub flat: bool,
    /// Whether a 404 on an undo means that there is nothing to undo.
    pub not_found_is_gone: bool,
    /// The paths of commands that do not follow the rule, by command.
    pub paths: BTreeMap<String, String>,
    /// How its commands travel; `None` for a service that the program itself carries out.
    pub transport: Option<Transport>,
    /// What tells its refusals from its results, where it says so.
    pub refused_when: Option<RefusedWhen>,
    /// The environment variable that holds the signing secret; never the secret.
    pub secret_env: Option<String>,
}

/// How a saga type is reached by message, and told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messaging {
    /// At which broker.
    pub broker: Broker,
    /// Where starts, cancels and signals come in, and their answers go. Without them nothing is asked
    /// for by message.
    pub queues: Option<Queues>,
    /// Where events are published: a topic, a queue, or what stands before their names.
    pub events: Option<String>,
    /// Whether every transition is an event.
    pub transitions: bool,
    /// The environment variable that holds the signing secret; never the secret.
    pub secret_env: Option<String>,
}

/// How commands travel.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// Posted to a url.
    Http {
        /// Environment values are filled in. `None` when one of them is missing.
        url: Option<String>,
    },
    /// Over the queues of a broker.
    Broker(Broker, Queues),
}

/// A broker, with what of it is shared by the queues of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// Kafka, whose queues are topics.
    Kafka,
    /// RabbitMQ.
    RabbitMq {
        /// The exchange; empty for the default one.
        exchange: String,
    },
    /// NATS JetStream, whose queues are subjects.
    Nats {
        /// The stream of the subjects.
        stream: String,
    },
    /// Amazon SQS.
    Sqs,
}

impl Broker {
    /// Its key in a definition.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq { .. } => "rabbitmq",
            Self::Nats { .. } => "nats",
            Self::Sqs => "sqs",
        }
    }
}

/// Two queues, by the names that the broker has for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    /// That of commands, or of what is asked of a saga type.
    pub commands: String,
    /// That of replies.
    pub replies: String,
}

/// The url is left out: the environment may have put credentials into it (`semantics.md` S24).
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { .. } => f.write_str("Http"),
            Self::Broker(broker, queues) => {
                f.debug_tuple("Broker").field(broker).field(queues).finish()
            }
        }
    }
}

/// What starts' data must look like.
pub struct DataSchema {
    schema: Json,
    validator: jsonschema::Validator,
}

impl DataSchema {
    /// Takes a JSON Schema; nothing is fetched for it.
    pub(crate) fn new(schema: Json) -> Result<Self, String> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
        Ok(Self { schema, validator })
    }

    /// The schema itself.
    pub fn schema(&self) -> &Json {
        &self.schema
    }

    /// Where the data does not fit: the path of each place and the keyword it breaks. Values are
    /// left out (`semantics.md` S24).
    pub fn violations(&self, data: &Json) -> Vec<String> {
        const SHOWN_MAX: usize = 20;
        let place = |path: String| if path.is_empty() { "/".to_owned() } else { path };
        self.validator
            .iter_errors(data)
            .take(SHOWN_MAX)
            .map(|error| {
                let masked = error.masked().to_string();
                format!("{}: {masked}", place(error.instance_path().to_string()))
            })
            .collect()
    }
}

impl fmt::Debug for DataSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSchema({})", self.schema)
    }
}

/// Puts the parts together, once nothing is wrong with them.
pub(crate) fn put_together(
    subject: &Subject<'_>,
    bytes: &[u8],
    definition: Definition,
    expressions: Expressions,
    data_schema: Option<DataSchema>,
) -> Compiled {
    let file = subject.file;
    let pinned = pin(file, subject.schema);
    let choreography = file.pattern.as_ref().is_some_and(|p| p.value == PatternWord::Choreography);
    let stuck = file.alerts.as_ref().and_then(|f| f.value.stuck.as_ref());
    Compiled {
        definition: Arc::new(definition),
        said_version: file.version.as_ref().map(|f| f.value),
        source: bytes.into(),
        hash: hash(&pinned),
        pinned: pinned.into(),
        pattern: if choreography { Pattern::Choreography } else { Pattern::Orchestration },
        bindings: Arc::new(bindings(subject, &expressions)),
        expressions: Arc::new(expressions),
        data_schema: data_schema.map(Arc::new),
        extras: subject.laid.iter().map(|laid| extras(laid.file)).collect(),
        messaging: file.messaging.as_ref().and_then(|f| messaging(&f.value)).map(Arc::new),
        alerts: Alerts { stuck_after: stuck.and_then(|s| s.value.after.as_ref()).map(|f| f.value) },
        places: Arc::new(places(subject)),
    }
}

fn places(subject: &Subject<'_>) -> Places {
    let services = || subject.file.services.iter().flat_map(|f| &f.value.0);
    let step = |laid: &Laid<'_>| laid.file.name.as_ref().map_or_else(Span::default, |f| f.span);
    Places {
        steps: subject.laid.iter().map(step).collect(),
        services: services().map(|(name, _)| (name.value.clone(), name.span)).collect(),
    }
}

fn extras(step: &crate::file::StepFile) -> StepExtras {
    let codes = |list: &Option<Field<Vec<Field<String>>>>| -> Vec<String> {
        list.iter().flat_map(|f| &f.value).map(|code| code.value.clone()).collect()
    };
    let failures = step.failures.as_ref().map(|f| &f.value);
    let sla = step.sla.as_ref().map(|f| &f.value);
    StepExtras {
        failures: Failures {
            permanent: failures.map_or_else(Vec::new, |f| codes(&f.permanent)),
            transient: failures.map_or_else(Vec::new, |f| codes(&f.transient)),
        },
        redact: codes(&step.redact),
        sla: Sla {
            warn: sla.and_then(|s| s.warn.as_ref()).map(|f| f.value),
            breach: sla.and_then(|s| s.breach.as_ref()).map(|f| f.value),
        },
    }
}

fn bindings(subject: &Subject<'_>, expressions: &Expressions) -> Bindings {
    let services = subject.file.services.iter().flat_map(|f| &f.value.0);
    Bindings(
        services
            .map(|(name, service)| {
                let refused_when = expressions.refused_when.get(&name.value).cloned();
                (name.value.clone(), binding(service, refused_when, subject.surroundings))
            })
            .collect(),
    )
}

fn binding(
    service: &ServiceFile,
    refused_when: Option<RefusedWhen>,
    surroundings: &Surroundings<'_>,
) -> Binding {
    let (transport, secret) = transport(service, surroundings);
    let paths = service.commands.iter().flat_map(|f| &f.value.0).filter_map(|(name, command)| {
        Some((name.value.clone(), command.path.as_ref()?.value.clone()))
    });
    Binding {
        owner: service.owner.as_ref().map(|f| f.value.clone()),
        fence: service.fence.as_ref().map(|f| fence_of(f.value)),
        flat: service.flat.as_ref().is_none_or(|f| f.value),
        not_found_is_gone: service
            .not_found
            .as_ref()
            .is_some_and(|f| f.value == NotFoundWord::Gone),
        paths: paths.collect(),
        transport,
        refused_when,
        secret_env: secret.and_then(|f| env_name(&f.value)).map(str::to_owned),
    }
}

/// What a broker's section says of its queues.
macro_rules! queues {
    ($section:ident) => {
        Queues { commands: text(&$section.commands), replies: text(&$section.replies) }
    };
}

fn text(said: &Option<Field<String>>) -> String {
    said.as_ref().map_or_else(String::new, |field| field.value.clone())
}

fn transport<'f>(
    service: &'f ServiceFile,
    surroundings: &Surroundings<'_>,
) -> (Option<Transport>, Option<&'f Field<String>>) {
    if let Some(http) = service.http.as_ref().map(|f| &f.value) {
        let url = http.url.as_ref().and_then(|url| fill_url(&url.value, surroundings));
        return (Some(Transport::Http { url }), http.secret.as_ref());
    }
    let (broker, queues, secret) = if let Some(kafka) = service.kafka.as_ref().map(|f| &f.value) {
        (Broker::Kafka, queues!(kafka), &kafka.secret)
    } else if let Some(rabbit) = service.rabbitmq.as_ref().map(|f| &f.value) {
        let broker = Broker::RabbitMq { exchange: text(&rabbit.exchange) };
        (broker, queues!(rabbit), &rabbit.secret)
    } else if let Some(nats) = service.nats.as_ref().map(|f| &f.value) {
        (Broker::Nats { stream: text(&nats.stream) }, queues!(nats), &nats.secret)
    } else if let Some(sqs) = service.sqs.as_ref().map(|f| &f.value) {
        (Broker::Sqs, queues!(sqs), &sqs.secret)
    } else {
        return (None, None);
    };
    (Some(Transport::Broker(broker, queues)), secret.as_ref())
}

fn messaging(file: &MessagingFile) -> Option<Messaging> {
    // Where one queue is said both are, or a finding says that one is missing.
    macro_rules! asked {
        ($section:ident) => {
            $section.commands.is_some().then(|| queues!($section))
        };
    }
    let (broker, queues, events) = if let Some(kafka) = file.kafka.as_ref().map(|f| &f.value) {
        (Broker::Kafka, asked!(kafka), &kafka.events)
    } else if let Some(rabbit) = file.rabbitmq.as_ref().map(|f| &f.value) {
        let broker = Broker::RabbitMq { exchange: text(&rabbit.exchange) };
        (broker, asked!(rabbit), &rabbit.events)
    } else if let Some(nats) = file.nats.as_ref().map(|f| &f.value) {
        (Broker::Nats { stream: text(&nats.stream) }, asked!(nats), &nats.events)
    } else {
        let sqs = &file.sqs.as_ref()?.value;
        (Broker::Sqs, asked!(sqs), &sqs.events)
    };
    Some(Messaging {
        broker,
        queues,
        events: events.as_ref().map(|f| f.value.clone()),
        transitions: file.transitions.as_ref().is_some_and(|f| f.value),
        secret_env: file.secret.as_ref().and_then(|f| env_name(&f.value)).map(str::to_owned),
    })
}

/// Puts environment values into the url; `None` when one is missing.
fn fill_url(url: &str, surroundings: &Surroundings<'_>) -> Option<String> {
    let template = Template::of_text(url, &mut |text| Program::compile(text).ok())?;
    let filled = template.fill(
        &mut |program| {
            let mut env = Map::new();
            for name in program.references().iter().filter_map(|r| r.path.first()) {
                match surroundings.env(name) {
                    EnvVar::Set(value) => drop(env.insert(name.clone(), Json::String(value))),
                    EnvVar::Unset | EnvVar::NotAllowed => return Err(()),
                }
            }
            let env = Json::Object(env);
            program.evaluate(Scope { variables: &[("env", &env)] }).map_err(drop)
        },
        &mut |_, value| value.as_str().map(str::to_owned).ok_or(()),
    );
    filled.ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_that_refers_to_itself_without_end_does_no_harm() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            json!({"not": {"$ref": "#"}}),
            json!({"$ref": "https://example.invalid/x"}),
            json!({"pattern": "(a+)+$"}),
        ] {
            if let Ok(schema) = DataSchema::new(schema) {
                schema.violations(&json!({"a": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"]}));
                schema.violations(&json!(
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"
                ));
            }
        }
    }
}
