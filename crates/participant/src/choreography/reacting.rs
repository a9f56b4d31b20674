//! A participant that listens: events are heard, acknowledged when what they say is in the database, and
//! acted on. Which events these are, and what follows from them, is its [`Side`]'s.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_core::Time;
use amends_transport::{CaughtUp, Channel, ChannelError, Received, Signing, Tag};
use amends_wire::SagaId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{Instrument, debug, error};

use super::clock;
use super::side::{Listens, Settle, Side, Taken, Work};
use crate::database::Database;
use crate::serve::pause::{PAUSE, Pauses};
use crate::serve::relaying::Relaying;
use crate::signed::{BadSecret, Secrets};
use crate::word::{confirmed, said, unpanicked};

/// How many sagas are at work at once, unless said otherwise: with those that are heard of, one to look for
/// what is due, and one for the relay, as many as a pool of sqlx has connections by default.
const AT_ONCE: usize = 5;

/// How many events are taken in at once, and beside them how many sagas looked at in which something is due:
/// short transactions.
const HEARING_AT_ONCE: usize = 2;

/// How many sagas in which something is due are looked for in one go.
const DUE_AT_ONCE: u16 = 10;

/// How many sagas wait until others have been carried out. One that finds no room is due in its row after a
/// moment.
const WAITING_MAX: usize = 1_000;

/// What is heard of a saga waits so long for the handler that holds its row, and then comes again: three sagas
/// whose handlers hang must not keep all others from being heard.
const HELD_UP: Duration = Duration::from_secs(1);

/// How often the database is looked at for sagas in which something is due: pauses begin at 200 ms.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A participant in choreographies, of either kind, behind a broker.
#[must_use]
pub struct Reacting<D: Database> {
    of: Arc<dyn Side<D>>,
    channel: Arc<dyn Channel>,
    at_once: usize,
    secrets: Secrets,
    pauses: Pauses,
    /// Sagas that are carried out, and since when.
    at_work: Mutex<HashMap<SagaId, Instant>>,
}

/// What became of a message that was brought.
struct Heard {
    /// When it was said; not known of what cannot be read.
    at: Option<Time>,
    work: Option<Work>,
}

/// Sagas that wait until others have been carried out, each once.
#[derive(Default)]
struct Waiting(VecDeque<Work>);

impl Waiting {
    fn add(&mut self, work: Option<Work>) {
        let Some(work) = work else { return };
        // What was heard last is to be asked now.
        if let Some(earlier) = self.0.iter_mut().find(|earlier| earlier.saga_id == work.saga_id) {
            *earlier = work;
        } else if self.0.len() < WAITING_MAX {
            self.0.push_back(work);
        }
    }

    /// The first that may begin.
    fn next(&mut self, may_begin: impl Fn(SagaId) -> bool) -> Option<Work> {
        let place = self.0.iter().position(|work| may_begin(work.saga_id))?;
        self.0.remove(place)
    }
}

impl<D: Database> Reacting<D> {
    /// Hears what is said at this channel, which is an end that listens under the service's name, and says
    /// there what it has to say.
    pub fn new(of: impl Listens<D>, channel: Arc<dyn Channel>) -> Self {
        let of = of.side();
        let (secrets, pauses) = (Secrets::default(), Pauses::default());
        let at_work = Mutex::default();
        Self { of, channel, at_once: AT_ONCE, secrets, pauses, at_work }
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
        let relaying = Relaying::begin(self.of.participant(), &self.channel);
        let this = Arc::new(self);
        let (mut hearing, mut waking) = (JoinSet::new(), JoinSet::new());
        let (mut at_work, mut waiting) = (JoinSet::new(), Waiting::default());
        let mut due: VecDeque<(String, String)> = VecDeque::new();
        let mut caught_up = CaughtUp::new(this.of.grace(), clock());
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        // One that was begun is awaited to its end: what it would have brought must not be lost.
        let mut receiving = this.receive();
        let mut rest = pin!(sleep(Duration::ZERO));
        loop {
            // What is heard never waits for what is carried out.
            while at_work.len() < this.at_once.max(1)
                && let Some(work) = waiting.next(|saga| this.is_free(saga))
            {
                let begun = this.begin(work.saga_id);
                let this = Arc::clone(&this);
                at_work.spawn(async move {
                    let _begun = begun;
                    this.carry_out(work).await;
                });
            }
            if waking.is_empty()
                && let Some((saga_id, saga_type)) = due.pop_front()
            {
                let this = Arc::clone(&this);
                waking.spawn(async move { this.wake(&saga_id, &saga_type).await });
            }
            let may_hear = hearing.len() < HEARING_AT_ONCE && rest.is_elapsed();
            if may_hear {
                caught_up.asks();
            }
            tokio::select! {
                () = &mut stop => break,
                received = &mut receiving, if may_hear => {
                    receiving = this.receive();
                    match received {
                        Ok(received) => {
                            let this = Arc::clone(&this);
                            hearing.spawn(async move { this.take(&received).await });
                        }
                        Err(e) => {
                            error!("no event can be received; it is tried again: {e}");
                            caught_up.is_behind();
                            rest.as_mut().reset(Instant::now() + PAUSE);
                        }
                    }
                }
                () = &mut rest, if !rest.is_elapsed() => {}
                Some(heard) = hearing.join_next(), if !hearing.is_empty() => {
                    if let Ok(Heard { at, work }) = heard {
                        caught_up.brought(at, clock());
                        waiting.add(work);
                    }
                }
                Some(woken) = waking.join_next(), if !waking.is_empty() => {
                    waiting.add(woken.ok().flatten());
                }
                Some(_) = at_work.join_next(), if !at_work.is_empty() => {}
                _ = look.tick() => {
                    let has_caught_up = caught_up.look(this.channel.is_there(), clock());
                    if has_caught_up && hearing.is_empty() {
                        this.of.heard_until(clock());
                    }
                    if due.is_empty() && waking.is_empty() {
                        due.extend(this.due().await);
                        if due.len() == usize::from(DUE_AT_ONCE) {
                            // There may be more.
                            look.reset_after(LOOK_EVERY / 10);
                        }
                    }
                }
            }
        }
        // What waits is found again in its row.
        while hearing.join_next().await.is_some() {}
        while waking.join_next().await.is_some() {}
        while at_work.join_next().await.is_some() {}
        relaying.end().await;
    }

    /// May its saga be carried out beside what is at work? Not where that is its own handler, which holds the
    /// row: what is asked may be done, or put off, by the time it is the saga's turn.
    fn is_free(&self, saga_id: SagaId) -> bool {
        self.of.is_asked_elsewhere() || !self.at_work().contains_key(&saga_id)
    }

    /// Is its row held by a handler for longer already than an event can wait?
    fn is_held_up(&self, saga_id: SagaId) -> bool {
        let at_work = self.at_work();
        let is_long = at_work.get(&saga_id).is_some_and(|since| since.elapsed() > HELD_UP);
        is_long && !self.of.is_asked_elsewhere()
    }

    /// Until what is returned is dropped.
    fn begin(self: &Arc<Self>, saga_id: SagaId) -> impl Drop + Send + use<D> {
        struct AtWork<D: Database>(Arc<Reacting<D>>, SagaId);
        impl<D: Database> Drop for AtWork<D> {
            fn drop(&mut self) {
                self.0.at_work().remove(&self.1);
            }
        }
        self.at_work().insert(saga_id, Instant::now());
        AtWork(Arc::clone(self), saga_id)
    }

    fn at_work(&self) -> MutexGuard<'_, HashMap<SagaId, Instant>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(&self, Work { saga_id, span, asked }: Work) {
        if let Err(why) = unpanicked(asked.instrument(span)).await {
            error!(saga_id = %saga_id, "what carries out a step panicked; it is taken up again: {why}");
        }
    }

    fn receive(&self) -> BoxFuture<'static, Result<Received, ChannelError>> {
        let channel = Arc::clone(&self.channel);
        said(async move { channel.receive().await }).boxed()
    }

    async fn due(&self) -> Vec<(String, String)> {
        match self.of.due(DUE_AT_ONCE).await {
            Ok(due) => due,
            Err(e) => {
                error!("the sagas in which something is due cannot be looked for: {e}");
                Vec::new()
            }
        }
    }

    /// Takes up a saga in which something is due.
    async fn wake(&self, saga_id: &str, saga_type: &str) -> Option<Work> {
        unpanicked(self.of.wake(saga_id, saga_type)).await.unwrap_or_else(|why| {
            error!(saga_id, "what takes up a saga panicked; it is taken up again: {why}");
            None
        })
    }

    async fn take(&self, received: &Received) -> Heard {
        let (tag, is_held_up) = (received.tag, |saga_id| self.is_held_up(saga_id));
        // A handler's panic is its ending; any other must not leave the message unsettled.
        let Taken { key, at, settle, span, work } =
            match unpanicked(self.of.take(received, &is_held_up)).await {
                Ok(taken) => taken,
                Err(why) => {
                    error!("what takes an event panicked; it comes again: {why}");
                    Taken::new("panicked".to_owned(), None, Settle::GiveBack)
                }
            };
        let settled = async {
            match settle {
                Settle::Acknowledge => {
                    let acknowledged = confirmed(async { self.channel.acknowledge(tag).await });
                    self.settle(tag, key, acknowledged).await;
                }
                Settle::GiveBack => self.give_back(tag, key).await,
                Settle::Bury(reason) => {
                    error!("to the dead letters: {reason}");
                    let buried = confirmed(async { self.channel.dead_letter(tag, &reason).await });
                    self.settle(tag, key, buried).await;
                }
            }
        };
        settled.instrument(span).await;
        Heard { at, work }
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
