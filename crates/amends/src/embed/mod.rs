//! The engine inside a Rust program: steps are async functions, sagas are built in Rust.

mod builder;
mod command;
mod engine;
mod plan;
mod view;

#[cfg(test)]
mod tests;

pub use builder::{BuildError, Builder, Missing};
pub use command::{Call, Failure, NotNow, Refused, Undo, UndoEnd};
pub use engine::{Engine, StartError};
pub use plan::{PlanError, VERSIONS_MAX};
pub use view::View;
