//! The topics of a place: looked at, and made where that is wanted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amends_transport::{End, Topology};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::client::{Complaints, OffThread, not_made};
use crate::place::{ConnectError, Place, Server};

/// How long the cluster may take to be reached, and to tell of a topic that it has made.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// Between two questions, so that a login that is not taken is told at once.
const ASKED_FOR: Duration = Duration::from_millis(500);

/// How long commands, replies and events stay in topics that we make: a service, or whoever listens,
/// may be down over a weekend.
const STAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a topic takes unless it says otherwise: the client library's own.
const MESSAGE_BYTES: u64 = 1_000_000;

/// What the topics of a place take in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) smallest: u64,
    pub(crate) largest: u64,
}

/// Looks at what the cluster has of a place, for either end, and makes nothing.
///
/// # Errors
///
/// The cluster cannot be reached.
pub async fn examine(server: &Server, place: &Place) -> Result<Topology, ConnectError> {
    let mut topology = Topology::default();
    let topics = topics(place, &[End::Engine, End::Service]);
    look(server, &topics, false, &mut topology).await?;
    Ok(topology)
}

/// The topics of an end. What is missing is made with `create`, and is an error otherwise.
pub(crate) async fn prepare(
    server: &Server,
    place: &Place,
    end: End,
    create: bool,
) -> Result<(Topology, Sizes), ConnectError> {
    let mut topology = Topology::default();
    let sizes = look(server, &topics(place, &[end]), create, &mut topology).await?;
    if topology.missing.is_empty() {
        return Ok((topology, sizes));
    }
    Err(ConnectError::Missing {
        what: topology.missing.join(", no "),
        way: "make it, or allow it to be made".to_owned(),
    })
}

/// A topic that has to be there.
struct Needed {
    name: String,
    /// How long its messages have to stay; for ever where this says nothing.
    stay: Option<Duration>,
}

fn topics(place: &Place, ends: &[End]) -> Vec<Needed> {
    let passing = [Some(&place.commands), Some(&place.replies), place.events.as_ref()];
    let passing = passing.into_iter().flatten().cloned();
    let passing = passing.map(|name| Needed { name, stay: Some(STAY) });
    // Until a person has looked at them.
    let staying = ends.iter().map(|end| Needed { name: place.dead_letters(*end), stay: None });
    passing.chain(staying).collect()
}

async fn look(
    server: &Server,
    needed: &[Needed],
    create: bool,
    topology: &mut Topology,
) -> Result<Sizes, ConnectError> {
    let config = server.config(&[])?;
    let admin: AdminClient<Complaints> = client(&config).map_err(|error| not_made(&error))?;
    let admin = OffThread::new(admin);
    let names: Vec<String> = needed.iter().map(|topic| topic.name.clone()).collect();
    let found = ask(server, names.clone(), false).await?;
    let mut there = Vec::new();
    let mut absent = Vec::new();
    for topic in needed {
        let what = format!("topic {}", topic.name);
        match found.get(&topic.name) {
            Some(replicas) => {
                topology.there.push(what);
                there.push((topic, *replicas));
            }
            None if create => absent.push(topic),
            None => topology.missing.push(what),
        }
    }
    for topic in &absent {
        make(&admin, topic).await?;
        topology.created.push(format!("topic {}", topic.name));
    }
    if !absent.is_empty() {
        let found = ask(server, names, true).await?;
        there.extend(absent.iter().filter_map(|topic| Some((*topic, *found.get(&topic.name)?))));
    }
    weigh(&admin, &there, topology).await
}

/// The topics that there are, each with how many copies it has at least. With `all` it is waited
/// until all are there.
async fn ask(
    server: &Server,
    names: Vec<String>,
    all: bool,
) -> Result<BTreeMap<String, usize>, ConnectError> {
    let config = server.config(&[])?;
    let unreachable = |why: String| ConnectError::Unreachable { addresses: server.shown(), why };
    // The client blocks.
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<Complaints> = client(&config).map_err(Asked::NotMade)?;
        let until = Instant::now() + REACHED_WITHIN;
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(replicas) = ask_for(&client, &name, all, until)? {
                found.insert(name, replicas);
            }
        }
        Ok(found)
    });
    let asked = asked.await.map_err(|error| unreachable(error.to_string()))?;
    asked.map_err(|asked| match asked {
        Asked::NotMade(error) => not_made(&error),
        Asked::Unreachable(why) => unreachable(why),
        Asked::Refused(name, why) => ConnectError::Topology { what: format!("topic {name}"), why },
    })
}

fn client<C: FromClientConfigAndContext<Complaints>>(
    config: &ClientConfig,
) -> Result<C, KafkaError> {
    C::from_config_and_context(config, Complaints::default())
}

/// Why a question was not answered.
enum Asked {
    NotMade(KafkaError),
    Unreachable(String),
    Refused(String, String),
}

fn ask_for(
    client: &BaseConsumer<Complaints>,
    name: &str,
    wait: bool,
    until: Instant,
) -> Result<Option<usize>, Asked> {
    loop {
        let is_late = Instant::now() >= until;
        let answer = client.fetch_metadata(Some(name), ASKED_FOR);
        let topic = match &answer {
            // A server that has just been started says that there is none.
            Ok(all) if !all.brokers().is_empty() => all.topics().first(),
            Ok(_) => None,
            Err(error) => {
                // Only when it is looked for does the client say what it complains of.
                let login = std::iter::from_fn(|| client.poll(Duration::ZERO)).any(|event| {
                    event.is_err_and(|error| {
                        error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication)
                    })
                });
                if login || is_late {
                    return Err(Asked::Unreachable(client.context().explain(error)));
                }
                continue;
            }
        };
        let error = topic.map(|topic| topic.error().map(RDKafkaErrorCode::from));
        match (topic, error) {
            (Some(topic), Some(None)) => {
                let replicas = topic.partitions().iter().map(|part| part.replicas().len()).min();
                if !wait || !topic.partitions().is_empty() || is_late {
                    return Ok(Some(replicas.unwrap_or(1)));
                }
            }
            (_, Some(Some(RDKafkaErrorCode::UnknownTopicOrPartition))) if !wait => {
                return Ok(None);
            }
            (
                _,
                Some(Some(
                    error @ (RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::InvalidTopic),
                )),
            ) => return Err(Asked::Refused(name.to_owned(), error.to_string())),
            (_, error) if is_late => {
                let why = match error.flatten() {
                    Some(error) => error.to_string(),
                    None => "no broker of it is there".to_owned(),
                };
                return Err(Asked::Unreachable(format!("topic {name}: {why}")));
            }
            _ => std::thread::sleep(ASKED_FOR / 5),
        }
    }
}

/// Makes a topic, with as many partitions and copies as the cluster gives one.
async fn make(admin: &AdminClient<Complaints>, topic: &Needed) -> Result<(), ConnectError> {
    const AS_THE_CLUSTER_HAS: i32 = -1;
    let refused =
        |why: String| ConnectError::Topology { what: format!("topic {}", topic.name), why };
    let stay = match topic.stay {
        Some(stay) => stay.as_millis().to_string(),
        None => "-1".to_owned(),
    };
    let replication = TopicReplication::Fixed(AS_THE_CLUSTER_HAS);
    let new = NewTopic::new(&topic.name, AS_THE_CLUSTER_HAS, replication)
        .set("retention.ms", &stay)
        .set("cleanup.policy", "delete");
    let made = admin.create_topics([&new], &options()).await;
    let made = made.map_err(|error| refused(admin.inner().context().explain(error)))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) => Ok(()),
        Some(Err((_, error))) => Err(refused(error.to_string())),
        None => Err(refused("the cluster said nothing".to_owned())),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REACHED_WITHIN))
}

/// What of the topics is weaker than the promise, and what they take in one message.
async fn weigh(
    admin: &AdminClient<Complaints>,
    there: &[(&Needed, usize)],
    topology: &mut Topology,
) -> Result<Sizes, ConnectError> {
    let asked: Vec<_> =
        there.iter().map(|(topic, _)| ResourceSpecifier::Topic(&topic.name)).collect();
    let answers = match asked.is_empty() {
        true => Ok(Vec::new()),
        false => admin.describe_configs(&asked, &options()).await,
    };
    let answers = answers.map_err(|error| ConnectError::Topology {
        what: "a topic's settings".to_owned(),
        why: admin.inner().context().explain(error),
    })?;
    let mut taken = Vec::new();
    for ((topic, replicas), answer) in there.iter().zip(answers) {
        match answer {
            Ok(settings) => {
                let settings = Settings(&settings);
                taken.push(settings.number("max.message.bytes").unwrap_or(MESSAGE_BYTES));
                for why in weaknesses(topic, *replicas, &settings) {
                    topology.weak.push(format!("topic {}: {why}", topic.name));
                }
            }
            Err(error) => topology.weak.push(format!(
                "topic {}: its settings are not told ({error}), so nothing is known of them: \
                 allow DescribeConfigs",
                topic.name
            )),
        }
    }
    Ok(Sizes {
        smallest: taken.iter().copied().min().unwrap_or(MESSAGE_BYTES),
        largest: taken.iter().copied().max().unwrap_or(MESSAGE_BYTES),
    })
}

struct Settings<'a>(&'a ConfigResource);

impl Settings<'_> {
    fn text(&self, name: &str) -> &str {
        let entry = self.0.get(name).and_then(|entry| entry.value.as_deref());
        entry.unwrap_or_default()
    }

    /// None also where it is -1: no limit.
    fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }
}

/// What of a topic is weaker than the promise that a confirmed message is not lost.
fn weaknesses(topic: &Needed, replicas: usize, settings: &Settings<'_>) -> Vec<String> {
    let mut weak = Vec::new();
    // Kafka syncs the disk when it pleases: what a confirmed message rests on is its copies.
    if replicas < 2 && settings.number("flush.messages") != Some(1) {
        weak.push(
            "it has one copy, and its broker syncs the disk when it pleases: give it three, or, \
             where there is one broker, set flush.messages to 1"
                .to_owned(),
        );
    }
    if replicas > 1 && settings.number("min.insync.replicas").is_none_or(|least| least < 2) {
        weak.push(
            "a message is confirmed when one broker has it: set min.insync.replicas to 2"
                .to_owned(),
        );
    }
    if settings.text("unclean.leader.election.enable") == "true" {
        weak.push(
            "a broker that lacks messages may come to lead: set unclean.leader.election.enable to \
             false"
                .to_owned(),
        );
    }
    if settings.text("cleanup.policy").contains("compact") {
        weak.push(
            "of each saga it keeps the last message alone: set cleanup.policy to delete".to_owned(),
        );
    }
    let stay = settings.number("retention.ms").map(Duration::from_millis);
    if let Some(stays) = stay
        && topic.stay.is_none_or(|stay| stays < stay)
    {
        weak.push(match topic.stay {
            Some(stay) => format!(
                "messages go after {} h whether they were taken or not: set retention.ms to {} or \
                 more, or to -1",
                stays.as_secs() / 3600,
                stay.as_millis()
            ),
            None => format!(
                "dead letters go after {} h whether anyone has looked at them or not: set \
                 retention.ms to -1",
                stays.as_secs() / 3600
            ),
        });
    }
    if settings.number("retention.bytes").is_some() {
        weak.push(
            "when it is full the oldest messages go, taken or not: set retention.bytes to -1"
                .to_owned(),
        );
    }
    weak
}
