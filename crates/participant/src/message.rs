//! A message as it leaves the service.

use std::fmt;

/// A reply or a domain event on its way to the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its own, the same at every publishing.
    pub id: String,
    /// The saga that it belongs to: messages of one saga are published in their order, and a
    /// broker with partitions takes it as the key.
    pub saga_id: String,
    /// Where it goes.
    pub kind: Kind,
    /// The event's type: `InventoryReserved`, or the reply's.
    pub name: String,
    /// CloudEvents attributes by their bare names.
    pub attributes: Vec<(String, String)>,
    /// JSON text.
    pub body: String,
}

/// A body may hold what must not be logged.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("saga_id", &self.saga_id)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To the engine.
    Reply,
    /// To whoever listens.
    Event,
}

impl Kind {
    /// As the outbox has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Event => "event",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Reply, Self::Event].into_iter().find(|kind| kind.as_str() == name)
    }
}
