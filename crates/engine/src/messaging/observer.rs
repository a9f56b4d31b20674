//! The observer of a place where services run sagas among themselves: it hears every event, and commands
//! nobody.
//!
//! An event is acknowledged when what it says is durable. What cannot be read, and what contradicts what
//! was heard, goes to the dead letters; what is of a definition that is not there yet waits for it.

use std::sync::Arc;
use std::time::Duration;

use amends_choreography::{GRACE, NotTaken, SagaEvent, Unreadable};
use amends_core::choreography::Said;
use amends_core::{Millis, Payload, SagaId, Time};
use amends_transport::{CONFIRMED_WITHIN, CaughtUp, Channel, ChannelError, Received};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{PAUSE, pause};
use crate::deployed::{Deployed, Place};
use crate::engine::Shared;
use crate::handle::Handle;
use crate::metrics::Overheard;
use crate::request::{Observation, Unobserved};

/// How long an event waits whose definition, or whose saga, is not known here, counted from when it was
/// said: as long as it takes to deploy a version everywhere.
const KNOWN_WITHIN: Millis = Millis::mins(60);

/// How often it is looked whether all is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
pub struct Observer {
    handle: Handle,
    place: Place,
    channel: Arc<dyn Channel>,
}

/// What becomes of an event.
enum Outcome {
    /// It is durable, or none of ours.
    Taken(Overheard),
    /// It comes again.
    Later(Overheard, String),
    /// It never can be taken.
    Dead(Overheard, String),
}

impl Observer {
    /// Listens at this end of the place.
    pub fn new(shared: &Arc<Shared>, place: &Place, channel: Arc<dyn Channel>) -> Self {
        let handle = Handle { shared: Arc::clone(shared) };
        Self { handle, place: place.clone(), channel }
    }

    /// Until told to stop. How many events are under way is the channel's limit.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut taking = JoinSet::new();
        let mut caught_up = CaughtUp::new(GRACE, this.now());
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One that was begun is awaited to its end: what it would have brought must not be lost.
        let mut receiving = this.receive();
        let mut stopped = std::pin::pin!(async move {
            let _ = stop.wait_for(|stop| *stop).await; // or whoever would tell is gone
        });
        loop {
            caught_up.asks();
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(taken) = taking.join_next(), if !taking.is_empty() => {
                    caught_up.brought(taken.ok().flatten(), this.now());
                }
                _ = look.tick() => {
                    let has_caught_up = caught_up.look(this.channel.is_there(), this.now());
                    let has_caught_up = has_caught_up && taking.is_empty();
                    this.handle.shared.registry.caught_up(&this.place, has_caught_up);
                }
                received = &mut receiving => {
                    match received {
                        Ok(received) => {
                            let this = Arc::clone(&this);
                            taking.spawn(async move { this.take(received).await });
                        }
                        Err(error) => {
                            tracing::error!("no event can be heard; it is tried again: {error}");
                            caught_up.is_behind();
                            sleep(PAUSE).await;
                        }
                    }
                    receiving = this.receive();
                }
            }
        }
        while taking.join_next().await.is_some() {}
        this.handle.shared.registry.caught_up(&this.place, false);
    }

    fn receive(&self) -> BoxFuture<'static, Result<Received, ChannelError>> {
        let channel = Arc::clone(&self.channel);
        async move { channel.receive().await }.boxed()
    }

    fn now(&self) -> Time {
        self.handle.shared.clock.now()
    }

    /// Takes one in. When it was said, where that can be read.
    async fn take(&self, received: Received) -> Option<Time> {
        let Received { tag, deliveries, .. } = received;
        let (said_at, outcome) = match SagaEvent::read(&received, &received.body) {
            Ok(event) => (Some(event.at), self.heard(event).await),
            Err(Unreadable::NotOurs) => (Some(self.now()), Outcome::Taken(Overheard::Other)),
            Err(why @ Unreadable::Newer(_)) => {
                (None, Outcome::Later(Overheard::PutOff, why.to_string()))
            }
            Err(Unreadable::Damaged(why)) => (
                Some(self.now()),
                Outcome::Dead(Overheard::Damaged, format!("DAMAGED_EVENT: {why}")),
            ),
        };
        let metrics = &self.handle.shared.metrics;
        let settled = match outcome {
            Outcome::Taken(overheard) => {
                metrics.overheard(overheard);
                timeout(CONFIRMED_WITHIN, self.channel.acknowledge(tag)).await
            }
            Outcome::Dead(overheard, why) => {
                metrics.overheard(overheard);
                tracing::error!("an event goes to the dead letters: {why}");
                timeout(CONFIRMED_WITHIN, self.channel.dead_letter(tag, &why)).await
            }
            Outcome::Later(overheard, why) => {
                // Once, and not each time that it comes.
                if deliveries == 1 {
                    metrics.overheard(overheard);
                    tracing::warn!("an event is put off: {why}");
                }
                timeout(CONFIRMED_WITHIN, self.channel.give_back(tag, pause(deliveries))).await
            }
        };
        let unsettled = match settled {
            Ok(Ok(())) => return said_at,
            Ok(Err(error)) => error,
            Err(_) => ChannelError::Unknown("it said nothing".to_owned()),
        };
        // It comes again, and says nothing new then.
        tracing::warn!("an event could not be settled: {unsettled}");
        let back = self.channel.give_back(tag, pause(deliveries));
        let _ = timeout(CONFIRMED_WITHIN, back).await;
        said_at
    }

    async fn heard(&self, event: SagaEvent) -> Outcome {
        let name = event.name();
        let deployed = match self
            .handle
            .shared
            .registry
            .of_hash(&event.saga_type, &event.definition_hash)
        {
            Ok(deployed) => deployed,
            // Several saga types may share a place.
            Err(false) => return Outcome::Taken(Overheard::Other),
            Err(true) => {
                let why = format!(
                    "{name} of saga {} goes by version {} of {} (definition {}), which is not deployed here",
                    event.saga_id, event.version, event.saga_type, event.definition_hash
                );
                return self.put_off(&event, "UNKNOWN_DEFINITION", why);
            }
        };
        let observation = match observation(&deployed, &event) {
            Ok(observation) => observation,
            Err(why) => return contradicts(&event, why),
        };
        match self.handle.observe(observation).await {
            Ok(()) => Outcome::Taken(Overheard::Heard),
            Err(Unobserved::NotTaken(why)) => contradicts(&event, why.into()),
            Err(Unobserved::Unknown) => {
                let saga_id = event.saga_id;
                let why = format!("{name} is the first that is heard of saga {saga_id}");
                self.put_off(&event, "UNKNOWN_SAGA", why)
            }
            Err(Unobserved::Unavailable(why)) => Outcome::Later(Overheard::PutOff, why.to_string()),
        }
    }

    fn put_off(&self, event: &SagaEvent, code: &str, why: String) -> Outcome {
        if event.at + KNOWN_WITHIN <= self.now() {
            return Outcome::Dead(Overheard::Contradicted, format!("{code}: {why}"));
        }
        Outcome::Later(Overheard::PutOff, why)
    }
}

fn contradicts(event: &SagaEvent, why: NotTaken) -> Outcome {
    let (code, why) = match why {
        NotTaken::NoStep => ("UNKNOWN_STEP", "the definition has no such step"),
        _ => (
            "CONTRADICTS",
            "it cannot be, by what was heard of the saga before: two services may go by one name, or \
             a database was restored from a backup",
        ),
    };
    let (name, saga_id) = (event.name(), event.saga_id);
    Outcome::Dead(Overheard::Contradicted, format!("{code}: {name} of saga {saga_id}: {why}"))
}

/// What an event says, and what a saga would begin with of which nothing else is known.
fn observation(deployed: &Arc<Deployed>, event: &SagaEvent) -> Result<Observation, NotTaken> {
    let of = deployed.choreographed.as_ref().ok_or(NotTaken::Foreign)?;
    let report = of.report(event)?;
    // Whoever asks for the end may not know the data, and who never ran neither.
    let knows_data = !matches!(report.said, Said::Failed | Said::NeverRan(_));
    let data = event.context.data.get();
    let business_key = deployed.compiled.has_business_key().then(|| {
        let data = serde_json::from_str(data).ok()?;
        let key = deployed.compiled.expressions.business_key(&data).ok()??;
        (key.len() <= crate::KEY_BYTES_MAX).then(|| Arc::from(key))
    });
    Ok(Observation {
        saga_id: SagaId(event.saga_id.0),
        deployed: Arc::clone(deployed),
        report,
        data: knows_data.then(|| Payload::from(data)),
        business_key: business_key.flatten(),
    })
}
