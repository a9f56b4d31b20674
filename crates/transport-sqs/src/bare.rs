//! The client by itself, for whoever measures.

use std::collections::VecDeque;

use amends_transport::{Acknowledging, Bare, ChannelError, End};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::Message;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::batches::seconds;
use crate::place::{ConnectError, Place};
use crate::queue::Queue;
use crate::server::{ANSWERED_WITHIN, Server, answered_within};
use crate::topology::{Ways, prepare};
use crate::words::meaning;

/// As many as SQS brings at once.
const BROUGHT_MAX: i32 = 10;

struct BareSqs {
    client: Client,
    server: Server,
    to: Queue,
    from: Queue,
    brought: Mutex<VecDeque<Message>>,
}

/// Connects an end of a place, and makes what is missing. Each message is sent and deleted by a request
/// of its own.
///
/// # Errors
///
/// The service cannot be reached, or something cannot be made.
pub async fn bare(server: &Server, place: &Place, end: End) -> Result<impl Bare, ConnectError> {
    place.checked()?;
    let client = server.client().await?;
    let (found, _) = prepare(&client, server, place, &end, true).await?;
    let (to, from) = match (found.ways, end) {
        (Some(Ways { commands, replies }), End::Engine) => (commands, replies),
        (Some(Ways { commands, replies }), End::Service) => (replies, commands),
        (None, _) | (_, End::Listener(_)) => {
            return Err(ConnectError::Missing {
                what: "queues at a place of events alone".to_owned(),
                way: "say those of its commands and replies".to_owned(),
            });
        }
    };
    Ok(BareSqs { client, server: server.clone(), to, from, brought: Mutex::default() })
}

impl BareSqs {
    async fn next(&self) -> Result<Message, ChannelError> {
        let mut brought = self.brought.lock().await;
        loop {
            if let Some(message) = brought.pop_front() {
                return Ok(message);
            }
            let patience = answered_within(self.server.asked_for + ANSWERED_WITHIN);
            let question = self
                .client
                .receive_message()
                .queue_url(&self.from.url)
                .max_number_of_messages(BROUGHT_MAX)
                .wait_time_seconds(seconds(self.server.asked_for))
                .customize()
                .config_override(Builder::default().timeout_config(patience));
            let answer = question.send().await.map_err(|error| meaning(&error))?;
            brought.extend(answer.messages.unwrap_or_default());
        }
    }
}

impl Bare for BareSqs {
    fn publish<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            let body = String::from_utf8_lossy(&body).into_owned();
            let mut sent =
                self.client.send_message().queue_url(&self.to.url).message_body(body.clone());
            if self.to.is_fifo {
                sent = sent.message_group_id(key).message_deduplication_id(body);
            }
            sent.send().await.map(drop).map_err(|error| meaning(&error))
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<(Bytes, Acknowledging), ChannelError>> {
        Box::pin(async move {
            let message = self.next().await?;
            let deleting = self.client.delete_message().queue_url(&self.from.url);
            let deleting = deleting.set_receipt_handle(message.receipt_handle);
            let acknowledging: Acknowledging = Box::pin(async move {
                deleting.send().await.map(drop).map_err(|error| meaning(&error))
            });
            Ok((message.body.unwrap_or_default().into(), acknowledging))
        })
    }
}
