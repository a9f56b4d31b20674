//! The clock of the call log.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the system's monotonic clock: one clock for every process of the machine, so
/// that calls to different services can be put in order.
pub(crate) fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
