//! Places at Kafka.

use std::path::Path;

use amends_transport::{Events, Queues};
use amends_transport_kafka::{Place, Server};

super::place_at!(amends_transport_kafka);

/// The place that is described.
pub(super) fn place(
    addresses: &str,
    settings: Option<&Path>,
    queues: Option<Queues>,
    events: Option<Events>,
) -> Result<At, String> {
    let mut server = Server::new(addresses);
    if let Some(path) = settings {
        server = server.with_file(path).map_err(|error| error.to_string())?;
    }
    Ok(At { server, place: Place { queues, events } })
}
