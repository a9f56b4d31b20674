//! What is asked of a broker, at any end: the engine's, which publishes commands and takes replies, a
//! service's, which takes commands and publishes replies and events, and a listener's, which takes
//! events and publishes events.
//!
//! A broker brings a message at least once, until it is acknowledged. Everything else that a saga
//! needs is made of that: the engine acknowledges a reply when its fact is on disk, a service a
//! command when its answer is.

use std::fmt;
use std::time::Duration;

use amends_wire::Headers;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::events::Listener;

/// How many messages one end may hold that are not settled: a reader that is slow must not gather
/// a queue in its memory, and one that dies must not have held up many.
pub const UNSETTLED_MAX: usize = 256;

/// One end's connection to a broker: the queue it takes from, and the ways out. It connects again
/// by itself, and what it held then comes again, to it or to another copy.
///
/// A `Tag` that is no longer held (the connection it came over is gone) can be settled all the
/// same: nothing happens.
pub trait Channel: Send + Sync + 'static {
    /// The next message; waits until there is one, and while [`UNSETTLED_MAX`] are not settled.
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>>;

    /// It is taken care of, and comes no more.
    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// It is not, and comes again, no sooner than after this time, to this end or another copy of
    /// it.
    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// It cannot be, and goes to where people look, with the reason.
    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>>;

    /// Publishes a message; resolves when the broker has confirmed that it keeps it.
    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>>;

    /// Is it connected, as far as it knows? While it is not, that nothing comes says nothing.
    fn is_there(&self) -> bool {
        true
    }

    /// Leaves: takes nothing more, and leaves to others what it holds and has not settled.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Whose end of a broker it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The engine's: takes replies.
    Engine,
    /// A service's: takes commands.
    Service,
    /// A listener's: takes every event of the place, its own among them. Its subscription outlives it:
    /// what is published while no copy of it is there waits for the next. It has all from when the
    /// subscription was made; a broker that keeps events brings what it still has from before, too.
    Listener(Listener),
}

impl End {
    /// What it takes.
    pub const fn takes(&self) -> Kind {
        match self {
            Self::Engine => Kind::Reply,
            Self::Service => Kind::Command,
            Self::Listener(_) => Kind::Event,
        }
    }
}

/// A message as it came off the queue.
#[derive(Clone)]
pub struct Received {
    /// For what is done with it.
    pub tag: Tag,
    /// The body, out of its envelope.
    pub body: Bytes,
    /// Headers by lower-case names, CloudEvents attributes as `ce-<name>`
    /// ([`open`](amends_wire::envelope::open)).
    pub headers: Vec<(String, String)>,
    /// How often it was brought, this time included, where the broker counts it; 1 otherwise.
    pub deliveries: u32,
}

/// Which delivery: the channel's own, opaque elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

impl Headers for Received {
    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let first = values.next()?;
        if values.next().is_some() { None } else { Some(&first.1) }
    }
}

/// A body may hold what must not be logged (S24).
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("tag", &self.tag)
            .field("body_bytes", &self.body.len())
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

/// A message as it leaves.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its own, the same at every publishing: a broker that knows it drops the second.
    pub id: String,
    /// The saga that it belongs to: a broker with partitions takes it as the key, so that messages
    /// of one saga arrive in their order.
    pub saga_id: String,
    /// Where it goes.
    pub kind: Kind,
    /// The event's type: a command's full name, a reply's, or `InventoryReserved`.
    pub name: String,
    /// CloudEvents attributes by their bare names, and headers beside them, which have a hyphen.
    pub attributes: Vec<(String, String)>,
    /// JSON text.
    pub body: Bytes,
}

/// A body may hold what must not be logged (S24).
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("saga_id", &self.saga_id)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// To a service.
    Command,
    /// To the engine.
    Reply,
    /// To whoever listens.
    Event,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Command, Self::Reply, Self::Event];

    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Reply => "reply",
            Self::Event => "event",
        }
    }

    /// What a place calls where such messages go.
    const fn place(self) -> &'static str {
        match self {
            Self::Command => "commands",
            Self::Reply => "replies",
            Self::Event => "events",
        }
    }

    /// Reads it back.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Why something could not be done with a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// It was not, and may be by and by: the broker is away, or has no room.
    #[error("the broker cannot be used: {0}")]
    Away(String),
    /// Perhaps it was, and perhaps not: the broker's word was lost.
    #[error("the broker's answer was lost: {0}")]
    Unknown(String),
    /// It was not and never will be: too large a message, or a place that is not there.
    #[error("the broker refuses it: {0}")]
    Refused(String),
}

impl ChannelError {
    /// A place has nothing for such messages.
    pub fn nowhere(kind: Kind) -> Self {
        let place = kind.place();
        Self::Refused(format!("nothing says where {place} are published: give the place `{place}`"))
    }
}
