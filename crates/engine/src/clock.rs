//! The time: the wall clock at start plus monotonic time, so that a clock that is set back or
//! forward fires no timer early or twice (section 5, time). Monotonic time is the runtime's, which a
//! test may pause: a saga of weeks then takes no time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::Time;
use tokio::time::Instant;

/// A clock.
#[derive(Debug)]
pub struct Clock {
    /// In milliseconds; see [`Time`].
    wall_at_start: AtomicU64,
    start: Instant,
}

impl Clock {
    /// Starts with what the wall clock says, which is not read again.
    pub fn start(wall_at_start: Time) -> Self {
        Self { wall_at_start: AtomicU64::new(wall_at_start.0), start: Instant::now() }
    }

    /// The time is not before this. Said at the start with the last time that was written down: a
    /// wall clock that was set back while the engine was down must not make every deadline wait
    /// until it has caught up.
    pub fn not_before(&self, time: Time) {
        let behind = time.0.saturating_sub(self.now().0);
        self.wall_at_start.fetch_add(behind, Ordering::Relaxed);
    }

    /// The time now.
    pub fn now(&self) -> Time {
        Time(self.wall_at_start.load(Ordering::Relaxed) + millis(self.start.elapsed()))
    }

    /// When that time comes, for a sleeper.
    pub fn instant(&self, at: Time) -> Instant {
        let wall_at_start = self.wall_at_start.load(Ordering::Relaxed);
        self.start + Duration::from_millis(at.0.saturating_sub(wall_at_start))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_was_set_back_does_not_take_the_time_back() {
        let clock = Clock::start(Time(1_000));
        let written = Time(clock.now().0 + 4_000_000);
        clock.not_before(written);
        assert_eq!(clock.now(), written);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Time(written.0 + 2_000));
        assert_eq!(clock.instant(Time(written.0 + 2_000)), Instant::now());
        clock.not_before(written);
        assert_eq!(clock.now(), Time(written.0 + 2_000), "what is past already moves nothing");
    }
}
