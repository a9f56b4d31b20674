//! Places at Kafka.

use amends_transport_kafka::{Place, Server};
use std::path::Path;

super::place_at!(amends_transport_kafka);

/// The place that is described.
pub(super) fn place(
    addresses: &str,
    settings: Option<&Path>,
    [commands, replies]: [&String; 2],
    events: Option<String>,
) -> Result<At, String> {
    let mut server = Server::new(addresses);
    if let Some(path) = settings {
        server = server.with_file(path).map_err(|error| error.to_string())?;
    }
    let place = Place { commands: commands.clone(), replies: replies.clone(), events };
    Ok(At { server, place })
}
