//! A durable saga engine: embed it, or run the binary.
//!
//! A saga is a sequence of steps, each carried out by a service of its own; when one fails, those
//! that were done are undone, in reverse. `amends serve` runs sagas for services in any language;
//! this crate is the same engine inside a Rust program.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `cli` (default) | the `amends` binary and what only it needs |
//! | `sqlite` | sagas that outlive the process, in a data folder |
