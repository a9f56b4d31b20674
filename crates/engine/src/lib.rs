//! The engine around the machine: shards, batches, timers, dispatch and recovery.
//!
//! This is the only place where the machine meets the wire, the store and the clock. An
//! [`Engine`] is started on a store and runs until it is stopped; a [`Handle`] starts sagas and
//! asks things of them.

mod checkpointer;
mod clock;
mod convert;
mod deployed;
mod deployment;
mod difference;
mod engine;
mod evaluation;
mod handle;
mod hidden;
mod messaging;
mod metrics;
mod misfit;
pub mod mutant;
pub mod options;
mod outages;
mod outside;
pub mod persist;
mod place;
mod reading;
mod recovery;
mod redaction;
mod replying;
mod request;
mod saga_map;
mod shard;
mod starting;
mod stuck;
mod transition;
pub mod words;

pub use convert::{REASON_BITS, UNREADABLE_BIT, outcome_in, state_in, state_out};
pub use deployed::{Binder, Binding, Carrier, Deployed, StepNames};
pub use deployment::{DeployError, Deployment};
pub use engine::{Engine, Error};
pub use evaluation::evaluate;
pub use handle::{Handle, Health, HistoryItem};
pub use hidden::{Hidden, REDACTED};
pub use metrics::Metrics;
pub use options::Options;
pub use outside::{Machine, Outside};
pub use redaction::Redaction;
pub use request::{
    Ask, AskError, Receipt, ReplyError, ReplyIn, SagaVerb, Snapshot, Start, StartError, Started,
    Unavailable,
};
pub use starting::KEY_BYTES_MAX;
pub use transition::{Change, Transition};
