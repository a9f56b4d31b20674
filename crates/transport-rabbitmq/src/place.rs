//! Where a service's messages are: an exchange, its queues.

use amends_transport::{End, Events, Kind, Listener, Queues};

/// AMQP writes the length of a name into one byte.
const NAME_BYTES_MAX: usize = 255;

const DEAD_LETTERS: &str = ".dead-letters";

/// Where the messages of a service are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The exchange that commands and replies are published to; empty for the server's default one,
    /// which brings each message to the queue of its routing key.
    pub exchange: String,
    /// The queues of commands and replies, and their routing keys. Without them no end takes either.
    pub queues: Option<Queues>,
    /// The exchange of its events, and what stands before their names in a routing key: `orders.events`
    /// makes `orders.events.InventoryReserved`. Each listener has a queue there; where none is known,
    /// one queue keeps them for whoever reads it. Without this none is published, and nobody listens.
    pub events: Option<Events>,
}

impl Place {
    /// The queues of commands and replies, at the server's default exchange.
    pub fn new(commands: impl Into<String>, replies: impl Into<String>) -> Self {
        let queues = Some(Queues::new(commands, replies));
        Self { exchange: String::new(), queues, events: None }
    }

    /// A place of events alone.
    pub fn events_only(events: impl Into<Events>) -> Self {
        Self { exchange: String::new(), queues: None, events: Some(events.into()) }
    }

    /// With an exchange of its own.
    #[must_use]
    pub fn with_exchange(self, exchange: impl Into<String>) -> Self {
        Self { exchange: exchange.into(), ..self }
    }

    /// With events that are published to this exchange.
    #[must_use]
    pub fn with_events(self, events: impl Into<Events>) -> Self {
        Self { events: Some(events.into()), ..self }
    }

    /// With whoever's end this is known to listen.
    pub(crate) fn heard_at(self, end: &End) -> Self {
        Self { events: self.events.map(|events| events.heard_at(end)), ..self }
    }

    /// The queue that an end takes from.
    pub(crate) fn taken_by(&self, end: &End) -> Option<String> {
        match end {
            End::Listener(listener) => Some(heard_by(self.events.as_ref()?, listener)),
            End::Engine | End::Service => self.queues.as_ref()?.taken_by(end).map(str::to_owned),
        }
    }

    /// Where an end puts aside what cannot be taken.
    pub fn dead_letters(&self, end: &End) -> Option<String> {
        self.taken_by(end).as_deref().map(dead_letters)
    }

    /// The exchange and the routing key of a message; `None` where the place has none for it.
    pub(crate) fn route(&self, kind: Kind, name: &str) -> Option<(&str, String)> {
        match kind {
            Kind::Command => Some((&self.exchange, self.queues.as_ref()?.commands.clone())),
            Kind::Reply => Some((&self.exchange, self.queues.as_ref()?.replies.clone())),
            Kind::Event => {
                let events = &self.events.as_ref()?.at;
                Some((events, format!("{events}.{name}")))
            }
        }
    }

    /// Names that AMQP cannot say.
    pub(crate) fn checked(&self) -> Result<(), ConnectError> {
        let queues = self.queues.iter().flat_map(|queues| [&queues.commands, &queues.replies]);
        let events = self.events.iter();
        let heard = events
            .clone()
            .flat_map(|events| events.listeners.iter().map(|listener| heard_by(events, listener)));
        let said = queues.chain([&self.exchange]).chain(events.map(|events| &events.at)).cloned();
        let mut names = said.chain(heard);
        let long = |name: &String| name.len() + DEAD_LETTERS.len() > NAME_BYTES_MAX;
        match names.find(long) {
            None => Ok(()),
            Some(name) => Err(ConnectError::Topology {
                what: format!("`{name}`"),
                why: format!("a name has at most {} bytes", NAME_BYTES_MAX - DEAD_LETTERS.len()),
            }),
        }
    }
}

/// The queue of a listener.
pub(crate) fn heard_by(events: &Events, listener: &Listener) -> String {
    format!("{}.{listener}", events.at)
}

/// Where is put aside what cannot be taken from a queue.
pub(crate) fn dead_letters(queue: &str) -> String {
    format!("{queue}{DEAD_LETTERS}")
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// What was given is no address.
    #[error("`{0}` is no address of RabbitMQ: write amqp://user:password@host:5672/vhost")]
    Address(String),
    /// The server is not there, or does not let us in.
    #[error("RabbitMQ at {url} cannot be reached: {why}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the server says, or the client.
        why: String,
    },
    /// Something that has to be there is not, and was not to be made or could not be.
    #[error("RabbitMQ has no {what}: {way}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        way: String,
    },
    /// Something could not be looked at or made.
    #[error("{what} of RabbitMQ cannot be had: {why}")]
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

    #[test]
    fn a_name_that_amqp_cannot_say_is_told() {
        assert!(Place::new("c".repeat(242), "r").checked().is_ok());
        let long = Place::new("c".repeat(243), "r").checked();
        assert!(long.unwrap_err().to_string().contains("242 bytes"));
        let events = Events::at("e".repeat(235)).heard_by([Listener::named("amends").unwrap()]);
        assert!(Place::events_only(events.clone()).checked().is_ok());
        let long = Events { at: "e".repeat(236), ..events };
        assert!(Place::events_only(long).checked().is_err());
    }
}
