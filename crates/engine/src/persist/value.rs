//! What a field can hold, each type in its one form.

use std::sync::Arc;

use amends_core::{Millis, Payload, SagaId, StepIx, Time};

use super::error::Problem;
use super::reader::Reader;
use super::writer::Writer;

/// A type that can be a field's value.
pub(super) trait Value: Sized {
    fn put(&self, w: &mut Writer<'_>);
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem>;
}

impl Value for u8 {
    fn put(&self, w: &mut Writer<'_>) {
        w.byte(*self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.byte()
    }
}

impl Value for bool {
    fn put(&self, w: &mut Writer<'_>) {
        w.byte(u8::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        match r.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Problem::Damaged("a truth value is neither 0 nor 1")),
        }
    }
}

impl Value for u32 {
    fn put(&self, w: &mut Writer<'_>) {
        w.varint(u64::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        u32::try_from(r.varint()?).map_err(|_| Problem::Damaged("a count has more than 32 bits"))
    }
}

impl Value for StepIx {
    fn put(&self, w: &mut Writer<'_>) {
        w.byte(self.0);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.byte().map(Self)
    }
}

impl Value for Time {
    fn put(&self, w: &mut Writer<'_>) {
        w.instant(*self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.instant()
    }
}

impl Value for Millis {
    fn put(&self, w: &mut Writer<'_>) {
        w.varint(self.0);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.varint().map(Self)
    }
}

impl Value for SagaId {
    fn put(&self, w: &mut Writer<'_>) {
        w.raw(&self.0.to_be_bytes());
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.array().map(|bytes| Self(u128::from_be_bytes(bytes)))
    }
}

impl Value for [u8; 32] {
    fn put(&self, w: &mut Writer<'_>) {
        w.raw(self);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.array()
    }
}

impl Value for Arc<str> {
    fn put(&self, w: &mut Writer<'_>) {
        w.chunk(self.as_bytes());
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        let text = str::from_utf8(r.chunk()?);
        text.map(Self::from).map_err(|_| Problem::Damaged("a text is not UTF-8"))
    }
}

impl Value for Payload {
    fn put(&self, w: &mut Writer<'_>) {
        w.chunk(self.bytes());
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        r.chunk().map(Self::from)
    }
}

/// What each run carries: their number, and for each 0, or its length plus 1 and its bytes.
impl Value for Vec<Option<Payload>> {
    fn put(&self, w: &mut Writer<'_>) {
        w.varint(self.len() as u64);
        for input in self {
            match input {
                None => w.varint(0),
                Some(payload) => {
                    w.varint(payload.bytes().len() as u64 + 1);
                    w.raw(payload.bytes());
                }
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Problem> {
        let count = r.varint()?;
        // Each takes a byte at the least: no count is believed that the bytes cannot hold.
        let count = usize::try_from(count).ok().filter(|&n| n <= r.len());
        let count = count.ok_or(Problem::CutOff)?;
        let mut inputs = Self::with_capacity(count);
        for _ in 0..count {
            inputs.push(match r.varint()?.checked_sub(1) {
                None => None,
                Some(length) => Some(Payload::from(r.take(length)?)),
            });
        }
        Ok(inputs)
    }
}
