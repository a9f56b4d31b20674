//! What a queue's messages come over.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Connection, Consumer};
use tokio::time::timeout;

use crate::ahead::Ahead;
use crate::place::ConnectError;
use crate::server::words;

/// How long the server may take to say goodbye. What it was not told in time it notices by itself.
pub(crate) const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Incoming {
    connection: Connection,
    channel: lapin::Channel,
    queue: String,
    consumer: Consumer,
    ahead: Ahead,
}

impl Incoming {
    pub(crate) async fn over(connection: Connection, queue: &str) -> Result<Self, ConnectError> {
        let ahead = Ahead::new();
        let consumed = async {
            let channel = connection.create_channel().await?;
            let consumer = consume(&channel, queue, ahead.prefetch()).await?;
            Ok((channel, consumer))
        };
        let (channel, consumer) = consumed.await.map_err(|error: lapin::Error| {
            ConnectError::Topology { what: format!("queue {queue}"), why: words(&error) }
        })?;
        Ok(Self { connection, channel, queue: queue.to_owned(), consumer, ahead })
    }

    /// The next one, or why there is none.
    pub(crate) async fn next(&mut self) -> Result<Delivery, String> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(error)) => Err(words(&error)),
            None => Err("the server brings no more of the queue: is it there?".to_owned()),
        }
    }

    /// A body of this size came. Where memory is for another number of such, what was brought and not
    /// read goes back to its place in the queue, and that many are asked for.
    pub(crate) async fn came(&mut self, bytes: usize) -> Result<(), String> {
        if !self.ahead.came(bytes) {
            return Ok(());
        }
        let again = async {
            let tag = self.consumer.tag();
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
            while let Some(unread) = self.consumer.next().await {
                give_back(&unread?.acker).await;
            }
            consume(&self.channel, &self.queue, self.ahead.prefetch()).await
        };
        self.consumer = again.await.map_err(|error: lapin::Error| words(&error))?;
        Ok(())
    }

    /// The server has what was settled, and brings to others what was not.
    pub(crate) async fn close(self) {
        let closing = async {
            let _ = self.channel.close(200, "OK".into()).await; // they are gone already
            let _ = self.connection.close(200, "OK".into()).await;
        };
        let _ = timeout(CLOSED_WITHIN, closing).await;
    }
}

async fn consume(
    channel: &lapin::Channel,
    queue: &str,
    prefetch: u16,
) -> Result<Consumer, lapin::Error> {
    // It counts for the consumer that is made next.
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(queue.into(), "".into(), options, none).await
}

/// Gives a message back to its queue.
pub(crate) async fn give_back(acker: &Acker) {
    let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    let _ = acker.nack(options).await; // where its connection is gone it comes anyway
}
