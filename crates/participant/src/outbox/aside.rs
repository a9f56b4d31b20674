//! Messages that the broker did not take: put aside for a while, longer each time, so that the
//! others go past them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After the first refusal: as often as the outbox is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest: after an outage nothing waits longer than this for no reason.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How many are remembered; beyond that all are due again.
const MESSAGES_MAX: usize = 10_000;

/// By their rows' ids. In memory: another process finds out for itself.
#[derive(Default)]
pub(crate) struct Aside(HashMap<i64, Refused>);

struct Refused {
    times: u32,
    until: Instant,
}

impl Aside {
    /// Was it never refused, as far as is known?
    pub(super) fn is_new(&self, id: i64) -> bool {
        !self.0.contains_key(&id)
    }

    /// May it be tried now?
    pub(super) fn is_due(&self, id: i64, now: Instant) -> bool {
        self.0.get(&id).is_none_or(|refused| refused.until <= now)
    }

    /// It was refused: how often by now, and for how long it rests.
    pub(super) fn put(&mut self, id: i64, now: Instant) -> (u32, Duration) {
        if self.0.len() >= MESSAGES_MAX && !self.0.contains_key(&id) {
            self.0.clear();
        }
        let refused = self.0.entry(id).or_insert(Refused { times: 0, until: now });
        let pause = PAUSE.saturating_mul(2u32.saturating_pow(refused.times)).min(PAUSE_MAX);
        refused.times = refused.times.saturating_add(1);
        refused.until = now + pause;
        (refused.times, pause)
    }

    /// It has left.
    pub(super) fn forget(&mut self, id: i64) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_rests_twice_as_long_each_time_up_to_a_limit() {
        let (mut aside, mut now) = (Aside::default(), Instant::now());
        assert!(aside.is_due(7, now) && aside.is_new(7));
        for (times, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30)] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(aside.put(7, now), (times, pause));
            assert!(!aside.is_due(7, now + pause - Duration::from_millis(1)));
            assert!(aside.is_due(8, now) && aside.is_new(8), "the others are not held up");
            now += pause;
            assert!(aside.is_due(7, now) && !aside.is_new(7));
        }
        aside.forget(7);
        assert_eq!(aside.put(7, now).0, 1);
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let (mut aside, now) = (Aside::default(), Instant::now());
        for id in 0..25_000 {
            aside.put(id, now);
            assert!(aside.0.len() <= MESSAGES_MAX);
        }
    }
}
