//! The clients' book: what each request came to, what was seen of every saga, and what of it cannot
//! be.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::Answer;

/// A start, after the last try.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its idempotency key, which also stands in the saga's data.
    pub key: String,
    pub came_to: CameTo,
}

/// What the tries of one key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameTo {
    /// It was acknowledged with this saga.
    Acknowledged(String),
    /// Every try was told that nothing was done, or never left.
    Refused,
    /// Some try was not answered, and the client gave up.
    Unknown,
}

/// What the last answer told of a saga.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub seq: u64,
    /// Its state, once it had ended.
    pub ended: Option<String>,
}

/// How many requests came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub ok: u64,
    /// Answered with "no", or "not now".
    pub refused: u64,
    /// Nobody took the connection.
    pub not_sent: u64,
    /// No whole answer.
    pub unknown: u64,
    /// Starts that were unknown and turned out to have been taken.
    pub found: u64,
    pub cancelled: u64,
    pub paused: u64,
    pub signalled: u64,
}

/// See the module.
pub struct Book(Mutex<Pages>);

struct Pages {
    starts: Vec<Start>,
    cancelled: Vec<String>,
    seen: HashMap<String, Seen>,
    broken: Vec<String>,
    tally: Tally,
    last_ok: Instant,
    longest_without: Duration,
}

/// A closed book.
pub struct Closed {
    pub starts: Vec<Start>,
    /// Sagas whose cancel was acknowledged.
    pub cancelled: Vec<String>,
    pub seen: HashMap<String, Seen>,
    pub broken: Vec<String>,
    pub tally: Tally,
    pub longest_without: Duration,
}

impl Book {
    pub fn open() -> Self {
        Self(Mutex::new(Pages {
            starts: Vec::new(),
            cancelled: Vec::new(),
            seen: HashMap::new(),
            broken: Vec::new(),
            tally: Tally::default(),
            last_ok: Instant::now(),
            longest_without: Duration::ZERO,
        }))
    }

    pub fn close(&self) -> Closed {
        let mut pages = self.pages();
        Closed {
            starts: std::mem::take(&mut pages.starts),
            cancelled: std::mem::take(&mut pages.cancelled),
            seen: std::mem::take(&mut pages.seen),
            broken: std::mem::take(&mut pages.broken),
            tally: pages.tally,
            longest_without: pages.longest_without,
        }
    }

    /// Something cannot be as it was answered.
    pub fn breaks(&self, what: String) {
        self.pages().broken.push(what);
    }

    pub fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.pages().tally);
    }

    /// Counts what a request came to.
    pub fn heard(&self, answer: &Answer) {
        let mut pages = self.pages();
        match answer {
            Answer::Of(200..300, _) => {
                pages.tally.ok += 1;
                pages.longest_without = pages.longest_without.max(pages.last_ok.elapsed());
                pages.last_ok = Instant::now();
            }
            Answer::Of(..) => pages.tally.refused += 1,
            Answer::NotSent => pages.tally.not_sent += 1,
            Answer::Unknown => pages.tally.unknown += 1,
        }
    }

    pub fn started(&self, start: Start) {
        self.pages().starts.push(start);
    }

    pub fn cancelled(&self, saga_id: &str) {
        let mut pages = self.pages();
        pages.tally.cancelled += 1;
        pages.cancelled.push(saga_id.to_owned());
    }

    /// What every answer from now on must at least know of a saga.
    pub fn floor(&self, saga_id: &str) -> Seen {
        self.pages().seen.get(saga_id).cloned().unwrap_or_default()
    }

    /// A saga was read, and when that was asked, so much of it had been seen.
    pub fn saw(&self, saga_id: &str, floor: &Seen, saga: &Value) {
        let now = Seen::of(saga);
        let mut pages = self.pages();
        pages.broken.extend(goes_back(saga_id, floor, &now));
        let seen = pages.seen.entry(saga_id.to_owned()).or_default();
        if now.seq >= seen.seq {
            *seen = now;
        }
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }
}

impl Closed {
    /// Every saga that some client was given.
    pub fn acknowledged(&self) -> impl Iterator<Item = String> + '_ {
        self.starts.iter().filter_map(|start| match &start.came_to {
            CameTo::Acknowledged(saga_id) => Some(saga_id.clone()),
            CameTo::Refused | CameTo::Unknown => None,
        })
    }
}

impl Seen {
    /// Of a saga, or of its row in a list.
    pub fn of(saga: &Value) -> Self {
        let ended = !saga["ended_at"].is_null();
        Self {
            seq: saga["seq"].as_u64().unwrap_or(0),
            ended: ended.then(|| saga["state"].as_str().unwrap_or_default().to_owned()),
        }
    }
}

/// What is wrong with seeing `now` after `floor`: facts are never taken back, and an end never
/// changes.
pub fn goes_back(saga_id: &str, floor: &Seen, now: &Seen) -> Option<String> {
    if now.seq < floor.seq {
        return Some(format!("{saga_id} was at {}, and then at {}", floor.seq, now.seq));
    }
    match (&floor.ended, &now.ended) {
        (Some(before), after) if after.as_ref() != Some(before) => {
            Some(format!("{saga_id} had ended {before}, and then {after:?}"))
        }
        _ => None,
    }
}
