//! The saga machine: pure decisions over facts.
//!
//! Everything that decides what a saga does next is in this crate, and nothing else is: no clock,
//! no randomness, no input or output, no hash map. The engine, the model checker and the
//! simulator run this very code.
#![no_std]

extern crate alloc;

pub mod definition;
mod ids;
mod time;

pub use ids::{Direction, Payload, RunRef, SagaId, StepIx, StepSet};
pub use time::{Millis, Time};
