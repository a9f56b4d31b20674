//! Places at RabbitMQ.

use amends_transport_rabbitmq::{Place, Server};

super::place_at!(amends_transport_rabbitmq);

/// The place that is described.
pub(super) fn place(
    url: &str,
    [exchange, commands, replies]: [&String; 3],
    events: Option<String>,
) -> At {
    let place = Place {
        exchange: exchange.clone(),
        commands: commands.clone(),
        replies: replies.clone(),
        events,
    };
    At { server: Server::new(url), place }
}
