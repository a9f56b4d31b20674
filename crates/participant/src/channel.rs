//! What the kit asks of a broker.

use std::fmt;

use amends_wire::Headers;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::message::Message;

/// A service's connection to a broker: its queue of commands, and the ways out.
pub trait Channel: Send + Sync + 'static {
    /// The next command; waits until there is one.
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>>;

    /// It is taken care of, and comes no more.
    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// It was not, and comes again, to this service or another copy of it.
    fn give_back(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// It cannot be, and goes to where people look.
    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>>;

    /// Publishes a message; resolves when the broker has confirmed that it has it.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>>;
}

/// A command as it came off the queue.
#[derive(Clone)]
pub struct Received {
    /// For what is done with it.
    pub tag: Tag,
    /// The command's body, out of its envelope.
    pub body: Bytes,
    /// CloudEvents attributes and others, by lower-case name.
    pub attributes: Vec<(String, String)>,
}

/// Which delivery: the broker's own, opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u64);

impl Headers for Received {
    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.attributes.iter().filter(|(known, _)| known == name);
        let first = values.next()?;
        if values.next().is_some() { None } else { Some(&first.1) }
    }
}

/// A body may hold what must not be logged.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("tag", &self.tag)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The broker cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("the broker cannot be used: {0}")]
pub struct ChannelError(pub String);
