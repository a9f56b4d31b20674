//! A participant that listens: events are heard, acknowledged when what they say is in the database, and
//! acted on.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amends_choreography::{NotTaken, SagaEvent, Unreadable};
use amends_core::Millis;
use amends_transport::{Channel, ChannelError, Received, Signing, Tag};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Instrument, debug, error, info_span, warn};

use super::turn::{Unturned, What};
use super::{Choreographies, counts::count, now};
use crate::about::trace_id;
use crate::database::Database;
use crate::serve::pause::{PAUSE, Pauses};
use crate::serve::relaying::Relaying;
use crate::signed::{BadSecret, Secrets};
use crate::word::{confirmed, said, unpanicked};

/// How many sagas are at work at once, unless said otherwise: as many as a pool of sqlx has connections by
/// default, but for one to look for what is due.
const AT_ONCE: usize = 9;

/// How often the database is looked at for sagas in which something is due: pauses begin at 200 ms.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long an event waits that this service cannot read yet, counted from when it was said: as long as it
/// takes to deploy a new definition, or a new version, at all services. After that it is among the dead
/// letters.
pub const DEFINITION_WAIT: Duration = Duration::from_secs(60 * 60);

/// A participant in choreographies, behind a broker.
#[must_use]
pub struct Reacting<D: Database> {
    of: Choreographies<D>,
    channel: Arc<dyn Channel>,
    at_once: usize,
    secrets: Secrets,
    pauses: Pauses,
}

impl<D: Database> Reacting<D> {
    /// Hears what is said at this channel, which is an end that listens under the service's name, and says
    /// there what it has to say.
    pub fn new(of: Choreographies<D>, channel: Arc<dyn Channel>) -> Self {
        let (secrets, pauses) = (Secrets::default(), Pauses::default());
        Self { of, channel, at_once: AT_ONCE, secrets, pauses }
    }

    /// How many sagas are at work at once.
    pub const fn at_once(mut self, at_once: usize) -> Self {
        self.at_once = at_once;
        self
    }

    /// Hears only what is signed with this secret, which all services of the choreography share, and signs
    /// what it says. Of several, while one is rotated, each is taken, and all sign.
    ///
    /// # Errors
    ///
    /// The secret is empty, or no base64 after `whsec_`.
    pub fn secret(mut self, secret: &str) -> Result<Self, BadSecret> {
        self.secrets.add(secret)?;
        Ok(self)
    }

    /// Listens and acts until `stop`, then ends what is at work and returns. The outbox is relayed
    /// meanwhile.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let secrets = std::mem::take(&mut self.secrets).into_inner();
        self.channel = Signing::over(self.channel, secrets);
        let relaying = Relaying::begin(&self.of.0.participant, &self.channel);
        let this = Arc::new(self);
        let mut at_work = JoinSet::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        // One that was begun is awaited to its end: what it would have brought must not be lost.
        let mut receiving = this.receive();
        loop {
            while at_work.len() >= this.at_once.max(1) {
                at_work.join_next().await;
            }
            tokio::select! {
                () = &mut stop => break,
                received = &mut receiving => {
                    receiving = this.receive();
                    match received {
                        Ok(received) => {
                            let this = Arc::clone(&this);
                            at_work.spawn(async move { this.take(&received).await });
                        }
                        Err(e) => {
                            error!("no event can be received; it is tried again: {e}");
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                }
                _ = look.tick() => {
                    let room = this.at_once.max(1) - at_work.len();
                    for (saga_id, saga_type) in this.due(room).await {
                        let this = Arc::clone(&this);
                        at_work.spawn(async move { this.wake(&saga_id, &saga_type).await });
                    }
                }
            }
            while at_work.try_join_next().is_some() {}
        }
        while at_work.join_next().await.is_some() {}
        relaying.end().await;
    }

    fn receive(&self) -> BoxFuture<'static, Result<Received, ChannelError>> {
        let channel = Arc::clone(&self.channel);
        said(async move { channel.receive().await }).boxed()
    }

    async fn due(&self, room: usize) -> Vec<(String, String)> {
        let sagas_max = u16::try_from(room).unwrap_or(u16::MAX);
        match self.of.due(sagas_max).await {
            Ok(due) => due,
            Err(e) => {
                error!("the sagas in which something is due cannot be looked for: {e}");
                Vec::new()
            }
        }
    }

    /// Takes up a saga in which something is due.
    async fn wake(&self, saga_id: &str, saga_type: &str) {
        let span = info_span!("amends_saga", saga_id, saga_type);
        let woken = async {
            let Ok(id) = saga_id.parse() else {
                return error!("a row of amends_saga has no saga_id");
            };
            // The row says which definition it goes by; any of the type's may ask for it.
            let service = match self.of.record(id).await {
                Ok(record) => self.of.service_of(&record),
                Err(why) => return error!("the saga cannot be taken up: {why}"),
            };
            match self.of.turn(&service, id, &What::Time).await {
                Ok(turned) => self.of.carry_out(&service, id, turned).await,
                Err(why) => error!("the saga cannot be taken up; it is tried again: {why}"),
            }
        };
        if let Err(why) = unpanicked(woken.instrument(span)).await {
            error!(saga_id, "what takes up a saga panicked; it is taken up again: {why}");
        }
    }

    async fn take(&self, received: &Received) {
        let tag = received.tag;
        match SagaEvent::read(received, &received.body) {
            Ok(event) => {
                let span = info_span!(
                    "amends_event",
                    saga_id = %event.saga_id,
                    event = event.name(),
                    by = event.by,
                    trace_id = trace_id(event.traceparent.as_deref()),
                );
                // A handler's panic is its ending; any other must not leave the message unsettled.
                let taken = unpanicked(self.take_event(tag, &event).instrument(span)).await;
                if let Err(why) = taken {
                    error!("what takes an event panicked; it comes again: {why}");
                    self.give_back(tag, event.id()).await;
                }
            }
            Err(Unreadable::NotOurs) => {
                count(&self.of.0.counts.others);
                self.settle(tag, String::new(), self.acknowledged(tag)).await;
            }
            Err(why @ Unreadable::Newer(_)) => {
                count(&self.of.0.counts.put_off);
                warn!("an event is put off: {why}");
                self.give_back(tag, "a later format".to_owned()).await;
            }
            Err(Unreadable::Damaged(why)) => {
                count(&self.of.0.counts.damaged);
                self.bury(tag, "damaged".to_owned(), &format!("DAMAGED_EVENT: {why}")).await;
            }
        }
    }

    async fn take_event(&self, tag: Tag, event: &SagaEvent) {
        let (of, key) = (&self.of, event.id());
        let is_of_ours =
            |service: &amends_choreography::Service| service.of().saga_type() == event.saga_type;
        if !of.0.services.iter().any(is_of_ours) {
            // Several saga types may share a place.
            count(&of.0.counts.others);
            return self.settle(tag, key, self.acknowledged(tag)).await;
        }
        let Some(service) = of.by_hash(&event.definition_hash) else {
            return self.put_off(tag, event).await;
        };
        match of.turn(service, event.saga_id, &What::Heard(event)).await {
            Ok(turned) => {
                count(&of.0.counts.heard);
                self.settle(tag, key, self.acknowledged(tag)).await;
                of.carry_out(service, event.saga_id, turned).await;
            }
            Err(Unturned::NotTaken(why)) => {
                count(&of.0.counts.contradicted);
                let code = if why == NotTaken::NoStep { "UNKNOWN_STEP" } else { "CONTRADICTS" };
                self.bury(tag, key, &format!("{code}: {why}")).await;
            }
            Err(why) => {
                error!("an event cannot be taken in; it comes again: {why}");
                self.give_back(tag, key).await;
            }
        }
    }

    /// Of a definition that this service does not have: it may get it, and must miss nothing by then.
    async fn put_off(&self, tag: Tag, event: &SagaEvent) {
        let why = format!(
            "it goes by version {} of {} (definition {}), which this service does not have",
            event.version, event.saga_type, event.definition_hash
        );
        let waits = u64::try_from(DEFINITION_WAIT.as_millis()).unwrap_or(u64::MAX);
        if event.at + Millis(waits) <= now().at {
            count(&self.of.0.counts.contradicted);
            return self.bury(tag, event.id(), &format!("UNKNOWN_DEFINITION: {why}")).await;
        }
        count(&self.of.0.counts.put_off);
        warn!("an event is put off: {why}; deploy it here too");
        self.give_back(tag, event.id()).await;
    }

    async fn bury(&self, tag: Tag, key: String, reason: &str) {
        error!("to the dead letters: {reason}");
        let buried = confirmed(async { self.channel.dead_letter(tag, reason).await });
        self.settle(tag, key, buried).await;
    }

    async fn acknowledged(&self, tag: Tag) -> Result<(), ChannelError> {
        confirmed(async { self.channel.acknowledge(tag).await }).await
    }

    async fn settle(
        &self,
        tag: Tag,
        key: String,
        settled: impl Future<Output = Result<(), ChannelError>>,
    ) {
        match settled.await {
            Ok(()) => self.pauses.end(&key),
            Err(e) => {
                error!("an event could not be settled; it comes again: {e}");
                self.give_back(tag, key).await;
            }
        }
    }

    /// Gives it back after a pause. Where the broker takes it not in time, it comes again all the same.
    async fn give_back(&self, tag: Tag, key: String) {
        let pause = self.pauses.next(key);
        let given_back = said(async { self.channel.give_back(tag, pause).await });
        if !matches!(
            timeout(pause + amends_transport::CONFIRMED_WITHIN, given_back).await,
            Ok(Ok(()))
        ) {
            debug!("an event was not given back; it comes again when the broker misses it");
        }
    }
}
