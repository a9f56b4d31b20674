//! How long things took: a histogram of fixed size that many tasks write at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every power of two of microseconds is cut into this many parts, so that what is read is at most
/// 1.6 % above what was measured.
const PARTS: u64 = 64;

/// Up to 2^36 µs, 19 hours: longer than any benchmark waits.
const POWERS: usize = 31;

/// See the module.
pub struct Latencies {
    buckets: Vec<AtomicU64>,
}

impl Latencies {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self { buckets: (0..POWERS * PARTS as usize).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Takes one measurement in.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(micros).min(self.buckets.len() - 1);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// How many measurements there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// That share (0 to 1) of all measurements took no longer than this; nothing when there are
    /// none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (bucket, noted) in self.buckets.iter().enumerate() {
            seen += noted.load(Ordering::Relaxed);
            if seen >= rank {
                return Some(Duration::from_micros(upper(bucket)));
            }
        }
        None
    }
}

/// Values below 2 × [`PARTS`] have a bucket each; above, a power of two shares [`PARTS`] of them.
fn bucket(micros: u64) -> usize {
    let power = micros.max(PARTS).ilog2() - PARTS.ilog2();
    let part = micros >> power;
    (u64::from(power) * PARTS + part) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let power = (bucket / PARTS).saturating_sub(1);
    let part = bucket - power * PARTS;
    ((part + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_at_most_its_buckets_upper_end_and_close_to_it() {
        for micros in (0..10_000).chain([65_535, 65_536, 1_000_000, 30_000_000_000]) {
            let upper = upper(bucket(micros));
            assert!(upper >= micros, "{micros} {upper}");
            assert!(upper - micros <= micros / PARTS, "{micros} {upper}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_measurements() {
        let latencies = Latencies::new();
        assert_eq!(latencies.quantile(0.5), None);
        for micros in 1..=100 {
            latencies.note(Duration::from_micros(micros));
        }
        let at = |share| latencies.quantile(share).map(|took| took.as_micros());
        assert_eq!((at(0.5), at(0.99), at(1.0)), (Some(50), Some(99), Some(100)));
        assert_eq!(latencies.count(), 100);
    }

    #[test]
    fn what_takes_longer_than_can_be_told_is_counted_all_the_same() {
        let latencies = Latencies::new();
        latencies.note(Duration::MAX);
        assert_eq!(latencies.count(), 1);
    }
}
