//! Exhaustive exploration of choreographies: every small definition, run by services that read what
//! was said in every order, with the rules that are shipped, `amends_core::choreography`.

pub mod laws;
pub mod marks;
pub mod moves;
pub mod plan;
pub mod report;
pub mod scene;
pub mod search;
pub mod table;
pub mod traps;

pub use plan::{Broken, Group, explore, groups};
