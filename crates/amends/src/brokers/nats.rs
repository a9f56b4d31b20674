//! Places at NATS JetStream.

use amends_transport_nats::{Place, Server};

super::place_at!(amends_transport_nats);

/// The place that is described.
pub(super) fn place(
    url: &str,
    [stream, commands, replies]: [&String; 3],
    events: Option<String>,
) -> At {
    let place = Place {
        stream: stream.clone(),
        commands: commands.clone(),
        replies: replies.clone(),
        events,
    };
    At { server: Server::new(url), place }
}
