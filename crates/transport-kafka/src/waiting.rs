//! Messages that wait to be brought again: each saga's in a line of its own, in the order in which
//! they lie in the topic. What comes of a saga that has a line goes to its end, so that it overtakes
//! nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

/// Whose line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// The partition that it is of.
    pub(crate) partition: i32,
    /// Whose, or, without a key, which message.
    pub(crate) of: Result<Bytes, i64>,
}

/// The lines, of messages `M`. How many wait is bounded by what an end may hold.
#[derive(Debug)]
pub(crate) struct Waiting<M>(BTreeMap<Line, BTreeMap<i64, (Instant, M)>>);

impl<M> Waiting<M> {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Puts a message at its place in the line: it comes no sooner than it is due, and than what is
    /// before it.
    pub(crate) fn put(&mut self, line: Line, offset: i64, due: Instant, message: M) {
        self.0.entry(line).or_default().insert(offset, (due, message));
    }

    /// Does anything wait there?
    pub(crate) fn has(&self, line: &Line) -> bool {
        self.0.contains_key(line)
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let firsts = self.0.values().filter_map(BTreeMap::first_key_value);
        firsts.map(|(_, (due, _))| *due).min()
    }

    /// Takes out what is due, in the order of each line.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<M> {
        let mut taken = Vec::new();
        self.0.retain(|_, line| {
            while let Some(first) = line.first_entry()
                && first.get().0 <= now
            {
                taken.push(first.remove().1);
            }
            !line.is_empty()
        });
        taken
    }

    /// Forgets what is of a partition.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.0.retain(|line, _| line.partition != partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(saga: &'static str) -> Line {
        Line { partition: 0, of: Ok(Bytes::from_static(saga.as_bytes())) }
    }

    #[test]
    fn nothing_overtakes_what_is_before_it_of_its_saga() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let mut waiting = Waiting::new();
        waiting.put(line("a"), 5, now, "a5");
        waiting.put(line("a"), 4, later, "a4");
        waiting.put(line("b"), 6, now, "b6");
        assert!(waiting.has(&line("a")) && !waiting.has(&line("c")));
        assert_eq!(waiting.next_due(), Some(now));
        assert_eq!(waiting.take_due(now), ["b6"]);
        assert_eq!(waiting.next_due(), Some(later));
        assert_eq!(waiting.take_due(later), ["a4", "a5"]);
        assert_eq!(waiting.next_due(), None);
        assert!(!waiting.has(&line("a")));
    }

    #[test]
    fn what_is_of_a_partition_that_went_is_forgotten() {
        let now = Instant::now();
        let mut waiting = Waiting::new();
        waiting.put(line("a"), 5, now, "a5");
        waiting.put(Line { partition: 1, of: Err(7) }, 7, now, "7");
        waiting.forget(0);
        assert_eq!(waiting.take_due(now), ["7"]);
    }
}
