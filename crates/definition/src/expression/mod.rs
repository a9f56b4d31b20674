//! Expressions: CEL in `"${ … }"`, checked and bounded before anything runs.
//!
//! `cel` reads and evaluates; the bounds are ours: the text, comprehensions, lists, and a
//! worst-case estimate of the work made over the very values an expression is about to see
//! ([`cost`]), so that no definition and no data can make an evaluation long or large.

mod analyse;
mod cost;
mod error;
mod evaluate;
mod json;
mod path;
mod program;
mod refused_when;
mod template;

pub(crate) use analyse::Reference;
pub use error::ExprError;
pub(crate) use evaluate::StepExpressions;
pub use evaluate::{Context, Expressions, StepInputs};
pub(crate) use path::Scope;
pub(crate) use program::{Program, Wrong};
pub use refused_when::RefusedWhen;
pub(crate) use template::{Part, Parts, Template};

/// The longest expression, in bytes. What needs more belongs in a service.
pub const EXPRESSION_BYTES_MAX: usize = 1024;

/// The longest list an expression goes through or makes.
pub const LIST_ITEMS_MAX: usize = 1_000;

/// The largest input that expressions may make for one command, in bytes of JSON: brokers carry
/// messages of 256 KiB without asking.
pub const INPUT_BYTES_MAX: usize = 256 * 1024;

/// The most work of one evaluation, in bytes read or made: some tens of milliseconds at worst.
pub(crate) const WORK_BYTES_MAX: u64 = 64 * 1024 * 1024;
