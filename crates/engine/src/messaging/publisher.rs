//! A publisher: reads the journal from its cursor, and publishes what its facts say, in order per
//! saga. Its cursor moves when a broker has confirmed all that is before it, so a restart publishes
//! nothing again that lies before, and everything that lies after it (S23). Whoever stops it waits for
//! what is on its way, so that what was confirmed by then lies before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::Saga;
use amends_core::{Event, SagaId};
use amends_store::{Entry, JournalError, Position, Record};
use amends_transport::{CONFIRMED_WITHIN, Channel, Message};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::events::{Published, asked, event};
use super::pause;
use crate::engine::Shared;
use crate::handle::Handle;
use crate::persist;
use crate::place::Place;
use crate::request::Unavailable;
use crate::transition::Watched;

/// How often the journal is looked at when it holds nothing new: what is published is a little
/// later than what happened anyway.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(20);

/// How many sagas' events are published at once: enough to hide the way to a broker and back.
const AT_ONCE: usize = 64;

/// How long the broker's word on what is on its way is waited for after it was told to stop: it comes
/// at once, or the broker is away.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(2);

/// How many sagas are kept as they are at the cursor. One that is not is read back when something
/// happens to it.
const KEPT_MAX: usize = 20_000;

/// See the module.
pub struct Publisher {
    handle: Handle,
    name: String,
    place: Place,
    channel: Arc<dyn Channel>,
    /// Sagas as they are where the publisher has come to; none of a type that is published elsewhere.
    sagas: HashMap<SagaId, Option<Saga>>,
}

impl Publisher {
    /// Publishes to a place, whose name is that of its cursor.
    pub fn new(shared: &Arc<Shared>, name: &str, place: &Place, channel: Arc<dyn Channel>) -> Self {
        Self {
            handle: Handle { shared: Arc::clone(shared) },
            name: name.to_owned(),
            place: place.clone(),
            channel,
            sagas: HashMap::new(),
        }
    }

    /// Until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        let mut at = None;
        while !*stop.borrow() {
            let wait = match self.step(at, &stop).await {
                Ok((from, to)) => {
                    failures = 0;
                    at = Some(to);
                    if from == to { LOOKED_AT_EVERY } else { Duration::ZERO }
                }
                Err(JournalError::Closed) => return,
                Err(error) => {
                    tracing::error!(place = self.name, "events wait, the journal says: {error}");
                    failures += 1;
                    at = None;
                    self.sagas.clear();
                    pause(failures)
                }
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Publishes what the next records say, until told to stop. From where to where it came.
    async fn step(
        &mut self,
        at: Option<Position>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(Position, Position), JournalError> {
        let shared = Arc::clone(&self.handle.shared);
        let journal = &shared.store.journal;
        let at = match at {
            Some(at) => at,
            None => journal.cursor(&self.name).await?,
        };
        if journal.size().last <= at {
            return Ok((at, at));
        }
        let records = journal.replay(at).await?;
        let positions: Vec<Position> = records.iter().map(|record| record.position).collect();
        let messages = self
            .messages(records)
            .await
            .map_err(|why| JournalError::Busy { what: why.to_string() })?;
        let left = self.publish(messages, stop).await;
        let confirmed = |position: &Position| left.is_none_or(|left| *position < left);
        let Some(to) = positions.into_iter().take_while(confirmed).last() else {
            return Ok((at, at));
        };
        journal.advance(&self.name, to).await?;
        Ok((at, to))
    }

    /// What records say, each with where it is said, by saga.
    async fn messages(
        &mut self,
        records: Vec<Record>,
    ) -> Result<Vec<Vec<(Position, Message)>>, Unavailable> {
        let mut by_saga: HashMap<SagaId, Vec<(Position, Message)>> = HashMap::new();
        for record in records {
            for entry in record.batches.into_iter().flat_map(|batch| batch.entries) {
                let mut said = Vec::new();
                self.read(&entry, &mut said).await?;
                if !said.is_empty() {
                    let said = said.into_iter().map(|message| (record.position, message));
                    by_saga.entry(SagaId(entry.saga)).or_default().extend(said);
                }
            }
        }
        Ok(by_saga.into_values().collect())
    }

    async fn read(&mut self, entry: &Entry, said: &mut Vec<Message>) -> Result<(), Unavailable> {
        let id = SagaId(entry.saga);
        let first = entry.events.first_seq;
        let Some(mut saga) = self.before(id, first).await? else {
            // Another's, or it has just begun.
            if first == 1 {
                self.begin(entry, said);
            }
            return Ok(());
        };
        let events = persist::decode(&entry.events.bytes);
        if self.follow(&mut saga, events, said) {
            self.keep(id, Some(saga));
        } else {
            self.keep(id, None);
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry, said: &mut Vec<Message>) {
        let mut events = persist::decode(&entry.events.bytes);
        let Some(Ok((at, Event::Started(started)))) = events.next() else { return };
        let mut saga = Saga::started(&started, at);
        let id = saga.id;
        let Some(published) = self.published(&saga) else { return self.keep(id, None) };
        if let Some(deployed) = self.deployed(&saga).filter(|_| published != Published::Asked) {
            said.extend(event(&deployed, &Watched::default(), &saga, published));
        }
        let kept = self.follow(&mut saga, events, said).then_some(saga);
        self.keep(id, kept);
    }

    /// Takes in what follows. False when it cannot be read: its events end there.
    fn follow(
        &self,
        saga: &mut Saga,
        events: impl Iterator<Item = Result<(amends_core::Time, Event), persist::DecodeError>>,
        said: &mut Vec<Message>,
    ) -> bool {
        let (Some(published), Some(deployed)) = (self.published(saga), self.deployed(saga)) else {
            return false;
        };
        for next in events {
            let before = Watched::of(saga);
            let applied = next.map_err(|error| error.to_string()).and_then(|(at, fact)| {
                saga.apply(at, &fact).map_err(|error| error.to_string())?;
                Ok(fact)
            });
            match applied {
                Ok(fact) if published == Published::Asked => {
                    said.extend(asked(&deployed, saga, &fact))
                }
                Ok(_) => said.extend(event(&deployed, &before, saga, published)),
                Err(why) => {
                    let saga_id = saga.id;
                    tracing::error!(%saga_id, why, "a saga cannot be read; its events are not published");
                    return false;
                }
            }
        }
        true
    }

    /// A saga as it is before that event; none of a type that is not published here, and none before
    /// its first.
    async fn before(&mut self, id: SagaId, seq: u64) -> Result<Option<Saga>, Unavailable> {
        match self.sagas.remove(&id) {
            Some(None) => {
                self.sagas.insert(id, None);
                return Ok(None);
            }
            Some(Some(saga)) if saga.seq + 1 == seq => return Ok(Some(saga)),
            _ if seq == 1 => return Ok(None),
            _ => {}
        }
        let history = match self.handle.history(id).await {
            Ok(history) => history,
            // It is kept, with attention, and holds up no other's events.
            Err(Unavailable::Unreadable(why)) => return Ok(self.unread(id, &why)),
            Err(error) => return Err(error),
        };
        let Some(history) = history else { return Ok(self.unread(id, "its record is gone")) };
        let mut facts = history.into_iter().take_while(|item| item.seq < seq);
        let Some(first) = facts.next() else { return Ok(None) };
        let Event::Started(started) = &first.event else { return Ok(None) };
        let mut saga = Saga::started(started, first.at);
        if self.published(&saga).is_none() {
            self.keep(id, None);
            return Ok(None);
        }
        for fact in facts {
            if let Err(error) = saga.apply(fact.at, &fact.event) {
                return Ok(self.unread(id, &error.to_string()));
            }
        }
        Ok(Some(saga))
    }

    /// Passes over a saga from here on, and says so.
    fn unread(&mut self, id: SagaId, why: &str) -> Option<Saga> {
        tracing::error!(saga_id = %id, why, "a saga cannot be read; its events are not published");
        self.keep(id, None);
        None
    }

    fn keep(&mut self, id: SagaId, saga: Option<Saga>) {
        // Little happens to one that has ended.
        if saga.as_ref().is_some_and(|saga| saga.state.ended()) {
            return;
        }
        if self.sagas.len() >= KEPT_MAX {
            self.sagas.clear();
        }
        self.sagas.insert(id, saga);
    }

    /// Which events of a saga go to this place.
    fn published(&self, saga: &Saga) -> Option<Published> {
        let place = self.handle.shared.registry.place_of(saga)?;
        if !place.is(&self.place) {
            return None;
        }
        Some(match (place.choreographed, place.messaging.transitions) {
            (true, _) => Published::Asked,
            (false, true) => Published::Transitions,
            (false, false) => Published::Ends,
        })
    }

    fn deployed(&self, saga: &Saga) -> Option<Arc<crate::deployed::Deployed>> {
        self.handle.shared.registry.version(&saga.pinned.saga_type, saga.pinned.version)
    }

    /// Publishes each saga's in their order, and returns when all are confirmed, or when told to stop:
    /// then with where the first stands that is not. A broker that is away is waited for: the journal
    /// keeps what it has not got.
    async fn publish(
        &self,
        messages: Vec<Vec<(Position, Message)>>,
        stop: &watch::Receiver<bool>,
    ) -> Option<Position> {
        let publishing = stream::iter(messages).map(|of_saga| async move {
            for (position, message) in of_saga {
                if !self.is_published(&message, stop.clone()).await {
                    return Some(position);
                }
            }
            None
        });
        let left = publishing.buffer_unordered(AT_ONCE).filter_map(std::future::ready);
        left.fold(None, async |first: Option<Position>, left| {
            Some(first.map_or(left, |first| first.min(left)))
        })
        .await
    }

    /// Publishes one; false when told to stop before it is confirmed.
    async fn is_published(&self, message: &Message, mut stop: watch::Receiver<bool>) -> bool {
        let mut patience = stop.clone();
        let mut last_word = std::pin::pin!(async {
            let _ = patience.wait_for(|stop| *stop).await; // or whoever would tell is gone
            sleep(LAST_WORD_WITHIN).await;
        });
        let mut tries = 0;
        while !*stop.borrow() {
            let word = tokio::select! {
                biased;
                word = timeout(CONFIRMED_WITHIN, self.channel.publish(message)) => word,
                () = &mut last_word => return false,
            };
            let why = match word {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("nothing in {} s", CONFIRMED_WITHIN.as_secs()),
            };
            tries += 1;
            if tries == 1 || pause(tries) == super::PAUSE_MAX {
                let place = &*self.name;
                tracing::warn!(place, event = message.id, "an event waits, the broker says: {why}");
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return false,
                () = sleep(pause(tries)) => {}
            }
        }
        false
    }
}
