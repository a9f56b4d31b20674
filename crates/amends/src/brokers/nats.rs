//! Places at NATS JetStream.

use std::path::Path;

use amends_transport::{Events, Queues};
use amends_transport_nats::{Place, Server};

super::place_at!(amends_transport_nats);

/// The place that is described.
pub(super) fn place(
    url: &str,
    credentials: Option<&Path>,
    stream: &str,
    queues: Option<Queues>,
    events: Option<Events>,
) -> Result<At, String> {
    let mut server = Server::new(url);
    if let Some(path) = credentials {
        server = server.with_credentials(path).map_err(|error| error.to_string())?;
    }
    Ok(At { server, place: Place { stream: stream.to_owned(), queues, events } })
}
