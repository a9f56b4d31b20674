//! Ends of places at RabbitMQ.

use std::sync::Arc;

use amends_transport::Channel;
use amends_transport_rabbitmq::{Place, Server, connect};

use super::{Connect, Connecting};

/// Connects an end of a place.
pub(super) fn connecting(
    url: &str,
    [exchange, commands, replies]: [&String; 3],
    Connecting { end, events, create }: Connecting<'_>,
) -> Connect {
    let server = Server::new(url);
    let place = Place {
        exchange: exchange.clone(),
        commands: commands.clone(),
        replies: replies.clone(),
        events: events.map(str::to_owned),
    };
    Box::new(move || {
        let (server, place) = (server.clone(), place.clone());
        Box::pin(async move {
            let connected = connect(&server, place, end, create).await;
            let (channel, topology) = connected.map_err(|error| error.to_string())?;
            Ok((Arc::new(channel) as Arc<dyn Channel>, topology))
        })
    })
}
