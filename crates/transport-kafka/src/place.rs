//! Where a service's messages are: a cluster, its topics.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use amends_transport::{End, Events, Kind, Queues, without_login};

/// A Kafka cluster, and how we come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// `127.0.0.1:9092`, with commas between several of a cluster.
    pub addresses: String,
    /// Settings of the client library (librdkafka), by its names for them: how we come in
    /// (`security.protocol`, `sasl.username`, `ssl.ca.location` …). What the promise rests on is set
    /// by us, whatever is said here.
    pub settings: BTreeMap<String, String>,
}

/// A setting may be a password.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.settings.keys().collect();
        f.debug_struct("Server")
            .field("addresses", &without_login(&self.addresses))
            .field("settings", &names)
            .finish()
    }
}

impl Server {
    /// At these addresses, as nobody in particular.
    pub fn new(addresses: impl Into<String>) -> Self {
        Self { addresses: addresses.into(), settings: BTreeMap::new() }
    }

    /// With the settings of a file: a line for each, `name=value`; one that begins with `#` says
    /// nothing.
    ///
    /// # Errors
    ///
    /// It cannot be read, or a line is none of these.
    pub fn with_file(mut self, path: &Path) -> Result<Self, ConnectError> {
        let unusable = |why: String| ConnectError::Login(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line is not shown: it may be a password.
            let Some((name, value)) = line.split_once('=') else {
                return Err(unusable(format!("line {} is not of the form name=value", number + 1)));
            };
            self.settings.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Ok(self)
    }

    /// With one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Where the messages of a service are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The topics of commands and replies. Without them no end takes either.
    pub queues: Option<Queues>,
    /// The topic of its events. Without it none is published, and nobody listens.
    pub events: Option<Events>,
}

/// What an end takes.
pub(crate) struct Taken {
    pub(crate) topic: String,
    /// The group that all copies of the end are members of. One that is new begins where the topic
    /// begins, also a listener's: were it to begin at the end, an event would be lost to it that comes
    /// before its first mark is told, and so would all that it had not heard where the cluster forgets
    /// its marks.
    pub(crate) group: String,
    /// Where is put aside what it cannot take.
    pub(crate) dead_letters: String,
}

impl Place {
    /// The topics of commands and replies.
    pub fn new(commands: impl Into<String>, replies: impl Into<String>) -> Self {
        Self { queues: Some(Queues::new(commands, replies)), events: None }
    }

    /// A place of events alone.
    pub fn events_only(events: impl Into<Events>) -> Self {
        Self { queues: None, events: Some(events.into()) }
    }

    /// With events that are published to this topic.
    #[must_use]
    pub fn with_events(self, events: impl Into<Events>) -> Self {
        Self { events: Some(events.into()), ..self }
    }

    /// What an end takes.
    pub(crate) fn taken_by(&self, end: &End) -> Option<Taken> {
        let (topic, whose) = match end {
            End::Listener(listener) => {
                let topic = &self.events.as_ref()?.at;
                (topic.as_str(), format!("{topic}.{listener}"))
            }
            End::Engine | End::Service => {
                let topic = self.queues.as_ref()?.taken_by(end)?;
                (topic, topic.to_owned())
            }
        };
        Some(Taken {
            topic: topic.to_owned(),
            group: format!("amends-{whose}"),
            dead_letters: format!("{whose}.dead-letters"),
        })
    }

    /// Where an end puts aside what cannot be taken.
    pub fn dead_letters(&self, end: &End) -> Option<String> {
        Some(self.taken_by(end)?.dead_letters)
    }

    /// The topic of a message; `None` where the place has none for it.
    pub(crate) fn topic(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Command => Some(&self.queues.as_ref()?.commands),
            Kind::Reply => Some(&self.queues.as_ref()?.replies),
            Kind::Event => Some(&self.events.as_ref()?.at),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The cluster is not there, or does not let us in.
    #[error("Kafka at {addresses} cannot be reached: {why}")]
    Unreachable {
        /// The addresses.
        addresses: String,
        /// What the client says.
        why: String,
    },
    /// What we would show to come in.
    #[error("the settings for Kafka cannot be used: {0}")]
    Login(String),
    /// Something that has to be there is not, and was not to be made.
    #[error("Kafka has no {what}: {way}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        way: String,
    },
    /// Something could not be looked at or made.
    #[error("{what} of Kafka cannot be had: {why}")]
    Topology {
        /// What.
        what: String,
        /// What the server says.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_transport::Listener;

    #[test]
    fn each_end_has_a_group_of_its_own() {
        let place = Place::new("c", "r");
        assert_eq!(place.topic(Kind::Event), None);
        let place = place.with_events("events");
        assert_eq!(place.topic(Kind::Event), Some("events"));
        let listener = End::Listener(Listener::named("PayService").unwrap());
        for (end, topic, group, dead_letters) in [
            (End::Service, "c", "amends-c", "c.dead-letters"),
            (End::Engine, "r", "amends-r", "r.dead-letters"),
            (listener, "events", "amends-events.PayService", "events.PayService.dead-letters"),
        ] {
            let taken = place.taken_by(&end).unwrap();
            assert_eq!((&*taken.topic, &*taken.group), (topic, group));
            assert_eq!(taken.dead_letters, dead_letters);
        }
    }

    #[test]
    fn no_password_is_shown() {
        let server = Server::new("me:s3cr3t@h:1, i:2").with("sasl.password", "s3cr3t");
        let shown = format!("{server:?}");
        assert!(!shown.contains("s3cr3t") && shown.contains("sasl.password"), "{shown}");
        assert!(shown.contains("h:1,i:2"), "{shown}");
    }

    #[test]
    fn settings_are_read_from_a_file_and_a_broken_line_is_named_and_not_shown() {
        let folder = std::env::temp_dir().join(format!("amends-kafka-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kafka.properties");
        fs::write(&path, "# who we are\nsasl.username = me\nsasl.password=a=b\n\n").unwrap();
        let server = Server::new("h:1").with_file(&path).unwrap();
        assert_eq!(server.settings["sasl.username"], "me");
        assert_eq!(server.settings["sasl.password"], "a=b");
        fs::write(&path, "# who we are\ns3cr3t").unwrap();
        let error = Server::new("h:1").with_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("s3cr3t"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
