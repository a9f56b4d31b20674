//! Places at RabbitMQ.

use amends_transport::{Events, Queues};
use amends_transport_rabbitmq::{Place, Server};

super::place_at!(amends_transport_rabbitmq);

/// The place that is described.
pub(super) fn place(
    url: &str,
    exchange: &str,
    queues: Option<Queues>,
    events: Option<Events>,
) -> At {
    At { server: Server::new(url), place: Place { exchange: exchange.to_owned(), queues, events } }
}
