//! The streams of a place, as we make them, and what is weaker where somebody else did.

use std::time::Duration;

use amends_transport::{Events, Queues};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::place::{Place, dead_events, dead_letters, every_event};

/// How long the server knows a message by its id. An engine publishes a command again at its next
/// attempt, which has another id; what comes again with the same is a publisher that lost the
/// server's word.
const KNOWN_FOR: Duration = Duration::from_secs(2 * 60);

/// How long events stay for whoever listens: it may be down over a weekend.
const EVENTS_STAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A stream that has to be there, as we make it.
pub(super) struct Needed {
    pub(super) config: Config,
}

impl Needed {
    /// Commands and replies go when they are acknowledged, dead letters when a person takes them out.
    pub(super) fn of_queues(place: &Place, Queues { commands, replies }: &Queues) -> Self {
        let dead_letters = [commands, replies].map(|subject| dead_letters(subject));
        let subjects = [commands.clone(), replies.clone()].into_iter().chain(dead_letters);
        Self::until_taken(
            place.stream.clone(),
            "Commands and replies of sagas, and what could not be taken",
            subjects.collect(),
        )
    }

    /// Events stay for a time, whoever has heard them.
    pub(super) fn of_events(place: &Place, events: &Events) -> Self {
        let config = Config {
            name: format!("{}_EVENTS", place.stream),
            description: Some("Events of a service".to_owned()),
            subjects: vec![every_event(&events.at)],
            retention: RetentionPolicy::Limits,
            max_age: EVENTS_STAY,
            storage: StorageType::File,
            duplicate_window: KNOWN_FOR,
            ..Config::default()
        };
        Self { config }
    }

    /// What listeners could not take, which nobody is to hear as an event, nor to lose with them.
    pub(super) fn of_dead_events(place: &Place, events: &Events) -> Self {
        Self::until_taken(
            format!("{}_EVENTS_DEAD_LETTERS", place.stream),
            "Events that whoever listens could not take",
            vec![format!("{}.>", dead_events(&events.at))],
        )
    }

    fn until_taken(name: String, description: &str, subjects: Vec<String>) -> Self {
        let config = Config {
            name,
            description: Some(description.to_owned()),
            subjects,
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            duplicate_window: KNOWN_FOR,
            ..Config::default()
        };
        Self { config }
    }

    /// What of the stream that is there is weaker than the promise that a confirmed message is not
    /// lost.
    pub(super) fn weaknesses(&self, found: &Config) -> Vec<String> {
        let lacks = |subject: &&String| !found.subjects.iter().any(|held| takes(held, subject));
        let lacking = self.config.subjects.iter().filter(lacks);
        let mut weak: Vec<String> = lacking
            .map(|subject| format!("it does not take {subject}: add that to its subjects"))
            .collect();
        let mut say = |why: &str| weak.push(why.to_owned());
        if found.storage == StorageType::Memory {
            say("it is kept in memory and lost with the server: set its storage to file");
        }
        let stay = self.config.max_age;
        if found.max_age > Duration::ZERO && stay.is_zero() {
            say("messages go after its max_age whether they were taken or not: set none");
        }
        if found.max_age > Duration::ZERO && found.max_age < stay {
            say(
                "events go after its max_age whether they were heard or not: set seven days or more",
            );
        }
        if found.retention == RetentionPolicy::WorkQueue && !stay.is_zero() {
            say("an event goes when one has heard it: set its retention to limits");
        }
        if found.max_messages > 0 || found.max_bytes > 0 {
            let drops = found.discard == DiscardPolicy::Old;
            if drops {
                say("when it is full the oldest message is dropped: set its discard to new");
            }
        }
        if found.no_ack {
            say("it confirms nothing: turn no_ack off");
        }
        if found.num_replicas == 1 {
            say("it has one replica, and the server syncs its disk every two minutes unless \
                 sync_interval says otherwise: where a machine may lose its power, set \
                 sync_interval to always, or three replicas");
        }
        weak
    }
}

/// Whether a stream whose subject this is, perhaps with wildcards, takes all that the other one means.
pub(super) fn takes(held: &str, subject: &str) -> bool {
    let (mut held, mut said) = (held.split('.'), subject.split('.'));
    loop {
        match (held.next(), said.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(said)) if said != ">" => {}
            (Some(held), Some(said)) if held == said => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loses_an_event_before_all_have_heard_it_is_named() {
        let (place, events) = (Place::events_only("S", "s.events"), Events::at("s.events"));
        let needed = Needed::of_events(&place, &events);
        let sound = Config { num_replicas: 3, ..needed.config.clone() };
        assert_eq!(needed.weaknesses(&sound), [""; 0]);
        assert_eq!(
            needed.weaknesses(&Config { max_age: 2 * EVENTS_STAY, ..sound.clone() }),
            [""; 0]
        );
        let hour = Duration::from_secs(3600);
        for (found, named) in [
            (Config { max_age: hour, ..sound.clone() }, "seven days or more"),
            (Config { retention: RetentionPolicy::WorkQueue, ..sound.clone() }, "to limits"),
            (Config { storage: StorageType::Memory, ..sound.clone() }, "storage to file"),
            (Config { max_messages: 9, ..sound.clone() }, "discard to new"),
            (Config { subjects: vec!["s.events.A".to_owned()], ..sound }, "take s.events.>"),
        ] {
            let weak = needed.weaknesses(&found);
            assert!(weak.len() == 1 && weak[0].contains(named), "{named}: {weak:?}");
        }
    }

    #[test]
    fn a_stream_takes_what_its_subjects_say() {
        for held in ["a.b", "a.*", "*.b", "a.>", ">"] {
            assert!(takes(held, "a.b"), "{held}");
        }
        for held in ["a", "a.b.c", "a.c", "a.b.>", "*", "b.>"] {
            assert!(!takes(held, "a.b"), "{held}");
        }
        assert!(takes("a.>", "a.>") && takes("a.>", "a.b.>") && !takes("a.*", "a.>"));
    }
}
