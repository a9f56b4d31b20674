//! How long a relay rests while the broker cannot be used: longer each time, and whatever is
//! committed meanwhile, since each commit would try what failed just now, and log it.

use std::time::Duration;

use super::LOOK_EVERY;

/// The longest: after an outage, and while one message alone is not taken, all others wait so long
/// at most.
const REST_MAX: Duration = Duration::from_secs(10);

/// How often in a row the broker could not be used.
#[derive(Default)]
pub(super) struct Rest(u32);

impl Rest {
    /// It could not: how long the relay rests now.
    pub(super) fn next(&mut self) -> Duration {
        let rest = LOOK_EVERY.saturating_mul(2u32.saturating_pow(self.0)).min(REST_MAX);
        self.0 = self.0.saturating_add(1);
        rest
    }

    /// It could.
    pub(super) const fn end(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rest_is_twice_the_one_before_up_to_a_limit() {
        let mut rest = Rest::default();
        let rests: Vec<_> = (0..6).map(|_| rest.next().as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 10, 10]);
        rest.end();
        assert_eq!(rest.next().as_secs(), 1);
    }
}
