//! Where a service's messages are: its queues.

use amends_transport::{End, Queues};

const FIFO: &str = ".fifo";

const DEAD_LETTERS: &str = "-dead-letters";

/// As many characters as a queue's name has at most.
const NAME_MAX: usize = 80;

/// Where the messages of a service are. Each queue is said by its name, or by its URL where it is
/// another account's; one that is said by its URL is never made. A name that ends in `.fifo` is that of
/// a queue that keeps order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The queues of commands and replies. Without them an end takes nothing, and only publishes
    /// events.
    pub queues: Option<Queues>,
    /// The queue of its events, which one reads. Without it the service publishes none.
    pub events: Option<String>,
}

impl Place {
    /// The queues of commands and replies.
    pub fn new(commands: impl Into<String>, replies: impl Into<String>) -> Self {
        Self { queues: Some(Queues::new(commands, replies)), events: None }
    }

    /// With events that are published to this queue.
    #[must_use]
    pub fn with_events(self, events: impl Into<String>) -> Self {
        Self { events: Some(events.into()), ..self }
    }

    /// Where an end puts aside what cannot be taken.
    pub fn dead_letters(&self, end: End) -> Option<String> {
        Some(dead_letters(self.queues.as_ref()?.taken_by(end)))
    }

    /// All that it says, without where dead letters go.
    pub(crate) fn said(&self) -> impl Iterator<Item = &String> {
        let queues = self.queues.iter().flat_map(|queues| [&queues.commands, &queues.replies]);
        queues.chain(&self.events)
    }

    /// Names that SQS does not take.
    pub(crate) fn checked(&self) -> Result<(), ConnectError> {
        let ends = [End::Engine, End::Service].map(|end| self.dead_letters(end));
        for said in self.said().chain(ends.iter().flatten()) {
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

/// Where is put aside what cannot be taken from a queue.
pub(crate) fn dead_letters(queue: &str) -> String {
    match queue.strip_suffix(FIFO) {
        Some(queue) => format!("{queue}{DEAD_LETTERS}{FIFO}"),
        None => format!("{queue}{DEAD_LETTERS}"),
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
            assert_eq!(place(commands).dead_letters(End::Service).as_deref(), Some(dead));
            assert_eq!(is_fifo(commands), is_fifo(dead));
        }
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
