//! One definition, tried in every order within a time: what `amends verify` shows.
//!
//! [`subject`] makes a scene of a definition and of what its services promise, [`search`] tries it,
//! [`finding`] says what a state shows, and [`story`] tells the way to it.

pub mod finding;
pub mod search;
pub mod story;
pub mod subject;
