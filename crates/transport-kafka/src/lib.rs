//! Commands, replies and events over Apache Kafka.
//!
//! One [`connect`] makes each end: the engine's, which takes replies, a service's, which takes commands,
//! or a listener's, which takes events. Messages are CloudEvents in binary mode: each attribute is a header `ce_<name>`, the
//! body is the value, the saga's id is the key, so that a saga's messages lie in one partition, in
//! their order.
//!
//! Kafka knows no single message, only how far a group has read a partition. So an end remembers
//! which messages before that mark are open (`marks`), and one that is given back waits in its
//! memory (`waiting`): the mark stays before it, and a crash brings it again.

mod bare;
mod channel;
mod client;
mod intake;
mod marks;
#[allow(unsafe_code)]
mod native;
mod outlet;
mod place;
mod questions;
mod record;
mod topology;
mod waiting;
mod weak;

pub use bare::bare;
pub use channel::{KafkaChannel, connect};
pub use place::{ConnectError, Place, Server};
pub use topology::examine;
