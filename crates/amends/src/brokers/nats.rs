//! Places at NATS JetStream.

use amends_transport::Queues;
use amends_transport_nats::{Place, Server};

super::place_at!(amends_transport_nats);

/// The place that is described.
pub(super) fn place(url: &str, stream: &str, queues: Option<Queues>, events: Option<String>) -> At {
    At { server: Server::new(url), place: Place { stream: stream.to_owned(), queues, events } }
}
