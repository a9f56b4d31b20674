//! Commands over plain HTTP: one POST a sending, its answer in the same exchange.
//!
//! What an answer means is decided in `amends-wire`; this crate knows sockets, TLS and headers,
//! and above all whether anything left.

mod client;
mod request;
mod service;
mod transport;

pub use service::{BindError, HttpService, RefusedWhen};
pub use transport::{ANSWER_BYTES_MAX, HttpTransport, Options, Seen};
