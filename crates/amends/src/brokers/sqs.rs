//! Places at Amazon SQS.

use amends_transport::{Events, Queues};
use amends_transport_sqs::{Place, Server};

super::place_at!(amends_transport_sqs);

/// The place that is described.
pub(super) fn place(at: &str, queues: Option<Queues>, events: Option<Events>) -> At {
    At { server: Server::new(at), place: Place { queues, events } }
}
