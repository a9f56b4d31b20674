//! The relay of the outbox: what was committed with the business leaves for the broker.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use tokio::time::timeout;
use tracing::{debug, error};

use crate::channel::{Channel, ChannelError};
use crate::database::Database;
use crate::message::Message;
use crate::participant::Participant;

/// How many messages are looked at in one go: a transaction is open while they are published.
const BATCH_MAX: u16 = 100;

/// How often the outbox is looked at without being told: another copy of the service may have
/// written there and died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a broker may take to confirm a message: one that never does must not hold up all
/// others, nor the transaction that is open meanwhile.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);

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
    /// broker has confirmed. How many messages left; none when there is nothing, or others hold
    /// it.
    ///
    /// # Errors
    ///
    /// The broker or the database; what was not confirmed is published again later.
    pub async fn relay_once(&self, channel: &dyn Channel) -> Result<usize, RelayError> {
        let mut held = Held::<D>::begin(self).await?;
        let batch = held.heads().await?;
        let mut sent = 0;
        let mut failed = None;
        for (id, message) in batch {
            if let Err(e) = publish(channel, &message).await {
                failed = Some(e);
                break;
            }
            D::remove(held.connection(), id).await?;
            sent += 1;
        }
        held.end().await?;
        failed.map_or(Ok(sent), |e| Err(e.into()))
    }

    /// Relays until it is dropped: at once what this service commits, and once a second whatever
    /// else is there.
    pub async fn relay(&self, channel: Arc<dyn Channel>) {
        loop {
            match self.relay_once(&*channel).await {
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

/// Publishes, and waits for the broker's word only so long.
pub(crate) async fn publish(channel: &dyn Channel, message: &Message) -> Result<(), ChannelError> {
    let published = timeout(CONFIRMED_WITHIN, channel.publish(message)).await;
    let late = || ChannelError(format!("it confirmed nothing in {CONFIRMED_WITHIN:?}"));
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
    /// is asked after the rows are held, so that what came before one of them is seen.
    async fn heads(&mut self) -> sqlx::Result<Vec<(i64, Message)>> {
        let first = D::first(self.connection(), BATCH_MAX).await?;
        let Some((last, _)) = first.last() else { return Ok(Vec::new()) };
        let heads = D::heads(self.connection(), *last).await?;
        Ok(first.into_iter().filter(|(id, _)| heads.contains(id)).collect())
    }

    async fn end(self) -> sqlx::Result<()> {
        match self {
            Self::Rows(transaction) => transaction.commit().await,
            Self::Nothing(_) => Ok(()),
        }
    }
}
