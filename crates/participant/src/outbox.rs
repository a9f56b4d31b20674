//! The relay of the outbox: what was committed with the business leaves for the broker.

mod aside;
mod rest;

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amends_transport::{CONFIRMED_WITHIN, Channel, ChannelError, Message};
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use crate::database::Database;
use crate::participant::Participant;
pub(crate) use aside::Aside;
use rest::Rest;

/// How many messages are looked at in one go: a transaction is open while they are published.
const BATCH_MAX: u16 = 100;

/// How many of those that were not taken before are tried in one pass, behind the others: some of
/// them may never be.
const AGAIN_MAX: usize = 10;

/// How often the outbox is looked at without being told: another copy of the service may have
/// written there and died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many messages may find the broker away in one pass before it ends: it is then, rather than
/// the place of those messages alone. One that it refuses by its word holds up nothing.
const AWAY_MAX: usize = 10;

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

/// What a pass over the outbox has come to.
#[derive(Default)]
struct Pass {
    sent: usize,
    /// How many were refused by the broker's word for the first time.
    newly_refused: usize,
    failed: Option<ChannelError>,
}

impl Pass {
    /// May the next one go on to others?
    const fn has_moved(&self) -> bool {
        self.sent > 0 || self.newly_refused > 0
    }
}

impl<D: Database> Participant<D> {
    /// Publishes what is in the outbox, some of each saga in its order, and takes out what the
    /// broker has confirmed. One that the broker refuses stays, and those of its saga behind it;
    /// the others go past it, in this pass or the next ones: what was not refused before comes
    /// first. How many messages left; none when there is nothing, or others hold it.
    ///
    /// # Errors
    ///
    /// The database; or the broker, where it took nothing. What was not confirmed is published
    /// again later.
    pub async fn relay_once(&self, channel: &dyn Channel) -> Result<usize, RelayError> {
        let Pass { sent, failed, .. } = self.pass(channel).await?;
        failed.filter(|_| sent == 0).map_or(Ok(sent), |e| Err(e.into()))
    }

    async fn pass(&self, channel: &dyn Channel) -> sqlx::Result<Pass> {
        // Where rows cannot be held, one of this participant's relays is at work at a time.
        let _alone = if D::HOLDS_ROWS { None } else { Some(self.0.relaying.lock().await) };
        let mut held = Held::<D>::begin(self).await?;
        let batch = held.batch(self).await?;
        let mut pass = Pass::default();
        let mut away = 0;
        for (id, message) in batch {
            let error = match confirmed(channel.publish(&message)).await {
                Ok(()) => {
                    D::remove(held.connection(), id).await?;
                    self.aside().forget(id);
                    pass.sent += 1;
                    continue;
                }
                Err(error) => error,
            };
            let (times, pause) = self.aside().put(id, Instant::now());
            warn!(
                saga_id = message.saga_id,
                message_id = message.id,
                kind = message.kind.as_str(),
                times,
                "a message of the outbox was not taken; it stays there, with those of its saga \
                 behind it, and is tried again in {pause:?}: {error}"
            );
            let goes_on = match &error {
                ChannelError::Refused(_) => {
                    pass.newly_refused += usize::from(times == 1);
                    true
                }
                ChannelError::Away(_) => {
                    away += 1;
                    away < AWAY_MAX
                }
                // The next would be waited for as long, with the transaction open.
                ChannelError::Unknown(_) => false,
            };
            pass.failed = Some(error);
            if !goes_on {
                break;
            }
        }
        held.end().await?;
        Ok(pass)
    }

    /// Relays until it is dropped: at once what this service commits, and once a second whatever
    /// else is there. While the broker cannot be used it rests, longer each time.
    pub async fn relay(&self, channel: Arc<dyn Channel>) {
        let mut rest = Rest::default();
        loop {
            match self.pass(&*channel).await {
                Ok(pass) if pass.has_moved() => {
                    debug!(pass.sent, pass.newly_refused, "relayed");
                    rest.end();
                    continue;
                }
                Ok(Pass { failed: None | Some(ChannelError::Refused(_)), .. }) => rest.end(),
                Ok(Pass { failed: Some(e), .. }) => {
                    let pause = rest.next();
                    error!("the outbox is not relayed; it is tried again in {pause:?}: {e}");
                    sleep(pause).await;
                    continue;
                }
                Err(e) => {
                    let pause = rest.next();
                    error!("the outbox cannot be read; it is tried again in {pause:?}: {e}");
                    sleep(pause).await;
                    continue;
                }
            }
            let told = self.0.outbox_written.notified();
            let _ = timeout(LOOK_EVERY, told).await;
        }
    }

    /// Relays what is there as long as anything moves.
    pub(crate) async fn relay_the_rest(&self, channel: &dyn Channel) {
        while self.pass(channel).await.is_ok_and(|pass| pass.has_moved()) {}
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.0.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the broker's word only so long: one that never gives it must not hold up all others,
/// nor the transaction that may be open meanwhile.
pub(crate) async fn confirmed(
    word: impl Future<Output = Result<(), ChannelError>>,
) -> Result<(), ChannelError> {
    let late = || ChannelError::Unknown(format!("it confirmed nothing in {CONFIRMED_WITHIN:?}"));
    timeout(CONFIRMED_WITHIN, word).await.unwrap_or_else(|_| Err(late()))
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
    /// is asked after the rows are held, so that what came before one of them is seen. Where all
    /// of the first rows were refused before, those behind them are looked at; what was refused,
    /// and may be tried now, comes last, and only some of it.
    async fn batch(&mut self, participant: &Participant<D>) -> sqlx::Result<Vec<(i64, Message)>> {
        let (mut after, mut batch, mut again) = (0, Vec::new(), Vec::new());
        while batch.is_empty() {
            let first = D::first(self.connection(), after, BATCH_MAX).await?;
            let Some((last, _)) = first.last() else { break };
            after = *last;
            let heads = D::heads(self.connection(), after).await?;
            let (aside, now) = (participant.aside(), Instant::now());
            for (id, message) in first.into_iter().filter(|(id, _)| heads.contains(id)) {
                if aside.is_new(id) {
                    batch.push((id, message));
                } else if again.len() < AGAIN_MAX && aside.is_due(id, now) {
                    again.push((id, message));
                }
            }
        }
        batch.append(&mut again);
        Ok(batch)
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
        let error = confirmed(Silent.publish(&message)).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), CONFIRMED_WITHIN.as_secs());
        assert!(error.to_string().contains("it confirmed nothing in 10s"), "{error}");
    }
}
