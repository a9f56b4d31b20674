//! Whether all is read that others have said: before that nobody may be called late.
//!
//! What somebody has not read they cannot see. But what was said in time, and is unread when somebody is late, is
//! older than the grace by then. So all is read when the channel was there for a while, was asked all
//! the time, and brought nothing so old.

use std::time::Duration;

use amends_core::{Millis, Time};
use tokio::time::Instant;

/// How long nothing old may come, at most: longer than what was given back rests.
const SETTLED_MAX: Duration = Duration::from_secs(15);

/// The same of a channel that has brought nothing yet, at most: a group of consumers waits so long for one
/// that was killed.
const FIRST_MAX: Duration = Duration::from_secs(60);

/// Two looks further apart than this, by either clock: the process stood still meanwhile, or the clock was set.
/// Or the channel was not asked for so long: there was no hand free to take what it has.
const STOOD_STILL: Duration = Duration::from_secs(3);

/// Whether all is read that others have said at a place of events: before that nobody may be called late.
/// What was said in time, and is unread when somebody is late, is older than the grace by then; so all is
/// read when the channel was there for a while, was asked all the time, and brought nothing so old.
pub struct CaughtUp {
    grace: Millis,
    /// Since when nothing says that there is more to read.
    since: Instant,
    /// It has brought something.
    has_begun: bool,
    looked: (Instant, Time),
    /// When the channel was asked last.
    asked: Instant,
}

impl CaughtUp {
    /// Nothing is known of it; others are late when they are late by more than this.
    pub fn new(grace: Millis, now: Time) -> Self {
        let since = Instant::now();
        Self { grace, since, has_begun: false, looked: (since, now), asked: since }
    }

    /// Something says that there may be more.
    pub fn is_behind(&mut self) {
        self.since = Instant::now();
    }

    /// The channel is asked, and may bring something.
    pub fn asks(&mut self) {
        self.asked = Instant::now();
    }

    /// This was brought; it was said then, where that can be read.
    pub fn brought(&mut self, at: Option<Time>, now: Time) {
        self.has_begun = true;
        if at.is_none_or(|at| at + self.grace <= now) {
            self.is_behind();
        }
    }

    /// Is all read, as far as can be seen? `is_there`: the channel is connected.
    pub fn look(&mut self, is_there: bool, now: Time) -> bool {
        let (looked, at) = std::mem::replace(&mut self.looked, (Instant::now(), now));
        let by_clock = Duration::from_millis(now.0.abs_diff(at.0));
        let stood_still = looked.elapsed().max(by_clock).max(self.asked.elapsed());
        if !is_there || stood_still > STOOD_STILL {
            self.is_behind();
        }
        let grace = Duration::from_millis(self.grace.0);
        let settled = if self.has_begun {
            grace.min(SETTLED_MAX)
        } else {
            grace.saturating_mul(2).min(FIRST_MAX)
        };
        self.since.elapsed() >= settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Millis = Millis::secs(30);

    /// On a clock that goes on as soon as all wait, with a look every 200 ms: how long until it has caught up?
    async fn looks(caught_up: &mut CaughtUp, now: &mut Time) -> u64 {
        let begun = *now;
        caught_up.asks();
        while !caught_up.look(true, *now) {
            caught_up.asks();
            tokio::time::sleep(Duration::from_millis(200)).await;
            *now = *now + Millis(200);
        }
        now.0 - begun.0
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_caught_up_when_nothing_old_comes_for_a_while() {
        let mut now = Time(1_000_000);
        let mut caught_up = CaughtUp::new(GRACE, now);
        assert_eq!(looks(&mut caught_up, &mut now).await, 60_000, "it may not be in its group yet");
        caught_up.brought(Some(now), now);
        assert_eq!(looks(&mut caught_up, &mut now).await, 0, "what is new says nothing against it");
        caught_up.brought(Some(Time(now.0 - GRACE.0)), now);
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000, "there is a backlog");
        caught_up.brought(None, now);
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000, "it cannot be read");
        assert!(!caught_up.look(false, now), "it is away");
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000);
        now = now + Millis::mins(60);
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000, "the clock was set");
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            caught_up.look(true, now);
        }
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000, "it was not asked");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(looks(&mut caught_up, &mut now).await, 15_000, "the process stood still");
    }
}
