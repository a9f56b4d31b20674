//! The time of day and the identities of sagas: the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_core::{SagaId, Time};
use amends_engine::Outside;
use tokio::time::Instant;

/// When the first engine of a story starts, in milliseconds.
const WALL_AT_FIRST: Time = Time(1_800_000_000_000);

/// How many sagas a story has, at the most.
const SAGAS_MAX: u64 = 1000;

/// See the module.
pub struct Given {
    wall: Time,
    since: Instant,
    next: AtomicU64,
}

impl Given {
    /// For a story that begins.
    pub fn at_first() -> Self {
        Self { wall: WALL_AT_FIRST, since: Instant::now(), next: AtomicU64::new(0) }
    }

    /// For one that was told up to here, and goes on in another runtime.
    pub fn after(wall: Time) -> Self {
        let next = AtomicU64::new(SAGAS_MAX);
        Self { wall: wall.max(WALL_AT_FIRST), since: Instant::now(), next }
    }
}

impl Outside for Given {
    fn wall_clock(&self) -> Time {
        let passed: Duration = self.since.elapsed();
        Time(self.wall.0 + passed.as_millis() as u64)
    }

    fn saga_id(&self) -> SagaId {
        let (version, variant) = (0x7_u128 << 76, 0b10_u128 << 62);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        SagaId(u128::from(self.wall_clock().0) << 80 | version | variant | u128::from(number))
    }
}
