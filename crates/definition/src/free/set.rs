//! A set of events, or of reactions: small numbers in one machine word.

/// Numbers below 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Set(u128);

impl Set {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn has(self, number: usize) -> bool {
        number < 128 && self.0 >> number & 1 == 1
    }

    #[must_use]
    pub(crate) fn with(self, number: usize) -> Self {
        Self(if number < 128 { self.0 | 1 << number } else { self.0 })
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Are all of these in the other?
    pub(crate) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    #[must_use]
    pub(crate) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub(crate) fn either(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub(crate) fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// From the lowest.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = left.trailing_zeros();
            left &= left.checked_sub(1)?;
            Some(lowest as usize)
        })
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::EMPTY, Self::with)
    }
}
