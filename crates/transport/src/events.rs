//! The events of a place, and who listens to them.

use std::fmt;
use std::sync::Arc;

use crate::channel::End;

/// As many characters as a listener's name has at most: beside those of the place it has to fit into
/// what a broker takes for a name.
const NAME_MAX: usize = 64;

/// Who listens, by a name that every broker can say: `InventoryService`. All copies of that name share
/// one subscription, and so the work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener(Arc<str>);

impl Listener {
    /// Of this name.
    ///
    /// # Errors
    ///
    /// It has other characters than letters, digits, `-` and `_`, none at all, or more than 64.
    pub fn named(name: &str) -> Result<Self, Unspeakable> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(plain) {
            Ok(Self(name.into()))
        } else {
            Err(Unspeakable(name.to_owned()))
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that not every broker can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a listener: it has letters, digits, `-` and `_`, and 1 to {NAME_MAX} of them"
)]
pub struct Unspeakable(String);

/// Where the events of a place go, and who listens to them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Events {
    /// What the broker has for them: a topic, an exchange, a queue, or what stands before their names
    /// in a subject.
    pub at: String,
    /// Who is known to listen. Where a subscription has only what comes after it was made, whoever
    /// connects makes those of all of them, so that what is published before one first comes waits for
    /// it; and at a broker that gives a message to one alone it is published for each of them.
    pub listeners: Vec<Listener>,
}

impl Events {
    /// At this place, and nobody is known to listen.
    pub fn at(at: impl Into<String>) -> Self {
        Self { at: at.into(), listeners: Vec::new() }
    }

    /// With these known to listen.
    #[must_use]
    pub fn heard_by(self, listeners: impl IntoIterator<Item = Listener>) -> Self {
        Self { listeners: listeners.into_iter().collect(), ..self }
    }

    /// With the listener whose end this is known to listen, where it is one's.
    #[must_use]
    pub fn heard_at(mut self, end: &End) -> Self {
        if let End::Listener(listener) = end
            && !self.listeners.contains(listener)
        {
            self.listeners.push(listener.clone());
        }
        self
    }
}

impl From<&str> for Events {
    fn from(at: &str) -> Self {
        Self::at(at)
    }
}

impl From<String> for Events {
    fn from(at: String) -> Self {
        Self::at(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_every_broker_can_say() {
        for name in ["InventoryService", "amends", "a-1_b", &"x".repeat(NAME_MAX)] {
            assert_eq!(Listener::named(name).unwrap().name(), name);
        }
        for name in ["", "a.b", "a b", "a*", ">", "é", &"x".repeat(NAME_MAX + 1)] {
            let error = Listener::named(name).unwrap_err().to_string();
            assert!(error.contains("letters, digits") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn whoever_listens_is_known_to() {
        let [a, b] = ["a", "b"].map(|name| Listener::named(name).unwrap());
        let events = Events::at("orders.events").heard_by([a.clone()]);
        assert_eq!(events.clone().heard_at(&End::Engine), events);
        assert_eq!(events.clone().heard_at(&End::Listener(a.clone())), events);
        assert_eq!(events.heard_at(&End::Listener(b.clone())).listeners, [a, b]);
    }
}
