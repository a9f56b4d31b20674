//! Services behind NATS JetStream.

use std::sync::Arc;

use amends_transport::{Channel, End};
use amends_transport_nats::{Place, Server, connect};

use super::Connect;

/// Connects the engine's end of a service's subjects.
pub(super) fn connecting(
    url: &str,
    [stream, commands, replies]: [&String; 3],
    create: bool,
) -> Connect {
    let server = Server::new(url);
    let place = Place {
        stream: stream.clone(),
        commands: commands.clone(),
        replies: replies.clone(),
        events: None,
    };
    Box::new(move || {
        let (server, place) = (server.clone(), place.clone());
        Box::pin(async move {
            let connected = connect(&server, place, End::Engine, create).await;
            let (channel, topology) = connected.map_err(|error| error.to_string())?;
            Ok((Arc::new(channel) as Arc<dyn Channel>, topology))
        })
    })
}
