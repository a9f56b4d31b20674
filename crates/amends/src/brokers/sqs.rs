//! Places at Amazon SQS.

use amends_transport::Queues;
use amends_transport_sqs::{Place, Server};

super::place_at!(amends_transport_sqs);

/// The place that is described.
pub(super) fn place(at: &str, queues: Option<Queues>, events: Option<String>) -> At {
    At { server: Server::new(at), place: Place { queues, events } }
}
