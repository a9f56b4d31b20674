//! Sagas read back: from what the catalog holds and what it does not hold yet, to a state, a
//! history, or somebody's answer.

use std::sync::Arc;

use amends_core::{Event, Saga, SagaId, Time};
use amends_store::{Checkpointed, StoredSaga};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::engine::Shared;
use crate::handle::HistoryItem;
use crate::persist;
use crate::request::{Snapshot, Unavailable};

/// A saga's whole history, and how much of it the catalog holds.
pub struct Whole {
    /// Every event, encoded.
    pub bytes: Bytes,
    /// Up to this event the catalog holds it.
    pub held_seq: u64,
    /// The events after that, encoded.
    pub unsaved: Vec<u8>,
}

/// Who reads, and what.
pub enum Reading {
    Snapshot(oneshot::Sender<Result<Option<Snapshot>, Unavailable>>),
    History {
        reply: oneshot::Sender<Result<Option<Vec<HistoryItem>>, Unavailable>>,
        /// What follows the events the catalog held when this was asked: their last number, and
        /// the events.
        after: Option<(u64, Vec<u8>)>,
    },
}

/// Puts together what the catalog holds and what follows: `tail` begins with the event after
/// `after`.
pub fn whole(stored: Option<&StoredSaga>, after: u64, tail: &[u8]) -> Whole {
    let held_seq = stored.map_or(0, |stored| stored.row.seq);
    let Some(stored) = stored else {
        return Whole { bytes: Bytes::copy_from_slice(tail), held_seq, unsaved: tail.to_vec() };
    };
    // The catalog may hold a part of the tail by now, or all of it. A checkpoint ends with a
    // decision, and so with a frame.
    let rest = persist::after(tail, held_seq.saturating_sub(after)).unwrap_or_default();
    let bytes = [&stored.events.bytes, rest].concat().into();
    Whole { bytes, held_seq, unsaved: rest.to_vec() }
}

/// The same for an ended saga that the catalog does not hold to its end yet.
pub fn whole_of_archive(stored: Option<&StoredSaga>, archived: &Checkpointed) -> Whole {
    whole(stored, archived.events.first_seq.saturating_sub(1), &archived.events.bytes)
}

/// Why a saga cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A newer version of amends wrote it: this build must not go on with its sagas.
    #[error("{0}")]
    Newer(persist::DecodeError),
    /// It alone is damaged, or unknown.
    #[error("{0}")]
    Damaged(String),
}

impl From<persist::DecodeError> for Unreadable {
    fn from(error: persist::DecodeError) -> Self {
        if error.is_newer() { Self::Newer(error) } else { Self::Damaged(error.to_string()) }
    }
}

/// The state that a history adds up to.
pub fn replay(bytes: &[u8]) -> Result<Saga, Unreadable> {
    let damaged = |why: &str| Unreadable::Damaged(why.to_owned());
    let mut events = persist::decode(bytes);
    let first = events.next().ok_or_else(|| damaged("its history is empty"))?;
    let (at, Event::Started(started)) = first? else {
        return Err(damaged("its history does not begin with the start"));
    };
    let mut saga = Saga::started(&started, at);
    for event in events {
        let (at, event) = event?;
        saga.apply(at, &event).map_err(|error| damaged(&error.to_string()))?;
    }
    Ok(saga)
}

/// A history for people.
pub fn history(bytes: &[u8]) -> Result<Vec<HistoryItem>, String> {
    (1..)
        .zip(persist::decode(bytes))
        .map(|(seq, event)| {
            let (at, event): (Time, Event) = event.map_err(|error| error.to_string())?;
            Ok(HistoryItem { seq, at, event })
        })
        .collect()
}

/// Answers a reader, beside the shards.
pub async fn answer(
    shared: &Arc<Shared>,
    saga: SagaId,
    archived: Option<Arc<Checkpointed>>,
    reading: Reading,
) {
    let stored = match &archived {
        Some(archived) if archived.events.first_seq == 1 => Ok(None),
        _ => shared.store.catalog.read(saga.0).await,
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            let why = Unavailable::CatalogFailed(error.to_string());
            return match reading {
                Reading::Snapshot(reply) => drop(reply.send(Err(why))),
                Reading::History { reply, .. } => drop(reply.send(Err(why))),
            };
        }
    };
    let whole = match (&stored, &archived, &reading) {
        (stored, Some(archived), _) => Some(whole_of_archive(stored.as_ref(), archived)),
        (stored, None, Reading::History { after: Some((after, tail)), .. }) => {
            Some(whole(stored.as_ref(), *after, tail))
        }
        (Some(stored), None, _) => Some(whole(Some(stored), 0, &[])),
        (None, None, _) => None,
    };
    match reading {
        Reading::Snapshot(reply) => {
            let snapshot = whole.map(|whole| snapshot(shared, &whole.bytes)).transpose();
            drop(reply.send(snapshot.map_err(Unavailable::Unreadable)));
        }
        Reading::History { reply, .. } => {
            let history = whole.map(|whole| history(&whole.bytes)).transpose();
            drop(reply.send(history.map_err(Unavailable::Unreadable)));
        }
    }
}

fn snapshot(shared: &Arc<Shared>, bytes: &[u8]) -> Result<Snapshot, String> {
    let saga = replay(bytes).map_err(|error| error.to_string())?;
    let deployed = shared
        .registry
        .version(&saga.pinned.saga_type, saga.pinned.version)
        .ok_or_else(|| shared.registry.unknown(&saga.pinned))?;
    Ok(Snapshot { saga: Arc::new(saga), deployed })
}
