//! The relay of the outbox: what was committed with the business leaves for the broker.

mod aside;

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_transport::{CONFIRMED_WITHIN, Channel, ChannelError, Message};
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use crate::database::Database;
use crate::participant::Participant;
use aside::Aside;

/// How many messages are looked at in one go: a transaction is open while they are published.
const BATCH_MAX: u16 = 100;

/// How often the outbox is looked at without being told: another copy of the service may have
/// written there and died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many messages may be refused in one go before it ends: the broker is away then, rather
/// than the messages at fault. Those behind them are gone on to in the next one.
const REFUSED_MAX: usize = 10;

/// What a relay may fail of; what it held stays in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database.
    #[error("the outbox cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// The broker.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl<D: Database> Participant<D> {
    /// Publishes what is in the outbox, some of each saga in its order, and takes out what the
    /// broker has confirmed. One that the broker refuses stays, and those of its saga behind it;
    /// the others go past it. How many messages left; none when there is nothing, or others hold
    /// it.
    ///
    /// # Errors
    ///
    /// The database; or the broker, where it took nothing. What was not confirmed is published
    /// again later.
    pub async fn relay_once(&self, channel: &dyn Channel) -> Result<usize, RelayError> {
        self.relay_past(channel, &mut Aside::default()).await
    }

    async fn relay_past(
        &self,
        channel: &dyn Channel,
        aside: &mut Aside,
    ) -> Result<usize, RelayError> {
        // Where rows cannot be held, one of this participant's relays is at work at a time.
        let _alone = if D::HOLDS_ROWS { None } else { Some(self.0.relaying.lock().await) };
        let mut held = Held::<D>::begin(self).await?;
        let batch = held.heads(aside).await?;
        let (mut sent, mut refused) = (0, 0);
        let mut failed = None;
        for (id, message) in batch {
            match publish(channel, &message).await {
                Ok(()) => {
                    D::remove(held.connection(), id).await?;
                    aside.forget(id);
                    sent += 1;
                }
                Err(e) => {
                    let (times, pause) = aside.put(id, Instant::now());
                    warn!(
                        saga_id = message.saga_id,
                        message_id = message.id,
                        kind = message.kind.as_str(),
                        times,
                        "a message of the outbox was not taken; it stays there, with those of its \
                         saga behind it, and is tried again in {pause:?}: {e}"
                    );
                    failed = Some(e);
                    refused += 1;
                }
            }
            if refused >= REFUSED_MAX {
                break;
            }
        }
        held.end().await?;
        failed.filter(|_| sent == 0).map_or(Ok(sent), |e| Err(e.into()))
    }

    /// Relays until it is dropped: at once what this service commits, and once a second whatever
    /// else is there.
    pub async fn relay(&self, channel: Arc<dyn Channel>) {
        let mut aside = Aside::default();
        loop {
            match self.relay_past(&*channel, &mut aside).await {
                Ok(0) => {}
                Ok(sent) => {
                    debug!(sent, "relayed");
                    continue;
                }
                Err(e) => error!("the outbox is not relayed; it is tried again: {e}"),
            }
            let told = self.0.outbox_written.notified();
            let _ = timeout(LOOK_EVERY, told).await;
        }
    }
}

/// Publishes, and waits for the broker's word only so long: one that never gives it must not hold
/// up all others, nor the transaction that is open meanwhile.
pub(crate) async fn publish(channel: &dyn Channel, message: &Message) -> Result<(), ChannelError> {
    let published = timeout(CONFIRMED_WITHIN, channel.publish(message)).await;
    let late = || ChannelError::Unknown(format!("it confirmed nothing in {CONFIRMED_WITHIN:?}"));
    published.unwrap_or_else(|_| Err(late()))
}

/// What is held of the outbox while it is published.
enum Held<D: Database> {
    Rows(Transaction<'static, D>),
    Nothing(PoolConnection<D>),
}

impl<D: Database> Held<D> {
    async fn begin(participant: &Participant<D>) -> sqlx::Result<Self> {
        let pool = participant.pool();
        if D::HOLDS_ROWS {
            Ok(Self::Rows(D::begin_relay(pool).await?))
        } else {
            Ok(Self::Nothing(pool.acquire().await?))
        }
    }

    fn connection(&mut self) -> &mut D::Connection {
        match self {
            Self::Rows(transaction) => transaction,
            Self::Nothing(connection) => connection,
        }
    }

    /// The first messages of sagas: none of them has one before it that is not published yet. It
    /// is asked after the rows are held, so that what came before one of them is seen. Where none
    /// of the first rows may be tried now, those behind them are looked at.
    async fn heads(&mut self, aside: &Aside) -> sqlx::Result<Vec<(i64, Message)>> {
        let mut after = 0;
        loop {
            let first = D::first(self.connection(), after, BATCH_MAX).await?;
            let Some((last, _)) = first.last() else { return Ok(Vec::new()) };
            after = *last;
            let heads = D::heads(self.connection(), after).await?;
            let now = Instant::now();
            let due = |id: &i64| heads.contains(id) && aside.is_due(*id, now);
            let batch: Vec<_> = first.into_iter().filter(|(id, _)| due(id)).collect();
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }

    async fn end(self) -> sqlx::Result<()> {
        match self {
            Self::Rows(transaction) => transaction.commit().await,
            Self::Nothing(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_transport::Kind;
    use amends_transport::{Received, Tag};
    use futures_util::future::{BoxFuture, pending};

    /// A broker that takes everything and says nothing.
    struct Silent;

    impl Channel for Silent {
        fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
            Box::pin(pending())
        }

        fn acknowledge(&self, _: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
            Box::pin(pending())
        }

        fn give_back(&self, _: Tag, _: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
            Box::pin(pending())
        }

        fn dead_letter<'a>(
            &'a self,
            _: Tag,
            _: &'a str,
        ) -> BoxFuture<'a, Result<(), ChannelError>> {
            Box::pin(pending())
        }

        fn publish<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
            Box::pin(pending())
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            Box::pin(pending())
        }
    }

    /// On a clock that goes on as soon as all wait.
    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_is_waited_for_only_so_long() {
        let message = Message {
            id: "m".to_owned(),
            saga_id: "s".to_owned(),
            kind: Kind::Event,
            name: "Acted".to_owned(),
            attributes: Vec::new(),
            body: "1".into(),
        };
        let begun = tokio::time::Instant::now();
        let error = publish(&Silent, &message).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), CONFIRMED_WITHIN.as_secs());
        assert!(error.to_string().contains("it confirmed nothing in 10s"), "{error}");
    }
}
