//! The topics of a place: looked at, and made where that is wanted.

use std::time::Duration;

use amends_transport::{End, Topology};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Complaints, OffThread, not_made};
use crate::place::{ConnectError, Place, Server};
use crate::questions::{self, REACHED_WITHIN};
use crate::weak::{Settings, weaknesses};

/// How long commands, replies and events stay in topics that we make: a service, or whoever listens,
/// may be down over a weekend.
const STAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the topics of a place take in one message, where that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Of those of which it is told.
    pub(crate) smallest: Option<u64>,
    /// None where it is not told of each: then the broker alone says what is too large.
    pub(crate) largest: Option<u64>,
}

impl Sizes {
    fn of(taken: &[Option<u64>]) -> Self {
        let smallest = taken.iter().flatten().min().copied();
        let all: Option<Vec<u64>> = taken.iter().copied().collect();
        Self { smallest, largest: all.and_then(|all| all.into_iter().max()) }
    }
}

/// Looks at what the cluster has of a place, for every end that is known there, and makes nothing.
/// A group needs no making.
///
/// # Errors
///
/// The cluster cannot be reached.
pub async fn examine(server: &Server, place: &Place) -> Result<Topology, ConnectError> {
    let mut topology = Topology::default();
    let listeners = place.events.iter().flat_map(|events| events.listeners.clone());
    let ends = [End::Engine, End::Service].into_iter().chain(listeners.map(End::Listener));
    let topics = topics(place, &ends.collect::<Vec<_>>());
    look(server, &topics, false, &mut topology).await?;
    Ok(topology)
}

/// The topics of an end. What is missing is made with `create`, and is an error otherwise.
pub(crate) async fn prepare(
    server: &Server,
    place: &Place,
    end: &End,
    create: bool,
) -> Result<(Topology, Sizes), ConnectError> {
    if matches!(end, End::Listener(_)) && place.events.is_none() {
        return Err(ConnectError::Missing {
            what: "events at the place".to_owned(),
            way: "say their topic".to_owned(),
        });
    }
    let mut topology = Topology::default();
    let sizes =
        look(server, &topics(place, std::slice::from_ref(end)), create, &mut topology).await?;
    if topology.missing.is_empty() {
        return Ok((topology, sizes));
    }
    Err(ConnectError::Missing {
        what: topology.missing.join(", no "),
        way: "make it, or allow it to be made".to_owned(),
    })
}

/// A topic that has to be there.
pub(crate) struct Needed {
    pub(crate) name: String,
    /// How long its messages have to stay; for ever where this says nothing.
    pub(crate) stay: Option<Duration>,
}

fn topics(place: &Place, ends: &[End]) -> Vec<Needed> {
    let queues = place.queues.iter().flat_map(|queues| [&queues.commands, &queues.replies]);
    let passing = queues.chain(place.events.as_ref().map(|events| &events.at)).cloned();
    let passing = passing.map(|name| Needed { name, stay: Some(STAY) });
    // Until a person has looked at them.
    let staying = ends.iter().filter_map(|end| place.dead_letters(end));
    let staying = staying.map(|name| Needed { name, stay: None });
    passing.chain(staying).collect()
}

async fn look(
    server: &Server,
    needed: &[Needed],
    create: bool,
    topology: &mut Topology,
) -> Result<Sizes, ConnectError> {
    let admin = server.config(&[])?.create_with_context(Complaints::default());
    let admin: AdminClient<Complaints> = admin.map_err(|error| not_made(&error))?;
    let admin = OffThread::new(admin);
    let names: Vec<String> = needed.iter().map(|topic| topic.name.clone()).collect();
    let found = questions::topics(server, names.clone()).await?;
    let mut there = Vec::new();
    let mut absent = Vec::new();
    for topic in needed {
        let what = format!("topic {}", topic.name);
        match found.get(&topic.name) {
            Some(copies) => {
                topology.there.push(what);
                there.push((topic, *copies));
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
        let found = questions::new_topics(server, names).await?;
        there.extend(absent.iter().filter_map(|topic| Some((*topic, *found.get(&topic.name)?))));
    }
    weigh(&admin, &there, topology).await
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
    let made = made.map_err(|error| refused(admin.inner().context().explain(&error)))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) => Ok(()),
        Some(Err((_, error))) => Err(refused(error.to_string())),
        None => Err(refused("the cluster said nothing".to_owned())),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REACHED_WITHIN))
}

/// What of the topics is too weak, and what they take in one message.
async fn weigh(
    admin: &AdminClient<Complaints>,
    there: &[(&Needed, usize)],
    topology: &mut Topology,
) -> Result<Sizes, ConnectError> {
    let asked = there.iter().map(|(topic, _)| ResourceSpecifier::Topic(&topic.name));
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return Ok(Sizes::of(&[]));
    }
    let answers = admin.describe_configs(&asked, &options()).await;
    let answers = answers.map_err(|error| ConnectError::Topology {
        what: "what the topics are set to".to_owned(),
        why: admin.inner().context().explain(&error),
    })?;
    let mut taken = Vec::new();
    for (topic, copies) in there {
        let of = |answer: &&ConfigResource| {
            answer.specifier == OwnedResourceSpecifier::Topic(topic.name.clone())
        };
        let mut weak = |why: &str| topology.weak.push(format!("topic {}: {why}", topic.name));
        let settings = answers.iter().flatten().find(of).map(Settings);
        taken.push(settings.as_ref().and_then(|settings| settings.number("max.message.bytes")));
        match settings {
            Some(settings) => {
                weaknesses(topic, *copies, &settings).iter().for_each(|why| weak(why));
            }
            None => weak("what it is set to is not told, so it may be weak: allow DescribeConfigs"),
        }
    }
    Ok(Sizes::of(&taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_not_told_of_each_topic_what_it_takes_nothing_is_too_large_here() {
        let sizes = |smallest, largest| Sizes { smallest, largest };
        assert_eq!(Sizes::of(&[Some(7), Some(9)]), sizes(Some(7), Some(9)));
        assert_eq!(Sizes::of(&[Some(7), None]), sizes(Some(7), None));
        assert_eq!(Sizes::of(&[None]), sizes(None, None));
        assert_eq!(Sizes::of(&[]), sizes(None, None));
    }
}
