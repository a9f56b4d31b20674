//! Where a service's messages are: its queues.

use amends_transport::{End, Events, Listener, Queues};

const FIFO: &str = ".fifo";

const DEAD_LETTERS: &str = "-dead-letters";

/// As many characters as a queue's name has at most.
const NAME_MAX: usize = 80;

/// Where the messages of a service are. Each queue is said by its name, or by its URL where it is
/// another account's; one that is said by its URL is never made. A name that ends in `.fifo` is that of
/// a queue that keeps order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The queues of commands and replies. Without them no end takes either.
    pub queues: Option<Queues>,
    /// Where its events go: to a queue of each listener that is known, named after this one and it; where
    /// none is known to the queue of this name, which one reads. Without it none is published, and
    /// nobody listens.
    pub events: Option<Events>,
}

impl Place {
    /// The queues of commands and replies.
    pub fn new(commands: impl Into<String>, replies: impl Into<String>) -> Self {
        Self { queues: Some(Queues::new(commands, replies)), events: None }
    }

    /// A place of events alone.
    pub fn events_only(events: impl Into<Events>) -> Self {
        Self { queues: None, events: Some(events.into()) }
    }

    /// With events that are published there.
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

    /// The queues that an event is published to.
    pub(crate) fn hearing(&self) -> Vec<String> {
        let Some(events) = &self.events else { return Vec::new() };
        if events.listeners.is_empty() {
            return vec![events.at.clone()];
        }
        events.listeners.iter().map(|listener| heard_by(events, listener)).collect()
    }

    /// The ends that are known to take something here.
    pub(crate) fn ends(&self) -> Vec<End> {
        let listeners = self.events.iter().flat_map(|events| events.listeners.clone());
        [End::Service, End::Engine].into_iter().chain(listeners.map(End::Listener)).collect()
    }

    /// Every queue that it says, each once, with those of dead letters behind the others.
    pub(crate) fn all(&self) -> Vec<String> {
        let queues = self.queues.iter().flat_map(|queues| [&queues.commands, &queues.replies]);
        let dead_letters = self.ends().into_iter().filter_map(|end| self.dead_letters(&end));
        queues.cloned().chain(self.hearing()).chain(dead_letters).collect()
    }

    /// Names that SQS does not take.
    pub(crate) fn checked(&self) -> Result<(), ConnectError> {
        for said in &self.all() {
            if is_url(said) {
                continue;
            }
            let bare = said.strip_suffix(FIFO).unwrap_or(said);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if bare.is_empty() || said.len() > NAME_MAX || !bare.chars().all(plain) {
                return Err(ConnectError::Topology {
                    what: format!("queue {said}"),
                    why: format!(
                        "a name has letters, digits, `-` and `_`, at most {NAME_MAX} with its ending, \
                         or it is a URL"
                    ),
                });
            }
        }
        Ok(())
    }
}

/// The queue of a listener: of the same sort as the one that it is named after.
fn heard_by(events: &Events, listener: &Listener) -> String {
    named_after(&events.at, &format!("-{listener}"))
}

/// Where is put aside what cannot be taken from a queue.
pub(crate) fn dead_letters(queue: &str) -> String {
    named_after(queue, DEAD_LETTERS)
}

fn named_after(queue: &str, ending: &str) -> String {
    match queue.strip_suffix(FIFO) {
        Some(queue) => format!("{queue}{ending}{FIFO}"),
        None => format!("{queue}{ending}"),
    }
}

/// Whether a queue is said by its URL.
pub(crate) fn is_url(said: &str) -> bool {
    said.starts_with("https://") || said.starts_with("http://")
}

/// Whether a queue keeps order.
pub(crate) fn is_fifo(said: &str) -> bool {
    said.ends_with(FIFO)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// What was given says nowhere.
    #[error(
        "`{at}` does not say where SQS is: {why}; give a region, as eu-central-1, or an address"
    )]
    Server {
        /// What was given.
        at: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The service is not there, or does not know us.
    #[error("SQS at {at} cannot be reached: {why}")]
    Unreachable {
        /// The region, or the address.
        at: String,
        /// What the service says, or the client.
        why: String,
    },
    /// Something that has to be there is not, and was not to be made or could not be.
    #[error("SQS has no {what}: {way}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        way: String,
    },
    /// Something could not be looked at or made.
    #[error("{what} of SQS cannot be had: {why}")]
    Topology {
        /// What.
        what: String,
        /// What the service says.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(commands: &str) -> Place {
        Place::new(commands, "r")
    }

    #[test]
    fn dead_letters_lie_in_a_queue_of_the_same_sort() {
        for (commands, dead) in [
            ("desk", "desk-dead-letters"),
            ("desk.fifo", "desk-dead-letters.fifo"),
            ("https://h/1/desk.fifo", "https://h/1/desk-dead-letters.fifo"),
        ] {
            assert_eq!(place(commands).dead_letters(&End::Service).as_deref(), Some(dead));
            assert_eq!(is_fifo(commands), is_fifo(dead));
        }
    }

    #[test]
    fn each_listener_has_a_queue_of_the_same_sort() {
        let [pay, amends] = ["PayService", "amends"].map(|name| Listener::named(name).unwrap());
        let place = Place::events_only(Events::at("order-events.fifo").heard_by([amends]));
        assert_eq!(place.hearing(), ["order-events-amends.fifo"]);
        let place = place.heard_at(&End::Listener(pay));
        let queues = ["order-events-amends", "order-events-PayService"];
        assert_eq!(place.hearing(), queues.map(|queue| format!("{queue}.fifo")));
        let dead_letters = queues.map(|queue| format!("{queue}-dead-letters.fifo"));
        assert_eq!(place.all()[2..], dead_letters);
        assert_eq!(Place::events_only("order-events").hearing(), ["order-events"]);
    }

    #[test]
    fn a_name_that_sqs_does_not_take_is_told() {
        let longest = format!("{}.fifo", "x".repeat(NAME_MAX - DEAD_LETTERS.len() - FIFO.len()));
        for name in ["desk", "desk_1-a.fifo", &longest, "https://h/1/desk"] {
            assert!(place(name).checked().is_ok(), "{name}");
        }
        for name in ["", ".fifo", "desk.commands", "arn:aws:sqs:r:1:desk", &format!("x{longest}")] {
            let error = place(name).checked().unwrap_err().to_string();
            assert!(error.contains("letters, digits"), "{error}");
        }
    }
}
