//! What is fed with bytes that nobody wrote, and what must hold all the same.
//!
//! A [`Target`] takes any bytes and panics where a promise is broken. It runs in two ways: the tests
//! of this crate feed it every input that is kept, and `cargo xtask fuzz` lets libFuzzer look for
//! new ones, guided by the code that they reach. `docs/fuzzing.md` says what each asserts.

mod kept;
mod targets;

pub use kept::{kept, root};
pub use targets::{TARGETS, Target};
