//! Scenarios of the saga machine: given a saga, when this happens, then that is expected.
//!
//! `world` is the test language, on what `amends-invariants` asserts after every decision; `shapes`
//! builds definitions; every other file is one part of `semantics.md`.

mod attention;
mod backoff;
mod choreography;
mod definitions;
mod edges;
mod effects;
mod expressions;
mod fences;
mod histories;
mod late_success;
mod outcomes;
mod pivot;
mod random;
mod seed;
mod shapes;
mod signals;
mod time;
mod troubles;
mod undo_drawn;
mod undo_order;
mod undo_retries;
mod verbs;
mod verbs_refused;
mod world;
