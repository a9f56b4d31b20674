//! The three services of `transfer.yaml`, on the participant kit, each with a database of its own.
//!
//! What idempotency takes is not to be seen in them: it is the kit's, in the transaction of each
//! handler.

mod accounts;
mod bank;
mod notices;
mod transfers;

pub use bank::{Bank, Service};
