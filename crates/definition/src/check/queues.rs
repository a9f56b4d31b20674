//! Queues: each is for one thing, since whoever takes from a queue takes all that is in it.

use super::Subject;
use crate::file::{Field, PatternWord};
use crate::finding::Findings;
use crate::rule::Rule;
use crate::tree::shorten;

/// What a queue is for.
struct Use<'a> {
    broker: &'static str,
    queue: &'a Field<String>,
    /// Commands, replies or events.
    what: &'static str,
    /// Whose, in words.
    whose: String,
    of_service: bool,
}

/// The uses in each broker's section.
macro_rules! uses {
    ($uses:ident, $file:expr, $whose:expr, $of_service:literal; $($broker:ident: $($what:ident),*;)*) => {
        $(if let Some(section) = &$file.$broker {
            $(if let Some(queue) = &section.value.$what {
                $uses.push(Use {
                    broker: stringify!($broker),
                    queue,
                    what: stringify!($what),
                    whose: $whose,
                    of_service: $of_service,
                });
            })*
        })*
    };
}

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let file = subject.file;
    // Without a coordinator every service reads all of it.
    if file.pattern.as_ref().is_some_and(|p| p.value == PatternWord::Choreography) {
        return;
    }
    let mut uses: Vec<Use<'_>> = Vec::new();
    for (name, service) in file.services.iter().flat_map(|f| &f.value.0) {
        let whose = || format!("the service `{}`", shorten(&name.value));
        uses!(uses, service, whose(), true;
            kafka: commands, replies;
            rabbitmq: commands, replies;
            nats: commands, replies;
            sqs: commands, replies;
        );
    }
    if let Some(messaging) = file.messaging.as_ref().map(|f| &f.value) {
        let whose = || "the saga type".to_owned();
        // Events over NATS lie below the name that is said.
        uses!(uses, messaging, whose(), false;
            kafka: commands, replies, events;
            rabbitmq: commands, replies, events;
            nats: commands, replies;
            sqs: commands, replies, events;
        );
    }
    for (place, here) in uses.iter().enumerate() {
        let same = |other: &&Use<'_>| {
            other.broker == here.broker
                && other.queue.value == here.queue.value
                && !may_share(other, here)
        };
        if let Some(other) = uses[..place].iter().find(same) {
            let message = format!(
                "`{}` is for the {} of {}, and here for the {} of {}",
                shorten(&here.queue.value),
                other.what,
                other.whose,
                here.what,
                here.whose
            );
            findings.add(Rule::SharedQueue, here.queue.span, message);
        }
    }
}

/// One worker may carry out the commands of several services, and answer each over its own queue.
fn may_share(one: &Use<'_>, other: &Use<'_>) -> bool {
    let commands_of_service = |of: &Use<'_>| of.of_service && of.what == "commands";
    commands_of_service(one) && commands_of_service(other)
}
