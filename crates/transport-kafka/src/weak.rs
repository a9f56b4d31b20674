//! What of a topic's settings is weaker than the promise that a confirmed message is not lost.

use std::time::Duration;

use rdkafka::admin::ConfigResource;

use crate::topology::Needed;

/// What a topic is set to.
pub(crate) struct Settings<'a>(pub(crate) &'a ConfigResource);

impl Settings<'_> {
    fn text(&self, name: &str) -> &str {
        let entry = self.0.get(name).and_then(|entry| entry.value.as_deref());
        entry.unwrap_or_default()
    }

    /// None also where it is -1: no limit.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }
}

/// What is too weak, each with what to set, for a topic with this many copies.
pub(crate) fn weaknesses(topic: &Needed, copies: usize, settings: &Settings<'_>) -> Vec<String> {
    let mut weak = Vec::new();
    // Kafka syncs the disk when it pleases: what a confirmed message rests on is its copies.
    if copies < 2 && settings.number("flush.messages") != Some(1) {
        weak.push(
            "it has one copy, and its broker syncs the disk when it pleases: give it three, or, \
             where there is one broker, set flush.messages to 1"
                .to_owned(),
        );
    }
    if copies > 1 && settings.number("min.insync.replicas").is_none_or(|least| least < 2) {
        weak.push(
            "a message is confirmed when one broker has it: set min.insync.replicas to 2"
                .to_owned(),
        );
    }
    if settings.text("unclean.leader.election.enable") == "true" {
        weak.push(
            "a broker that lacks messages may come to lead: set unclean.leader.election.enable to \
             false"
                .to_owned(),
        );
    }
    if settings.text("cleanup.policy").contains("compact") {
        weak.push(
            "of each saga it keeps the last message alone: set cleanup.policy to delete".to_owned(),
        );
    }
    let stay = settings.number("retention.ms").map(Duration::from_millis);
    if let Some(stays) = stay
        && topic.stay.is_none_or(|stay| stays < stay)
    {
        weak.push(match topic.stay {
            Some(stay) => format!(
                "messages go after {} h whether they were taken or not: set retention.ms to {} or \
                 more, or to -1",
                stays.as_secs() / 3600,
                stay.as_millis()
            ),
            None => format!(
                "dead letters go after {} h whether anyone has looked at them or not: set \
                 retention.ms to -1",
                stays.as_secs() / 3600
            ),
        });
    }
    if settings.number("retention.bytes").is_some() {
        weak.push(
            "when it is full the oldest messages go, taken or not: set retention.bytes to -1"
                .to_owned(),
        );
    }
    weak
}
