//! Ends of places at Kafka.

use std::path::Path;
use std::sync::Arc;

use amends_transport::Channel;
use amends_transport_kafka::{Place, Server, connect};

use super::{Connect, Connecting};

/// Connects an end of a place, with the settings of a file.
pub(super) fn connecting(
    addresses: &str,
    settings: Option<&Path>,
    [commands, replies]: [&String; 2],
    Connecting { end, events, create }: Connecting<'_>,
) -> Result<Connect, String> {
    let mut server = Server::new(addresses);
    if let Some(path) = settings {
        server = server.with_file(path).map_err(|error| error.to_string())?;
    }
    let place = Place {
        commands: commands.clone(),
        replies: replies.clone(),
        events: events.map(str::to_owned),
    };
    Ok(Box::new(move || {
        let (server, place) = (server.clone(), place.clone());
        Box::pin(async move {
            let connected = connect(&server, place, end, create).await;
            let (channel, topology) = connected.map_err(|error| error.to_string())?;
            Ok((Arc::new(channel) as Arc<dyn Channel>, topology))
        })
    }))
}
