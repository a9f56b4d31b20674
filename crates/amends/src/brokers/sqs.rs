//! Places at Amazon SQS.

use std::sync::Arc;

use amends_transport::{Bare, Channel, End, Topology};
use amends_transport_sqs::{Place, Server, bare, connect, examine};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// A place, and where the service is that has it.
pub(super) struct At {
    server: Server,
    place: Place,
}

/// The place that is described.
pub(super) fn place(at: &str, [commands, replies]: [&String; 2], events: Option<String>) -> At {
    let place = Place { commands: commands.clone(), replies: replies.clone(), events };
    At { server: Server::new(at), place }
}

impl super::Place for At {
    fn connect(&self, end: End, create: bool) -> super::Connected {
        let (server, place) = (self.server.clone(), self.place.clone());
        async move {
            let connected = connect(&server, place, end, create).await;
            let (channel, topology) = connected.map_err(|error| error.to_string())?;
            Ok((Arc::new(channel) as Arc<dyn Channel>, topology))
        }
        .boxed()
    }

    fn examine(&self) -> BoxFuture<'static, Result<Topology, String>> {
        let (server, place) = (self.server.clone(), self.place.clone());
        async move { examine(&server, &place).await.map_err(|error| error.to_string()) }.boxed()
    }

    fn bare(&self, end: End) -> BoxFuture<'static, Result<Arc<dyn Bare>, String>> {
        let (server, place) = (self.server.clone(), self.place.clone());
        async move {
            let bare = bare(&server, &place, end).await.map_err(|error| error.to_string())?;
            Ok(Arc::new(bare) as Arc<dyn Bare>)
        }
        .boxed()
    }
}
