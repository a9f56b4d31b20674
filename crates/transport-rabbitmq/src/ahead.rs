//! How many messages the server may bring before something is settled. AMQP counts messages, and
//! RabbitMQ knows no bytes (`prefetch_size`): so how many that are goes by how large they are.

use amends_transport::{BODY_BYTES_MAX, HELD_BYTES_MAX, UNSETTLED_MAX};

/// How many messages that were given back may wait here, beside those that are held: the server
/// knows no pause, so they stay ours until it is over. With more, what comes later waits for them.
const WAITING_MAX: usize = UNSETTLED_MAX;

/// Of small ones.
const PREFETCH_MAX: u16 = {
    assert!(UNSETTLED_MAX + WAITING_MAX <= u16::MAX as usize);
    (UNSETTLED_MAX + WAITING_MAX) as u16
};

/// Until it is known how large they are: each may be as large as is read.
const PREFETCH_AT_FIRST: u16 = {
    assert!(HELD_BYTES_MAX / BODY_BYTES_MAX <= u16::MAX as usize);
    (HELD_BYTES_MAX / BODY_BYTES_MAX) as u16
};

/// How many have to come after a large one until more are asked for again: where every now and then
/// one is large, few at a time are better than always another number.
const SMALL_AGAIN_AFTER: u16 = 4 * PREFETCH_MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ahead {
    prefetch: u16,
    /// Since it was last looked whether there may be more, and the largest of them.
    came: u16,
    largest: usize,
    /// After how many that is.
    grows_after: u16,
}

impl Ahead {
    pub(crate) const fn new() -> Self {
        let prefetch = PREFETCH_AT_FIRST;
        Self { prefetch, came: 0, largest: 0, grows_after: prefetch }
    }

    pub(crate) const fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// A body of this size came; says whether another number fits by far better than the one that
    /// the server was told.
    pub(crate) fn came(&mut self, bytes: usize) -> bool {
        self.came += 1;
        self.largest = self.largest.max(bytes);
        let fit = HELD_BYTES_MAX / self.largest.max(1);
        let fit = u16::try_from(fit).unwrap_or(u16::MAX).clamp(1, PREFETCH_MAX);
        if fit < self.prefetch / 2 {
            *self = Self { prefetch: fit, came: 0, largest: 0, grows_after: SMALL_AGAIN_AFTER };
            return true;
        }
        if self.came < self.grows_after {
            return false;
        }
        let grows = fit / 2 >= self.prefetch;
        let prefetch = if grows { fit } else { self.prefetch };
        *self = Self { prefetch, came: 0, largest: 0, grows_after: self.grows_after };
        grows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server is told last where bodies of these sizes come.
    fn told(ahead: &mut Ahead, bodies: impl IntoIterator<Item = usize>) -> Vec<u16> {
        let told = |bytes| ahead.came(bytes).then(|| ahead.prefetch());
        bodies.into_iter().filter_map(told).collect()
    }

    #[test]
    fn as_many_are_asked_for_as_fit_into_memory() {
        let mut ahead = Ahead::new();
        assert_eq!(ahead.prefetch(), 64);
        assert_eq!(told(&mut ahead, [1000; 63]), [0; 0]);
        assert_eq!(
            told(&mut ahead, [1000; 1]),
            [PREFETCH_MAX],
            "more, once they are known to be small"
        );
        assert_eq!(told(&mut ahead, [BODY_BYTES_MAX; 9]), [64], "fewer, at once");
        assert_eq!(told(&mut ahead, [8 * BODY_BYTES_MAX]), [8]);
        assert_eq!(told(&mut ahead, [9 * HELD_BYTES_MAX; 2]), [1], "one comes, however large");
    }

    #[test]
    fn a_large_one_now_and_then_does_not_change_the_number_each_time() {
        let mut ahead = Ahead::new();
        let one_in_a_hundred =
            (0..10_000).map(|number| if number % 100 == 99 { BODY_BYTES_MAX } else { 1000 });
        assert_eq!(told(&mut ahead, one_in_a_hundred), [PREFETCH_MAX, 64]);
        let small = [1000; 2 * SMALL_AGAIN_AFTER as usize];
        assert_eq!(told(&mut ahead, small), [PREFETCH_MAX]);
    }
}
