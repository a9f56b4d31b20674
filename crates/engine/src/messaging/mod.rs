//! Saga types that are reached by message: over the broker that a definition names under
//! `messaging`, sagas are started, cancelled and signalled, and their events are published. What
//! services say there of the sagas that they run among themselves is heard.
//!
//! A place is one broker with its queues, whichever types share it. It has a reader of requests where
//! it says by which queues they come, and where it says where events go, a publisher with a cursor of its own, so that a broker that
//! is away holds up no other. The place of a choreography has an observer, and a publisher of what it asks for.

mod events;
mod observer;
mod publisher;
mod refusals;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_definition::Broker;
use amends_transport::{CONFIRMED_WITHIN, Channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::engine::Shared;
use crate::place::Place;
pub use refusals::Refusals;

/// After a broker could not be used: what is wrong with it does not go at once.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The places that are open.
#[derive(Default)]
pub struct Places(Mutex<BTreeMap<String, Open>>);

struct Open {
    /// By which it was bound.
    secret_env: Option<String>,
    /// Of a choreography, those who listen there.
    services: BTreeSet<Arc<str>>,
    channel: Arc<dyn Channel>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Places {
    /// Opens the places that definitions name, those of choreographies where they are `observed`, and closes
    /// those that none names any more.
    pub async fn bring_up_to_date(&self, shared: &Arc<Shared>, observed: bool) {
        let wanted = wanted(shared);
        // First: what is signed otherwise from now on must not be taken by the old one.
        for place in self.no_longer(&wanted) {
            place.close().await;
        }
        {
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, place) in &wanted {
                if open.contains_key(name) || (place.choreographed && !observed) {
                    continue;
                }
                // Whoever binds has said why where it cannot, and the next deployment asks again.
                let Some(channel) = shared.registry.channel(place) else { continue };
                open.insert(name.clone(), Open::new(shared, name, place, channel));
            }
        }
        if let Err(error) = forget_others(shared, &wanted).await {
            tracing::warn!(%error, "the cursors of publishers could not be looked at");
        }
    }

    /// Those that are not wanted any more, or not as they are.
    fn no_longer(&self, wanted: &BTreeMap<String, Place>) -> Vec<Open> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |name: &str, place: &Open| {
            wanted.get(name).is_some_and(|wanted| {
                wanted.messaging.secret_env == place.secret_env && wanted.services == place.services
            })
        };
        let names = open.iter().filter(|(name, place)| !stays(name, place));
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        names.iter().filter_map(|name| open.remove(name)).collect()
    }

    /// Takes no request more and publishes nothing more; what is under way ends.
    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(open.into_values().map(Open::close)).await;
    }
}

impl Open {
    fn new(shared: &Arc<Shared>, name: &str, place: &Place, channel: Arc<dyn Channel>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let messaging = &place.messaging;
        if place.choreographed {
            let observer = observer::Observer::new(shared, place, Arc::clone(&channel));
            tasks.spawn(observer.run(stopped.clone()));
        } else if messaging.queues.is_some() {
            tasks.spawn(requests::serve(Arc::clone(shared), Arc::clone(&channel), stopped.clone()));
        }
        if messaging.events.is_some() {
            let publisher = publisher::Publisher::new(shared, name, place, Arc::clone(&channel));
            tasks.spawn(publisher.run(stopped));
        }
        let (secret_env, services) = (messaging.secret_env.clone(), place.services.clone());
        Self { secret_env, services, channel, stop, tasks }
    }

    async fn close(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // What does not end by then is brought or published again after the next start.
        let _ = timeout(CONFIRMED_WITHIN, ended).await;
        self.tasks.abort_all();
        let _ = timeout(CONFIRMED_WITHIN, self.channel.close()).await;
    }
}

/// By the place's name, which is that of its publisher's cursor. Where one of the types that share it
/// wants what is asked signed, it is for all of them: whoever sends the others' requests could send
/// its, too.
fn wanted(shared: &Shared) -> BTreeMap<String, Place> {
    let mut wanted: BTreeMap<String, Place> = BTreeMap::new();
    for mut place in shared.registry.places() {
        let name = name(&place);
        if let Some(other) = wanted.get_mut(&name) {
            // All who listen there, of whatever type.
            other.services.append(&mut place.services);
            place.services.clone_from(&other.services);
        }
        let secret_env = &place.messaging.secret_env;
        if let Some(Place { messaging: other, .. }) = wanted.get(&name) {
            if other.secret_env != *secret_env {
                tracing::warn!(
                    place = name,
                    "saga types that share a place name different secrets for it: what is asked of \
                     any has to be signed with one of them, so name the same"
                );
            }
            // The same one, in whichever order they come.
            if other.secret_env >= *secret_env {
                continue;
            }
        }
        wanted.insert(name, place);
    }
    wanted
}

/// The prefix of our cursors' names.
const CURSOR: &str = "messaging ";

/// The place, in words that stay the same from start to start.
fn name(place: &Place) -> String {
    let messaging = &place.messaging;
    let at = match &messaging.broker {
        Broker::RabbitMq { exchange } => exchange,
        Broker::Nats { stream } => stream,
        Broker::Kafka | Broker::Sqs => "",
    };
    let queues = messaging.queues.as_ref();
    let [commands, replies] =
        queues.map_or(["", ""], |queues| [&*queues.commands, &*queues.replies]);
    let events = messaging.events.as_deref().unwrap_or_default();
    if place.choreographed {
        return format!("{CURSOR}choreography {} {at} {events}", messaging.broker.key());
    }
    format!("{CURSOR}{} {at} {commands} {replies} {events}", messaging.broker.key())
}

/// A publisher that is not wanted any more would hold the journal for ever. What it had not
/// published stays unpublished: whoever removed the place from its definitions said so.
async fn forget_others(
    shared: &Shared,
    wanted: &BTreeMap<String, Place>,
) -> Result<(), amends_store::JournalError> {
    let journal = &shared.store.journal;
    for cursor in journal.cursors().await? {
        let publishes = |place: &Place| place.messaging.events.is_some();
        if cursor.name.starts_with(CURSOR) && !wanted.get(&cursor.name).is_some_and(publishes) {
            tracing::warn!(place = cursor.name, "no definition publishes there any more");
            journal.forget(&cursor.name).await?;
        }
    }
    Ok(())
}

/// How many records each publisher is behind the journal, by its place. The journal is not cut before all
/// of them have come past.
pub async fn lags(shared: &Shared) -> Result<Vec<(String, u64)>, amends_store::JournalError> {
    let journal = &shared.store.journal;
    let cursors = journal.cursors().await?;
    let last = journal.size().last.0;
    let lag = |cursor: amends_store::Cursor| {
        let place = cursor.name.strip_prefix(CURSOR)?.trim_start().to_owned();
        Some((place, last.saturating_sub(cursor.position.0)))
    };
    Ok(cursors.into_iter().filter_map(lag).collect())
}

/// How long to wait before the next of so many tries.
fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(PAUSE_MAX)
}
