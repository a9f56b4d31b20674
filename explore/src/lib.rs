//! Exhaustive exploration of the saga machine that is shipped.
//!
//! The engine is `amends_core::decide` itself; network, participants, crashes, cancels and time
//! are [`model`]led around it, and a breadth-first search tries every order of what may happen: the
//! explorer's own run does so with every small shape, and [`verify`] with one definition, in a time.

pub mod attention;
pub mod backwards;
pub mod cast;
pub mod choreography;
#[cfg(feature = "traps")]
pub mod covering;
#[cfg(feature = "traps")]
pub mod groups;
pub mod known;
pub mod laws;
pub mod machine;
pub mod marks;
pub mod model;
pub mod order;
pub mod participant;
#[cfg(feature = "traps")]
pub mod plan;
#[cfg(feature = "traps")]
pub mod report;
pub mod rest;
pub mod search;
pub mod shape;
pub mod stage;
pub mod states;
#[cfg(feature = "traps")]
pub mod table;
pub mod traps;
pub mod verify;
pub mod world;
