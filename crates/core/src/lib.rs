//! The saga machine: pure decisions over facts.
//!
//! Everything that decides what a saga does next is in this crate, and nothing else is: no clock,
//! no randomness, no input or output, no hash map. The engine, the model checker and the
//! simulator run this very code.
//!
//! * [`definition`] – a saga type, well-formed.
//! * [`Saga`] – the state of one saga; [`Saga::apply`] takes in one [`Event`].
//! * [`decide`] – an [`Input`] comes in, the saga's next events come out.
//! * [`effects`] – what the saga owes to the world, derived from its state.
//! * [`rules`] – the questions the others ask.
//! * [`choreography`] – the same definition run by the services themselves.
#![no_std]

extern crate alloc;

mod apply;
pub mod choreography;
mod decide;
pub mod definition;
pub mod effects;
pub mod event;
mod ids;
pub mod input;
pub mod mutant;
pub mod rules;
pub mod saga;
mod time;

pub use apply::IllegalEvent;
pub use decide::{RETRY_AFTER_MAX, decide, start};
pub use definition::Definition;
pub use event::Event;
pub use ids::{Direction, NoSagaId, Payload, RunRef, SagaId, StepIx, StepSet};
pub use input::{Input, Moment, Refusal};
pub use saga::Saga;
pub use time::{Millis, Time};
