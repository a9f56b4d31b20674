//! The names of things: sagas, steps, runs of a step, and opaque payloads.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// The identity of one saga: a UUID (version 7 when amends makes it) as a big-endian number, so
/// that ids sort by creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(pub u128);

/// The hyphenated lower-case form, the one on the wire and in every log line.
impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (n >> 96) as u32,
            (n >> 80) as u16,
            (n >> 64) as u16,
            (n >> 48) as u16,
            n & 0xffff_ffff_ffff
        )
    }
}

/// Reads what [`Display`](fmt::Display) writes: a program that kept an id as text asks by it again.
impl FromStr for SagaId {
    type Err = NoSagaId;

    fn from_str(text: &str) -> Result<Self, NoSagaId> {
        let mut n = 0u128;
        let mut groups = text.split('-');
        for digits in [8, 4, 4, 4, 12] {
            let group = groups.next().filter(|group| group.len() == digits).ok_or(NoSagaId)?;
            for digit in group.chars() {
                n = n * 16 + u128::from(digit.to_digit(16).ok_or(NoSagaId)?);
            }
        }
        groups.next().is_none().then_some(Self(n)).ok_or(NoSagaId)
    }
}

/// The text is no saga's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSagaId;

impl fmt::Display for NoSagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no saga's id: give it as amends does, a UUID with its four hyphens")
    }
}

impl core::error::Error for NoSagaId {}

impl fmt::Debug for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of a step in its definition, counted from 0 in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIx(pub u8);

impl StepIx {
    /// As an index into the definition's steps.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// One run of a step. A plain step has the one run 0; a `for_each` step has a run for each item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunRef {
    /// Which step.
    pub step: StepIx,
    /// Which of its runs, counted from 0.
    pub run: u8,
}

impl RunRef {
    /// The run of a plain step.
    pub const fn only(step: StepIx) -> Self {
        Self { step, run: 0 }
    }
}

/// Which of a step's two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The action.
    Action,
    /// The compensation, which undoes it.
    Compensation,
}

/// A set of steps, one machine word: this is why a definition has at most [`STEPS_MAX`] steps.
///
/// [`STEPS_MAX`]: crate::definition::STEPS_MAX
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepSet(u64);

impl StepSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Puts a step in.
    pub const fn insert(&mut self, step: StepIx) {
        self.0 |= 1 << step.0;
    }

    /// Takes a step out.
    pub const fn remove(&mut self, step: StepIx) {
        self.0 &= !(1 << step.0);
    }

    /// Is every step of `other` in it?
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// This set and `other` together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is the step in it?
    pub const fn contains(self, step: StepIx) -> bool {
        self.0 & (1 << step.0) != 0
    }

    /// Its steps in the definition's order.
    pub fn iter(self) -> impl Iterator<Item = StepIx> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let next = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            Some(StepIx(next))
        })
    }
}

impl FromIterator<StepIx> for StepSet {
    fn from_iter<I: IntoIterator<Item = StepIx>>(steps: I) -> Self {
        let mut set = Self::EMPTY;
        for step in steps {
            set.insert(step);
        }
        set
    }
}

/// Bytes that the machine carries and never reads: JSON text, to everybody else. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A payload may hold what must not be logged (S24): only its size is shown.
        write!(f, "<{} bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_id_is_shown_in_the_one_form_everywhere() {
        let (id, written) = (SagaId(0xabc), "00000000-0000-0000-0000-000000000abc");
        assert_eq!([id.to_string(), format!("{id:?}")], [written, written]);
        assert!(NoSagaId.to_string().contains("a UUID with its four hyphens"));
    }

    #[test]
    fn a_payload_is_its_bytes_and_shows_their_number_only() {
        let payload = Payload::from("abc");
        assert_eq!((payload.bytes(), format!("{payload:?}")), (&b"abc"[..], "<3 bytes>".into()));
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for text in [
            "",
            "0192f0c123457abc8def0123456789ab",
            "0192f0c1-2345-7abc-8def-0123456789a",
            "0192f0c1-2345-7abc-8def-0123456789ab-",
            "0192f0c1-2345-7abc-8def-0123456789ag",
            "+192f0c1-2345-7abc-8def-0123456789ab",
        ] {
            assert_eq!(text.parse::<SagaId>(), Err(NoSagaId), "{text}");
        }
    }
}
