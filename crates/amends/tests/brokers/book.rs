//! The clients' book: which saga each order was acknowledged with, and how far all of them are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Default)]
pub struct Book {
    heard: Mutex<BTreeMap<u64, BTreeSet<String>>>,
    broken: Mutex<Vec<String>>,
    ended: AtomicU64,
    unanswered: AtomicU64,
}

impl Book {
    /// The `n`th order was acknowledged as this saga.
    pub fn acknowledged(&self, n: u64, saga_id: &str) {
        self.heard.lock().unwrap().entry(n).or_default().insert(saga_id.to_owned());
    }

    /// A client was told of an end.
    pub fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// A request had no answer, or "not now", and is repeated.
    pub fn unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// Something that must not be.
    pub fn breaks(&self, what: String) {
        self.broken.lock().unwrap().push(what);
    }

    /// Of how many orders a client was told the end.
    pub fn ends(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// How many requests were repeated.
    pub fn repeated(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// What each order was acknowledged with.
    pub fn heard(&self) -> BTreeMap<u64, BTreeSet<String>> {
        self.heard.lock().unwrap().clone()
    }

    /// All that must not have been.
    pub fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }
}
