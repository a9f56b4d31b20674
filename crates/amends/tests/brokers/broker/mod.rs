//! The brokers, and over which of them an order's services are reached.

mod kafka;
mod nats;
mod rabbitmq;
mod sqs;

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use futures_util::future::BoxFuture;

pub use kafka::Kafka;
pub use nats::Nats;
pub use rabbitmq::RabbitMq;
pub use sqs::Sqs;

/// A broker as a run needs it. `short` is the first word of a service's queues.
pub trait Broker: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it is in tests.
    fn make(&self) -> testbed::Make;

    /// The option of `amends serve` that says where it is.
    fn option(&self) -> &'static str;

    /// How the definition says that a service is behind it: `nats: { … }`.
    fn binding(&self, short: &str) -> String;

    /// What the server's environment says, to come in there.
    fn env(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// It keeps nothing when it is killed, so it is only cut off: a door before it is shut.
    fn forgets(&self) -> bool {
        false
    }

    /// How long its queues must be there before it finds them again after a loss of power.
    fn kept_after(&self) -> Duration {
        Duration::ZERO
    }

    /// One end of a service's place. What is missing is made.
    fn connect<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<Arc<dyn Channel>, String>>;

    /// How many messages this end of it has put aside, as the broker itself tells.
    fn dead_letters<'a>(
        &'a self,
        url: &'a str,
        short: &'a str,
        end: End,
    ) -> BoxFuture<'a, Result<u64, String>>;
}

/// Which service is behind which broker, in the order of the steps.
pub struct Way {
    pub name: &'static str,
    pub over: [&'static dyn Broker; 4],
}

/// Each broker alone, and each service behind another one.
pub static WAYS: [Way; 5] = [
    Way { name: "nats", over: [&Nats; 4] },
    Way { name: "rabbitmq", over: [&RabbitMq; 4] },
    Way { name: "kafka", over: [&Kafka; 4] },
    Way { name: "sqs", over: [&Sqs; 4] },
    Way { name: "mixed", over: [&Kafka, &RabbitMq, &Nats, &Sqs] },
];

impl Way {
    /// The one of this name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        let names: Vec<&str> = WAYS.iter().map(|way| way.name).collect();
        let found = WAYS.iter().find(|way| way.name == name);
        found.ok_or_else(|| format!("there is no way {name:?}; there are {}", names.join(", ")))
    }

    /// Its brokers, each once.
    pub fn brokers(&self) -> Vec<&'static dyn Broker> {
        let mut brokers: Vec<&'static dyn Broker> = Vec::new();
        for broker in self.over {
            if brokers.iter().all(|known| known.name() != broker.name()) {
                brokers.push(broker);
            }
        }
        brokers
    }
}

/// The broker of this name.
pub fn named(name: &str) -> Option<&'static dyn Broker> {
    WAYS.iter().flat_map(|way| way.over).find(|broker| broker.name() == name)
}
