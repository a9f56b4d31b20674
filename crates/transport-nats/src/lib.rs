//! Commands, replies and events over NATS JetStream.
//!
//! One [`connect`] makes each end: the engine's, which takes replies, a service's, which takes commands,
//! or a listener's, which takes events. Messages are CloudEvents in binary mode: each attribute is a header `ce-<name>`, the
//! body is the payload, and `Nats-Msg-Id` lets the server drop a message that is published again
//! within the stream's duplicate window.

mod bare;
mod channel;
mod letter;
mod place;
mod topology;
mod words;

pub use bare::bare;
pub use channel::{NatsChannel, connect};
pub use place::{ConnectError, Login, Place, Server};
pub use topology::examine;
