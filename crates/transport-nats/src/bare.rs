//! The client by itself, for whoever measures.

use amends_transport::{Acknowledging, Bare, ChannelError, End, without_login};
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::place::{ConnectError, Place, Server};
use crate::topology::prepare;

struct BareNats {
    jetstream: jetstream::Context,
    subject: String,
    messages: Mutex<Stream>,
}

/// Connects an end of a place, and makes what is missing.
///
/// # Errors
///
/// The server cannot be reached, or something cannot be made.
pub async fn bare(server: &Server, place: &Place, end: End) -> Result<impl Bare, ConnectError> {
    let client = server.options().await?.connect(server.addresses()).await;
    let client = client.map_err(|error| ConnectError::Unreachable {
        url: without_login(&server.url),
        why: error.to_string(),
    })?;
    let jetstream = jetstream::new(client);
    let (consumer, _) = prepare(&jetstream, server, place, &end, true).await?;
    let subject = place.queues.as_ref().and_then(|queues| queues.filled_by(&end));
    let (Some(consumer), Some(subject)) = (consumer, subject.map(str::to_owned)) else {
        return Err(ConnectError::Missing {
            what: "queues at a place of events alone".to_owned(),
            way: "say those of its commands and replies".to_owned(),
        });
    };
    let messages = consumer.messages().await.map_err(|error| ConnectError::Topology {
        what: format!("consumer {}", consumer.cached_info().name),
        why: error.to_string(),
    })?;
    Ok(BareNats { jetstream, subject, messages: Mutex::new(messages) })
}

fn away(error: impl std::fmt::Display) -> ChannelError {
    ChannelError::Away(error.to_string())
}

impl Bare for BareNats {
    fn publish<'a>(&'a self, _: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let sent = self.jetstream.publish(self.subject.clone(), body).await.map_err(away)?;
            sent.await.map(drop).map_err(away)
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<(Bytes, Acknowledging), ChannelError>> {
        Box::pin(async move {
            let next = self.messages.lock().await.next().await;
            let message = next.ok_or_else(|| away("the stream has ended"))?.map_err(away)?;
            let body = message.payload.clone();
            let acknowledging: Acknowledging =
                Box::pin(async move { message.ack().await.map_err(away) });
            Ok((body, acknowledging))
        })
    }
}
