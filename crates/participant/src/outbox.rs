//! The relay of the outbox: what was committed with the business leaves for the broker.

mod aside;
mod held;
mod rest;
mod turn;

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amends_transport::{Channel, ChannelError, Message, Signing};
use amends_wire::signature::Secret;
use tokio::time::sleep;
use tracing::{debug, error, warn};

use crate::about::trace_id;
use crate::database::Database;
use crate::participant::Participant;
use crate::word::confirmed;
pub(crate) use aside::Aside;
use held::Held;
use rest::Rest;

/// How many messages are looked at in one go: a transaction is open while they are published.
const BATCH_MAX: u16 = 100;

/// How many of those that were not taken before are tried in one pass, behind the others: some of
/// them may never be.
const AGAIN_MAX: usize = 10;

/// How often the outbox is looked at without being told: another copy of the service may have
/// written there and died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same while it is another process's turn: it may be over before that one is told of what was
/// written here.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    /// How many were refused for the first time, by the broker's word or because they cannot be
    /// read.
    newly_refused: usize,
    failed: Option<ChannelError>,
    /// It was another process's turn.
    is_anothers: bool,
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
    /// first. One that cannot be read stays the same way. How many messages left; none when there
    /// is nothing, or others hold it. They are signed where the participant has a secret.
    ///
    /// # Errors
    ///
    /// The database; or the broker, where it took nothing. What was not confirmed is published
    /// again later.
    pub async fn relay_once(&self, channel: &dyn Channel) -> Result<usize, RelayError> {
        let Pass { sent, failed, .. } = self.pass(channel, self.0.secrets.as_slice()).await?;
        failed.filter(|_| sent == 0).map_or(Ok(sent), |e| Err(e.into()))
    }

    async fn pass(&self, channel: &dyn Channel, secrets: &[Secret]) -> sqlx::Result<Pass> {
        let mut pass = Pass::default();
        // Where rows cannot be held, one of this participant's relays is at work at a time.
        let _alone = if D::HOLDS_ROWS { None } else { Some(self.0.relaying.lock().await) };
        let Some(mut held) = Held::<D>::begin(self).await? else {
            pass.is_anothers = true;
            return Ok(pass);
        };
        let batch = held.batch(self).await?;
        let mut away = 0;
        for (id, row) in batch {
            let message = match row {
                Ok(message) => message,
                Err(unreadable) => {
                    let (times, pause) = self.aside().put(id, Instant::now());
                    pass.newly_refused += usize::from(times == 1);
                    error!(
                        saga_id = unreadable.saga_id,
                        id,
                        times,
                        "a row of the outbox cannot be read; it stays there, with those of its \
                         saga behind it, and is looked at again in {pause:?}: {}",
                        unreadable.why
                    );
                    continue;
                }
            };
            let signed = Signing::sign(secrets, &message);
            let error = match confirmed(async { channel.publish(&signed).await }).await {
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
                trace_id = trace_of(&message),
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
    /// else is there. While the broker cannot be used it rests, longer each time. The messages are
    /// signed where the participant has a secret.
    pub async fn relay(&self, channel: Arc<dyn Channel>) {
        self.relay_until(pending(), channel, self.0.secrets.as_slice()).await;
    }

    /// The same, with these secrets, until `stop`: then once more all that can leave, so that no pass
    /// is broken off between the broker's word and the note of it.
    pub(crate) async fn relay_until(
        &self,
        stop: impl Future<Output = ()>,
        channel: Arc<dyn Channel>,
        secrets: &[Secret],
    ) {
        let (mut stop, mut is_stopped) = (pin!(stop), false);
        let mut rest = Rest::default();
        loop {
            let (pause, is_told) = match self.pass(&*channel, secrets).await {
                Ok(pass) if pass.has_moved() => {
                    debug!(pass.sent, pass.newly_refused, "relayed");
                    rest.end();
                    continue;
                }
                Ok(Pass { is_anothers: true, .. }) => (LOOK_AGAIN, true),
                Ok(Pass { failed: None | Some(ChannelError::Refused(_)), .. }) => {
                    rest.end();
                    (LOOK_EVERY, true)
                }
                Ok(Pass { failed: Some(e), .. }) => {
                    let pause = rest.next();
                    error!("the outbox is not relayed; it is tried again in {pause:?}: {e}");
                    (pause, false)
                }
                Err(e) => {
                    let pause = rest.next();
                    error!("the outbox cannot be read; it is tried again in {pause:?}: {e}");
                    (pause, false)
                }
            };
            if is_stopped {
                return;
            }
            tokio::select! {
                () = &mut stop => is_stopped = true,
                () = self.0.outbox_written.notified(), if is_told => {}
                () = sleep(pause) => {}
            }
        }
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.0.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trace that a message belongs to.
fn trace_of(message: &Message) -> &str {
    let said = message.attributes.iter().find(|(name, _)| name == "traceparent");
    trace_id(said.map(|(_, value)| value.as_str()))
}
