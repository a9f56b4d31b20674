//! The brokers, as a test needs them: what each is in tests, how a definition and the command line name it,
//! and either end of a place there. Shared by the tests of the command line and by those of orders over brokers.

mod kafka;
mod nats;
mod rabbitmq;
mod running;
mod sqs;

use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use futures_util::future::BoxFuture;

pub use kafka::Kafka;
pub use nats::Nats;
pub use rabbitmq::RabbitMq;
pub use running::Running;
pub use sqs::Sqs;

/// A broker. `short` is the first word of a place's queues.
pub trait Broker: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it is in tests.
    fn make(&self) -> testbed::Make;

    /// The option of `amends serve` that says where it is.
    fn option(&self) -> &'static str;

    /// How the definition says that a service is behind it: `nats: { … }`.
    fn binding(&self, short: &str) -> String;

    /// Where the events of a place are published.
    fn events(&self, short: &str) -> String {
        format!("{short}.events")
    }

    /// How a definition says that events are told there, and nothing is asked for.
    fn telling(&self, short: &str) -> String {
        format!("{}: {{ events: {} }}", self.name(), self.events(short))
    }

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

    /// One end of a place. What is missing is made.
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
