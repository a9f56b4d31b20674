//! The observer of a place where services run sagas among themselves: it hears every event, and commands
//! nobody.
//!
//! An event is acknowledged when what it says is durable; those of a saga are taken one after the other, as
//! they come. What cannot be read, and what contradicts what was heard, goes to the dead letters; what is of
//! a definition that is not there yet waits for it.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::deployed::Deployed;
use crate::engine::Shared;
use crate::handle::Handle;
use crate::metrics::Overheard;
use crate::place::{Hearing, Place};
use crate::request::{Observation, Unavailable, Unobserved};

/// How long an event waits whose definition, or whose saga, is not known here, counted from when it was
/// said: as long as it takes to deploy a version everywhere.
const KNOWN_WITHIN: Millis = Millis::mins(60);

/// The same of an event that nobody here can read, and so not tell when it was said: about as long, by the
/// pauses after which it comes again.
const GIVEN_BACK_MAX: u32 = 125;

/// How often it is looked whether all is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
pub struct Observer {
    handle: Handle,
    place: Place,
    channel: Arc<dyn Channel>,
    /// Before all is read nothing is given up that waits for something else.
    all_is_read: AtomicBool,
}

/// What was brought, read.
struct Brought {
    received: Received,
    event: Result<SagaEvent, Unreadable>,
}

impl Brought {
    fn saga(&self) -> Option<SagaId> {
        self.event.as_ref().ok().map(|event| SagaId(event.saga_id.0))
    }
}

/// What is taken in, and what waits for the events of its saga before it. All together they are as many as
/// the channel brings at once.
#[derive(Default)]
struct Taking {
    under_way: JoinSet<(Option<SagaId>, Option<Time>)>,
    behind: HashMap<SagaId, VecDeque<Brought>>,
}

impl Taking {
    fn add(&mut self, observer: &Arc<Observer>, brought: Brought) {
        let saga = brought.saga();
        if let Some(behind) = saga.and_then(|saga| self.behind.get_mut(&saga)) {
            return behind.push_back(brought);
        }
        self.behind.extend(saga.map(|saga| (saga, VecDeque::new())));
        self.begin(observer, brought);
    }

    fn begin(&mut self, observer: &Arc<Observer>, brought: Brought) {
        let (observer, saga) = (Arc::clone(observer), brought.saga());
        self.under_way.spawn(async move {
            // One that panics comes again, and holds up none behind it.
            let taken = AssertUnwindSafe(observer.take(brought)).catch_unwind().await;
            (saga, taken.ok().flatten())
        });
    }

    /// When the next was said that is taken in.
    async fn next(&mut self, observer: &Arc<Observer>) -> Option<Time> {
        let (saga, at) = self.under_way.join_next().await?.ok()?;
        if let Some(saga) = saga {
            match self.behind.get_mut(&saga).and_then(VecDeque::pop_front) {
                Some(brought) => self.begin(observer, brought),
                None => drop(self.behind.remove(&saga)),
            }
        }
        at
    }
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
        Self { handle, place: place.clone(), channel, all_is_read: AtomicBool::new(false) }
    }

    /// Until told to stop. How many events are under way is the channel's limit.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut taking = Taking::default();
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
                said_at = taking.next(&this), if !taking.under_way.is_empty() => {
                    caught_up.brought(said_at, this.now());
                }
                _ = look.tick() => {
                    let all_is_read = caught_up.look(this.channel.is_there(), this.now())
                        && taking.under_way.is_empty();
                    this.hears(if all_is_read { Hearing::All } else { Hearing::Something });
                }
                received = &mut receiving => {
                    match received {
                        Ok(received) => {
                            let event = SagaEvent::read(&received, &received.body);
                            taking.add(&this, Brought { received, event });
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
        // What waits behind another comes again.
        taking.behind.clear();
        while !taking.under_way.is_empty() {
            taking.next(&this).await;
        }
        this.hears(Hearing::Nothing);
    }

    fn hears(&self, hearing: Hearing) {
        self.all_is_read.store(hearing == Hearing::All, Ordering::Relaxed);
        self.handle.shared.registry.hears(&self.place, hearing);
    }

    fn receive(&self) -> BoxFuture<'static, Result<Received, ChannelError>> {
        let channel = Arc::clone(&self.channel);
        async move { channel.receive().await }.boxed()
    }

    fn now(&self) -> Time {
        self.handle.shared.clock.now()
    }

    /// Takes one in. When it was said, where that can be read.
    async fn take(&self, Brought { received, event }: Brought) -> Option<Time> {
        let Received { tag, deliveries, .. } = received;
        let (said_at, outcome) = match event {
            Ok(event) => {
                let said_at = event.at;
                let outcome = self.heard(event).await;
                // What waits for something else says nothing of what is still to be read.
                let waits = matches!(outcome, Outcome::Later(Overheard::PutOff, _));
                (Some(if waits { self.now() } else { said_at }), outcome)
            }
            Err(Unreadable::NotOurs) => (Some(self.now()), Outcome::Taken(Overheard::Other)),
            Err(why @ Unreadable::Newer(_)) => {
                let why = why.to_string();
                let is_over =
                    deliveries > GIVEN_BACK_MAX && self.all_is_read.load(Ordering::Relaxed);
                (
                    Some(self.now()),
                    match is_over {
                        true => {
                            Outcome::Dead(Overheard::Contradicted, format!("NEWER_EVENT: {why}"))
                        }
                        false => Outcome::Later(Overheard::PutOff, why),
                    },
                )
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
            Err(Unobserved::Unavailable(why @ Unavailable::Unreadable(_))) => {
                let saga_id = event.saga_id;
                let why = format!("UNREADABLE_SAGA: {name} of saga {saga_id}: {why}");
                Outcome::Dead(Overheard::Contradicted, why)
            }
            Err(Unobserved::Unavailable(why)) => {
                Outcome::Later(Overheard::Unavailable, why.to_string())
            }
        }
    }

    fn put_off(&self, event: &SagaEvent, code: &str, why: String) -> Outcome {
        // In a backlog what it waits for may come next.
        let all_is_read = self.all_is_read.load(Ordering::Relaxed);
        if all_is_read && event.at + KNOWN_WITHIN <= self.now() {
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
    let data = event.context.data.get();
    let may_lack = matches!(report.said, Said::Failed | Said::NeverRan(_));
    let knows_data = !may_lack || data.trim() != "{}";
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
