//! The outbox is relayed while a participant serves, and a little longer.

use std::sync::Arc;
use std::time::Duration;

use amends_transport::Channel;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, warn};

use super::pause::PAUSE;
use crate::database::Database;
use crate::participant::Participant;
use crate::word::unpanicked;

/// How long the outbox is relayed at the end: who stops a service kills it soon, after 30 s as a
/// rule, and what is in the outbox by then is not lost.
pub(super) const LAST_RELAYED_WITHIN: Duration = Duration::from_secs(10);

/// A relay at work, over a channel that signs by itself where anything is signed.
pub(crate) struct Relaying {
    stop: watch::Sender<bool>,
    // In a set, since a task alone would go on when this is dropped.
    at_work: JoinSet<()>,
}

impl Relaying {
    /// Relays from now on, until this is dropped or ended.
    pub(crate) fn begin<D: Database>(
        participant: &Participant<D>,
        channel: &Arc<dyn Channel>,
    ) -> Self {
        let (relay, over) = (participant.clone(), Arc::clone(channel));
        let (stop, stopped) = watch::channel(false);
        let mut at_work = JoinSet::new();
        at_work.spawn(async move {
            let relay = || {
                let mut stopped = stopped.clone();
                let stopped = async move {
                    // Or what it is of is gone, and this with it.
                    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
                };
                relay.relay_until(stopped, Arc::clone(&over), &[])
            };
            while let Err(why) = unpanicked(relay()).await {
                error!("the relay of the outbox panicked; it is begun again: {why}");
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { stop, at_work }
    }

    /// Says before the end what was said last, if the broker takes it in time.
    pub(crate) async fn end(mut self) {
        self.stop.send_replace(true);
        if timeout(LAST_RELAYED_WITHIN, self.at_work.join_next()).await.is_err() {
            warn!("what is left in the outbox is relayed when the service is there again");
            self.at_work.shutdown().await;
        }
    }
}
