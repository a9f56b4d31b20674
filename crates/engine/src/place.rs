//! Places at brokers that saga types name, and how far is heard what is said there.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_definition::Messaging;

/// A place at a broker that saga types name under `messaging`.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it is.
    pub messaging: Arc<Messaging>,
    /// The services of its types speak there among themselves, and this engine listens.
    pub choreographed: bool,
    /// These are they: some brokers have to be told who listens.
    pub services: BTreeSet<Arc<str>>,
}

impl Place {
    /// Are they one and the same, whoever may sign there?
    pub fn is(&self, other: &Self) -> bool {
        let at = |place: &Self| {
            let Messaging { broker, queues, events, .. } = &*place.messaging;
            // Nothing is asked for by message among services.
            let queues = queues.clone().filter(|_| !place.choreographed);
            (broker.clone(), queues, events.clone(), place.choreographed)
        };
        at(self) == at(other)
    }
}

/// How far is heard what services say of the sagas that they run among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Hearing {
    /// Nobody listens there.
    Nothing,
    /// Somebody does.
    Something,
    /// All is read that was said.
    All,
}
