//! Over which brokers an order's services are reached.

use crate::broker::{Broker, Kafka, Nats, RabbitMq, Sqs};

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
