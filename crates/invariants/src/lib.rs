//! What holds after every decision of the machine, whoever asks: scenarios, drawn sagas, fuzzers.
//!
//! * [`Watched`] – one saga, to which things happen; every input asserts the invariants.
//! * [`Script`] – a saga and what happens to it, drawn from numbers or bytes.
//!
//! A broken invariant is a panic that names it (`semantics.md` section 6).

mod commands;
mod definition_drawn;
mod ending;
mod inputs_drawn;
mod invariants;
mod script;
mod watched;

pub use commands::broken_by;
pub use definition_drawn::{Draw, STEPS_MAX};
pub use inputs_drawn::{INPUTS_MAX, Move};
pub use script::Script;
pub use watched::{OpenAttempt, Watched};
