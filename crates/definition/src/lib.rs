//! The definition file: parsed, checked, compiled for the machine.
//!
//! [`check`] takes bytes and gives all that is wrong with them, each finding with its place, reason
//! and fix, and the [`Compiled`] definition when nothing is. [`Saga`] builds the same in Rust.

mod asyncapi;
mod builder;
mod check;
mod compile;
mod duration;
mod expression;
mod file;
mod finding;
mod free;
mod graph;
mod render;
mod rule;
mod schema;
mod source;
mod surroundings;
mod tree;

pub use asyncapi::asyncapi;
pub use builder::{BuildError, GroupBuilder, Saga, SignalBuilder, StepBuilder};
pub use check::{Checked, Document, check};
pub use compile::{
    Alerts, BACKOFF_DEFAULT, Binding, Bindings, Broker, Compiled, DEADLINE_DEFAULT,
    DEADLINE_TIMEOUTS, DataSchema, Failures, Messaging, Pattern, Places, Queues, Sla, StepExtras,
    TIMEOUT_DEFAULT, Transport, UNDO_DEFAULT,
};
pub use duration::DURATION_DAYS_MAX;
pub use expression::{
    Context, EXPRESSION_BYTES_MAX, ExprError, Expressions, INPUT_BYTES_MAX, LIST_ITEMS_MAX,
    RefusedWhen, StepInputs,
};
pub use finding::{FINDINGS_MAX, Finding, Severity};
pub use free::{
    Analysis, CHECK_STATES_MAX, Does, EVENTS_MAX, End, FreeChoreography, REACTIONS_MAX, Reaction,
    ReactionBuilder, Reactions, Told,
};
pub use graph::{ascii, mermaid, svg};
pub use render::{Remark, findings_json, render, render_within};
pub use rule::Rule;
pub use schema::json_schema;
pub use source::{Place, SOURCE_BYTES_MAX, Source, Span};
pub use surroundings::{EnvVar, Surroundings};
pub use tree::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_MAX};
