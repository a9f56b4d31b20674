//! Commands, replies and events over RabbitMQ.
//!
//! One [`connect`] makes each end: the engine's, which takes replies, a service's, which takes commands,
//! or a listener's, which takes events. Messages are CloudEvents in structured mode: attributes and payload stand in one JSON
//! text, and plain JSON is taken as it comes.
//!
//! The client below logs at `warn` what no queue took, with its body: where bodies must not be
//! logged, leave the target `lapin` out. What it means is said here, without them.

mod ahead;
mod bare;
mod channel;
mod incoming;
mod letter;
mod place;
mod publisher;
mod server;
mod topology;

pub use bare::bare;
pub use channel::{RabbitChannel, connect};
pub use letter::REASON;
pub use place::{ConnectError, Place};
pub use server::Server;
pub use topology::examine;
