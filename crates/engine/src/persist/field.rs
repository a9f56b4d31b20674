//! How a field is there or not: always, as an option, as a flag, or unless it is at its default.

use std::marker::PhantomData;

use amends_core::Payload;

use super::error::Problem;
use super::reader::Reader;
use super::value::Value;
use super::writer::Writer;

/// What an event's member of type `T` becomes: one field, several, or none.
pub(super) trait Field<T> {
    fn put(&self, value: &T, w: &mut Writer<'_>);
    fn get(&self, r: &mut Reader<'_>) -> Result<T, Problem>;
}

/// A field whose first id always stands there, so that its absence can mean `None`.
pub(super) trait Leading<T>: Field<T> {
    fn first_id(&self) -> u8;
}

/// Always there.
pub(super) struct Always<T> {
    pub(super) id: u8,
    holds: PhantomData<fn() -> T>,
}

pub(super) const fn always<T>(id: u8) -> Always<T> {
    Always { id, holds: PhantomData }
}

impl<T: Value> Field<T> for Always<T> {
    fn put(&self, value: &T, w: &mut Writer<'_>) {
        w.byte(self.id);
        value.put(w);
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<T, Problem> {
        if !r.is_next(self.id) {
            return Err(r.missing(self.id));
        }
        let value = T::get(r)?;
        r.step()?;
        Ok(value)
    }
}

impl<T: Value> Leading<T> for Always<T> {
    fn first_id(&self) -> u8 {
        self.id
    }
}

/// Left out at its default.
pub(super) struct Unless<T> {
    pub(super) id: u8,
    default: T,
}

pub(super) const fn unless<T>(id: u8, default: T) -> Unless<T> {
    Unless { id, default }
}

impl<T: Value + Copy + PartialEq> Field<T> for Unless<T> {
    fn put(&self, value: &T, w: &mut Writer<'_>) {
        if *value != self.default {
            always(self.id).put(value, w);
        }
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<T, Problem> {
        if !r.is_next(self.id) {
            return Ok(self.default);
        }
        let value = always(self.id).get(r)?;
        if value == self.default {
            return Err(DEFAULT_SAID);
        }
        Ok(value)
    }
}

const DEFAULT_SAID: Problem = Problem::Damaged("a field is there although it is at its default");

/// There without a value, or not there.
pub(super) struct Flag {
    pub(super) id: u8,
}

pub(super) const fn flag(id: u8) -> Flag {
    Flag { id }
}

impl Field<bool> for Flag {
    fn put(&self, value: &bool, w: &mut Writer<'_>) {
        if *value {
            w.byte(self.id);
        }
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<bool, Problem> {
        let set = r.is_next(self.id);
        if set {
            r.step()?;
        }
        Ok(set)
    }
}

/// There or not there.
pub(super) struct Maybe<F>(pub(super) F);

impl<T, F: Leading<T>> Field<Option<T>> for Maybe<F> {
    fn put(&self, value: &Option<T>, w: &mut Writer<'_>) {
        if let Some(value) = value {
            self.0.put(value, w);
        }
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<Option<T>, Problem> {
        if r.is_next(self.0.first_id()) { self.0.get(r).map(Some) } else { Ok(None) }
    }
}

/// What each run of a step carries. The common case, one run that carries the saga's data, is left
/// out.
pub(super) struct Inputs {
    pub(super) id: u8,
}

pub(super) const fn inputs(id: u8) -> Inputs {
    Inputs { id }
}

impl Field<Vec<Option<Payload>>> for Inputs {
    fn put(&self, value: &Vec<Option<Payload>>, w: &mut Writer<'_>) {
        if !matches!(value[..], [None]) {
            always(self.id).put(value, w);
        }
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<Vec<Option<Payload>>, Problem> {
        if !r.is_next(self.id) {
            return Ok(vec![None]);
        }
        let value: Vec<_> = always(self.id).get(r)?;
        if matches!(value[..], [None]) {
            return Err(DEFAULT_SAID);
        }
        Ok(value)
    }
}

/// Several fields that make one of the machine's types.
pub(super) struct Group<T>(PhantomData<fn() -> T>);

/// A type that is several fields.
pub(super) trait Fields: Sized {
    fn put_fields(&self, w: &mut Writer<'_>);
    fn get_fields(r: &mut Reader<'_>) -> Result<Self, Problem>;
}

/// A type whose first field is always there.
pub(super) trait LedBy: Fields {
    const FIRST_ID: u8;
}

pub(super) const fn group<T>() -> Group<T> {
    Group(PhantomData)
}

impl<T: Fields> Field<T> for Group<T> {
    fn put(&self, value: &T, w: &mut Writer<'_>) {
        value.put_fields(w);
    }
    fn get(&self, r: &mut Reader<'_>) -> Result<T, Problem> {
        T::get_fields(r)
    }
}

impl<T: LedBy> Leading<T> for Group<T> {
    fn first_id(&self) -> u8 {
        T::FIRST_ID
    }
}
