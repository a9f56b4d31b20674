//! Wall-clock instants and spans, handed in by the caller: the machine has no clock.

use core::fmt;
use core::ops::{Add, Sub};

/// An instant: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000)
    }

    /// A span of `n` minutes.
    pub const fn mins(n: u64) -> Self {
        Self(n * 60_000)
    }

    /// `n` times this span; saturates.
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl Time {
    /// The span since `earlier`; zero when that lies ahead.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add<Millis> for Time {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Time {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// `1500ms`, `10s`, `2m`, `1d`: the largest unit that divides it, as the definition file writes it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        for (size, unit) in UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn time_is_added_and_taken_away_within_what_a_number_holds() {
        let (noon, hour) = (Time(43_200_000), Millis::mins(60));
        assert_eq!((noon + hour, noon - hour), (Time(46_800_000), Time(39_600_000)));
        assert_eq!(((noon + hour).since(noon), noon.since(noon + hour)), (hour, Millis::ZERO));
        let (last, all) = (Time(u64::MAX), Millis(u64::MAX));
        assert_eq!((last + hour, noon - all, hour.times(u64::MAX)), (last, Time(0), all));
        assert_eq!((hour + hour, all + hour), (Millis::mins(120), all));
    }

    #[test]
    fn a_span_is_written_in_the_largest_unit_that_divides_it() {
        let written = [0, 1, 1_500, 1_000, 90_000, 120_000, 3_600_000, 86_400_000, 129_600_000]
            .map(|span| Millis(span).to_string());
        let words = ["0ms", "1ms", "1500ms", "1s", "90s", "2m", "1h", "1d", "36h"];
        assert_eq!(written, words);
    }
}
