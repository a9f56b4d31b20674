//! Exhaustive exploration of choreographies: every small definition, run by services that read what
//! was said in every order, with the rules that are shipped, `amends_core::choreography`.

pub mod laws;
pub mod marks;
pub mod moves;
#[cfg(feature = "traps")]
pub mod plan;
#[cfg(feature = "traps")]
pub mod report;
pub mod scene;
pub mod search;
#[cfg(feature = "traps")]
pub mod table;
#[cfg(feature = "traps")]
pub mod traps;

#[cfg(feature = "traps")]
pub use plan::{Broken, Group, explore, groups};
