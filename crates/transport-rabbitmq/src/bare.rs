//! The client by itself, for whoever measures.

use amends_transport::{Acknowledging, Bare, ChannelError, End, UNSETTLED_MAX};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, Connection, Consumer};
use tokio::sync::Mutex;

use crate::place::{ConnectError, Place};
use crate::server::{Server, words};
use crate::topology::prepare;

/// What a message needs to be kept over a restart.
const PERSISTENT: u8 = 2;

const PREFETCH: u16 = {
    assert!(UNSETTLED_MAX <= u16::MAX as usize);
    UNSETTLED_MAX as u16
};

struct BareRabbit {
    /// Kept open.
    _connections: [Connection; 2],
    publishing: lapin::Channel,
    exchange: String,
    key: String,
    messages: Mutex<Consumer>,
}

/// Connects an end of a place, and makes what is missing. What is confirmed is on a connection of its
/// own, all of it on one channel.
///
/// # Errors
///
/// The server cannot be reached, or something cannot be made.
pub async fn bare(server: &Server, place: &Place, end: End) -> Result<impl Bare, ConnectError> {
    let filled = place.queues.as_ref().and_then(|queues| queues.filled_by(&end));
    let (Some(key), Some(queue)) = (filled, place.taken_by(&end)) else {
        return Err(ConnectError::Missing {
            what: "queues at a place of events alone".to_owned(),
            way: "say those of its commands and replies".to_owned(),
        });
    };
    let (taking, publishing) = (server.connect().await?, server.connect().await?);
    prepare(&taking, place, &end, true).await?;
    let opened = async {
        let channel = taking.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let messages =
            channel.basic_consume(queue.as_str().into(), "".into(), options, none).await?;
        let channel = publishing.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok((messages, channel))
    };
    let (messages, channel) = opened.await.map_err(|error: lapin::Error| {
        ConnectError::Topology { what: "a channel".to_owned(), why: words(&error) }
    })?;
    Ok(BareRabbit {
        _connections: [taking, publishing],
        publishing: channel,
        exchange: place.exchange.clone(),
        key: key.to_owned(),
        messages: Mutex::new(messages),
    })
}

fn away(error: &lapin::Error) -> ChannelError {
    ChannelError::Away(words(error))
}

impl Bare for BareRabbit {
    fn publish<'a>(&'a self, _: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let (exchange, key) = (self.exchange.as_str().into(), self.key.as_str().into());
            let sent =
                self.publishing.basic_publish(exchange, key, options, &body, properties).await;
            let word = sent.map_err(|error| away(&error))?.await;
            match word.map_err(|error| away(&error))? {
                Confirmation::Ack(None) => Ok(()),
                other => Err(ChannelError::Away(format!("it is not confirmed: {other:?}"))),
            }
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<(Bytes, Acknowledging), ChannelError>> {
        Box::pin(async move {
            let next = self.messages.lock().await.next().await;
            let ended = || ChannelError::Away("the server brings nothing more".to_owned());
            let delivery = next.ok_or_else(ended)?.map_err(|error| away(&error))?;
            let (acker, body) = (delivery.acker, delivery.data.into());
            let acknowledging: Acknowledging = Box::pin(async move {
                let told = acker.ack(BasicAckOptions::default()).await;
                told.map(drop).map_err(|error| away(&error))
            });
            Ok((body, acknowledging))
        })
    }
}
