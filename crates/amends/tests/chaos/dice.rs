//! Seeded dice: the same seed draws the same load and the same moments.

/// SplitMix64: small, and good enough to choose by.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for the `n`th of something, so that tasks draw independently of each
    /// other's pace.
    pub fn split(&self, n: u64) -> Self {
        let mut dice = Self(self.0 ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.draw();
        dice
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }

    /// All of them, in an order that is drawn.
    pub fn shuffled<T>(&mut self, mut of: Vec<T>) -> Vec<T> {
        for end in (1..of.len()).rev() {
            let other = usize::try_from(self.below(end as u64 + 1)).unwrap_or(0);
            of.swap(end, other);
        }
        of
    }
}
