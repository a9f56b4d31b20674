//! The REST API, live events and metrics.
//!
//! A [`Server`] is bound to an address with [`Options`] and an engine's handle, and run until it is
//! told to stop. What callers see of a saga is made in one place (`saga_json`), every error answer
//! in another (`problem`), and the description of the API comes from the handlers themselves.

mod act;
mod app;
mod attention;
mod auth;
mod connection;
mod dead_letters;
mod definitions;
mod events;
mod extract;
mod history_json;
mod json_text;
mod linger;
mod list;
mod openapi;
mod operations;
mod options;
mod problem;
mod read;
mod records;
mod redaction;
mod refusal;
mod replies;
mod reply_door;
mod router;
mod saga_json;
mod server;
mod site;
mod start;
mod tls;
mod tokens;
mod waiting;
mod words;

pub use options::{CONNECTIONS_MAX, DRAIN, NoSecrets, Options, PORT_DEFAULT, Secrets};
pub use problem::Code;
pub use reply_door::{Posted, Refusal, ReplyDoor, ReplyTaker};
pub use server::{Error, Server};
pub use tls::{Tls, TlsError};
pub use tokens::{Role, TOKEN_CHARS_MIN, Tokens, TokensError};

/// The description of the API (OpenAPI 3.1) as JSON text.
pub fn openapi() -> &'static str {
    openapi::text()
}

#[cfg(test)]
mod tests;
