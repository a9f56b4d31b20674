//! What a broker's own client does by itself, with the same promises: messages are kept before they are
//! confirmed, and come again until they are acknowledged. The measure for what a channel, and an engine
//! over it, make of the broker.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ChannelError;

/// One end of a place, as the client has it: nothing is held, counted, or connected again.
pub trait Bare: Send + Sync + 'static {
    /// Publishes to the other end; resolves when the broker has confirmed that it keeps it. Where the
    /// broker has partitions the key says which.
    fn publish<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), ChannelError>>;

    /// The next message, and what acknowledges it.
    fn receive(&self) -> BoxFuture<'_, Result<(Bytes, Acknowledging), ChannelError>>;
}

/// Acknowledges a message when it is awaited.
pub type Acknowledging = BoxFuture<'static, Result<(), ChannelError>>;
