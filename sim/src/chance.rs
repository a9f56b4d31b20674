//! Chance: every random draw of a run comes from its seed, through a stream with a name, so that one
//! more draw here changes nothing there.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chance {
    /// The stream of that name, of that seed.
    pub fn named(seed: u64, name: &str) -> Self {
        let folded = name.bytes().fold(mixed(seed.wrapping_add(GOLDEN)), |state, byte| {
            mixed(state.wrapping_add(u64::from(byte)).wrapping_add(GOLDEN))
        });
        Self(folded)
    }

    /// A number below `n`, or 0 where there is none.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        // The bias of a remainder is of no importance for such small numbers.
        mixed(self.0).checked_rem(n).unwrap_or(0)
    }

    /// A number from `low` up to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// A span in milliseconds: mostly short, now and then up to the longest, so that what is rare in
    /// time is not rare in the runs.
    pub fn span(&mut self, usual: u64, longest: u64) -> u64 {
        match self.below(10) {
            0 => self.between(usual, longest),
            1..=3 => self.between(0, usual / 10),
            _ => self.between(usual / 10, usual),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_the_same_every_time_and_differ_by_seed_and_name() {
        let draw = |seed, name| Chance::named(seed, name).below(u64::MAX);
        assert_eq!(draw(1, "disk"), draw(1, "disk"));
        assert_ne!(draw(1, "disk"), draw(2, "disk"));
        assert_ne!(draw(1, "disk"), draw(1, "dusk"));
    }
}
