//! The services of the worked sagas as real HTTP participants, with faults to order, and the judge
//! that says from their ledgers alone whether a saga kept its word.
//!
//! No crate of amends is used here: a participant needs none. Each service keeps its own SQLite
//! file with the same tables as the Python participants of `examples/order`, so that the
//! [judge](judge::judge) reads both.

mod callback;
mod clock;
mod command;
mod command_line;
mod door;
mod evidence;
mod fault;
mod guard;
pub mod judge;
mod ledger;
mod server;
mod service;
mod services;
mod trade;

pub use command_line::{USAGE, run};
pub use evidence::{Call, Effect, Evidence, Word};
pub use fault::{BadFault, Fault};
pub use ledger::Durability;
pub use server::{CRASH_EXIT_CODE, OnCrash};
pub use service::{Service, UnknownService, Worked};
pub use services::{Ports, Services, Settings};
