//! Commands, replies and events over Amazon SQS, or what speaks as it does.
//!
//! One [`connect`] makes each end: the engine's, which takes replies, a service's, which takes commands,
//! or a listener's, which takes events. Messages are CloudEvents in structured mode: attributes and payload stand in one JSON
//! text, and plain JSON is taken as it comes. Where a queue's name ends in `.fifo` the messages of a
//! saga keep their order, and what is published again within five minutes is dropped.
//!
//! There is no connection that could break: a message that is taken is hidden from others for a time,
//! which its end extends for as long as it holds it.

mod bare;
mod batches;
mod channel;
mod characters;
mod letter;
mod place;
mod queue;
mod server;
mod topology;
mod words;

pub use bare::bare;
pub use channel::{SqsChannel, connect};
pub use letter::REASON;
pub use place::{ConnectError, Place};
pub use server::{Login, Server};
pub use topology::examine;
