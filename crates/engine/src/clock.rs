//! The time: the wall clock at start plus monotonic time, so that a clock that is set back or
//! forward fires no timer early or twice (section 5, time). Monotonic time is the runtime's, which a
//! test may pause: a saga of weeks then takes no time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_core::Time;
use tokio::time::Instant;

/// A clock. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_at_start: Time,
    start: Instant,
}

impl Clock {
    /// Reads the wall clock, this once.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_at_start: Time(millis(wall)), start: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        Time(self.wall_at_start.0 + millis(self.start.elapsed()))
    }

    /// When that time comes, for a sleeper.
    pub fn instant(&self, at: Time) -> Instant {
        self.start + Duration::from_millis(at.0.saturating_sub(self.wall_at_start.0))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
