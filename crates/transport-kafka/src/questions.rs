//! Which topics a cluster has. The client library blocks where it is asked, so it is asked on a thread
//! of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::client::{Complaints, not_made, off_thread};
use crate::place::{ConnectError, Server};

/// How long the cluster may take to be reached, and to tell of a topic that it has made.
pub(crate) const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// How long an answer is waited for, so that a login that is not taken is told soon.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// Between an answer that may be another soon and the next question.
const PAUSE: Duration = Duration::from_millis(100);

/// Of these topics those that there are, each with how many copies it has at least.
pub(crate) async fn topics(
    server: &Server,
    names: Vec<String>,
) -> Result<BTreeMap<String, usize>, ConnectError> {
    ask(server, names, false).await
}

/// The same of topics that were just made, which some brokers do not know yet.
pub(crate) async fn new_topics(
    server: &Server,
    names: Vec<String>,
) -> Result<BTreeMap<String, usize>, ConnectError> {
    ask(server, names, true).await
}

async fn ask(
    server: &Server,
    names: Vec<String>,
    all: bool,
) -> Result<BTreeMap<String, usize>, ConnectError> {
    // It makes no topic by asking for it.
    let config = server.config(&[("allow.auto.create.topics", "false".to_owned())])?;
    let unreachable = |why: String| ConnectError::Unreachable {
        addresses: amends_transport::without_login(&server.addresses),
        why,
    };
    let asking = off_thread(move || {
        let client: BaseConsumer<Complaints> =
            config.create_with_context(Complaints::default()).map_err(Unanswered::NotMade)?;
        let until = Instant::now() + REACHED_WITHIN;
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(copies) = ask_for(&client, &name, all, until)? {
                found.insert(name, copies);
            }
        }
        Ok(found)
    });
    let asked = asking.await.ok_or_else(|| unreachable("no thread can be had".to_owned()))?;
    asked.map_err(|unanswered| match unanswered {
        Unanswered::NotMade(error) => not_made(&error),
        Unanswered::Unreachable(why) => unreachable(why),
        Unanswered::Refused { topic, why } => {
            ConnectError::Topology { what: format!("topic {topic}"), why }
        }
    })
}

/// Why there is no answer.
enum Unanswered {
    NotMade(KafkaError),
    Unreachable(String),
    Refused { topic: String, why: String },
}

/// What an answer says of the topic that was asked for.
enum Answer {
    There {
        copies: usize,
    },
    Absent,
    Refused(String),
    /// Ask again.
    NotYet(String),
}

fn ask_for(
    client: &BaseConsumer<Complaints>,
    topic: &str,
    was_made: bool,
    until: Instant,
) -> Result<Option<usize>, Unanswered> {
    loop {
        let why = match client.fetch_metadata(Some(topic), ANSWERED_WITHIN).map(|all| read(&all)) {
            Ok(Answer::There { copies }) => return Ok(Some(copies)),
            Ok(Answer::Absent) if !was_made => return Ok(None),
            Ok(Answer::Absent) => format!("topic {topic} was made, and is not there"),
            Ok(Answer::Refused(why)) => {
                return Err(Unanswered::Refused { topic: topic.to_owned(), why });
            }
            Ok(Answer::NotYet(why)) => format!("topic {topic}: {why}"),
            Err(error) => {
                let is_refused = is_login_refused(client);
                let why = client.context().explain(&error);
                if is_refused {
                    return Err(Unanswered::Unreachable(why));
                }
                why
            }
        };
        if Instant::now() >= until {
            return Err(Unanswered::Unreachable(why));
        }
        std::thread::sleep(PAUSE);
    }
}

fn read(all: &Metadata) -> Answer {
    let Some(topic) = all.topics().first().filter(|_| !all.brokers().is_empty()) else {
        return Answer::NotYet("the cluster has no broker yet".to_owned());
    };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => match topic.partitions().iter().map(|part| part.replicas().len()).min() {
            Some(copies) => Answer::There { copies },
            None => Answer::NotYet("it has no partition yet".to_owned()),
        },
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Answer::Absent,
        Some(
            error @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::InvalidTopic),
        ) => Answer::Refused(error.to_string()),
        Some(error) => Answer::NotYet(error.to_string()),
    }
}

/// Hears what the client complains of, which it says only when it is asked.
fn is_login_refused(client: &BaseConsumer<Complaints>) -> bool {
    let mut refused = false;
    while let Some(event) = client.poll(Duration::ZERO) {
        let code = event.err().and_then(|error| error.rdkafka_error_code());
        refused |= code == Some(RDKafkaErrorCode::Authentication);
    }
    refused
}
