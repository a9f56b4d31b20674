//! One service's reactions in a free choreography: what it does at which event, and says then, as the
//! checked file has it.
//!
//! A [`FreeChoreography`] is the file, a [`Service`] has one service's reactions in it. What that knows of
//! a run is a [`Record`], which it keeps in its own database: the events that have come, which reactions
//! have taken place, and how. The rules are those by which `amends check` takes the file through every
//! order (`docs/choreography.md`, "What is meant by it"): a reaction takes place once a run, and an action
//! whose undo has come first does not run any more.

mod carried;
mod definition;
mod event;
mod persist;
mod record;
mod say;
mod service;
mod tasks;

pub use amends_definition::{Does, Reaction};
pub use carried::{Carried, Data};
pub use definition::{FreeChoreography, Unfit};
pub use event::{Context, Event};
pub use record::{Outcome, Record};
pub use service::{Advance, Answered, NotTaken, Service};
pub use tasks::{ATTEMPTS_MAX, Task};
