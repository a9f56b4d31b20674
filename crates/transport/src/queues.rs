//! The two queues of a place, whatever a broker calls a queue.

use crate::channel::End;

/// Two queues, by the names that the broker has for them: one to a service, one to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queues {
    /// That of commands.
    pub commands: String,
    /// That of replies.
    pub replies: String,
}

impl Queues {
    /// By these names.
    pub fn new(commands: impl Into<String>, replies: impl Into<String>) -> Self {
        Self { commands: commands.into(), replies: replies.into() }
    }

    /// The one that an end takes from; a listener takes from neither.
    pub fn taken_by(&self, end: &End) -> Option<&str> {
        match end {
            End::Engine => Some(&self.replies),
            End::Service => Some(&self.commands),
            End::Listener(_) => None,
        }
    }

    /// The one that an end publishes to; a listener publishes to neither.
    pub fn filled_by(&self, end: &End) -> Option<&str> {
        match end {
            End::Engine => Some(&self.commands),
            End::Service => Some(&self.replies),
            End::Listener(_) => None,
        }
    }
}
