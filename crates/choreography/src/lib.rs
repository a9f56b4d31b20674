//! One service's share of a saga that runs without a coordinator.
//!
//! Every service of a choreography reads every [`SagaEvent`] of its sagas. What it knows of one is a
//! [`Record`], which it keeps in its own database, and a [`Service`] says what follows: what is to be
//! published about something that happened, which belongs into the transaction that keeps the record;
//! which [`Task`]s the service has now; and when there may be more. What is decided is the machine's
//! ([`amends_core::choreography`]); here it gets names, data, time and the form on the wire.
//!
//! [`free`] is the same for reactions to events that have no common list of steps.
//!
//! No input or output, no clock, no randomness: whoever runs it (the participant kit, the sidecar, the
//! simulator) brings events, answers and the time, and carries out what comes of them.

mod advance;
mod definition;
mod event;
pub mod free;
mod observed;
mod persist;
mod plan;
mod record;
mod said;
mod service;
mod tasks;
mod time;

pub use advance::Advance;
pub use amends_definition::Surroundings;
pub use definition::{Choreographed, Unfit};
pub use event::{Context, EVENT_BYTES_MAX, Reason, SagaEvent, Unreadable, Word};
pub use persist::{Foreign, RECORD_FORMAT};
pub use plan::PLAN_FORMAT;
pub use record::{Record, State};
pub use service::{Answered, InVain, Moment, NotTaken, Service};
pub use tasks::{Prepared, Task};
pub use time::{GRACE, LEFT_FOR, Overdue};
