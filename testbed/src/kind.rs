//! The kinds of server, each with a room that says how it is set up, started and asked whether it
//! is ready.

mod kafka;
mod mariadb;
mod nats;
mod postgres;
mod rabbitmq;
mod sqs;

use std::path::Path;

pub use kafka::{
    KAFKA_CERTIFICATE, KAFKA_GUEST, KAFKA_OWNER, kafka, kafka_with_logins, kafka_with_tls,
};
pub use mariadb::mariadb;
pub use nats::{
    NATS_GUEST, NATS_KEEPER, NATS_OWNER, NATS_STRANGER, nats, nats_with_logins, nats_with_rights,
};
pub use postgres::postgres;
pub use rabbitmq::rabbitmq;
pub use sqs::{SQS_GUEST, SQS_OWNER, sqs, sqs_with_logins};

use crate::program::Program;

/// Makes a kind.
pub type Make = fn() -> Box<dyn Kind>;

/// The kinds, by the name that the command line has for each.
pub const BY_NAME: &[(&str, Make)] = &[
    ("kafka", kafka),
    ("kafka_logins", kafka_with_logins),
    ("mariadb", mariadb),
    ("nats", nats),
    ("postgres", postgres),
    ("rabbitmq", rabbitmq),
    ("sqs", sqs),
    ("sqs_logins", sqs_with_logins),
];

/// A kind of server.
pub trait Kind: Send + Sync {
    /// Its name, as the command line has it.
    fn name(&self) -> &'static str;

    /// The user that it runs as where the tests run as root, if the machine has that user.
    fn user(&self) -> &'static str;

    /// What is run once, in a new folder, if anything.
    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>>;

    /// The server.
    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program>;

    /// Does it take work?
    fn is_ready(&self, folder: &Path, port: u16) -> bool;

    /// Where it is reached, without a password: of a database, one of its own.
    fn url(&self, port: u16) -> String;

    /// The variable that tells the URL to a program: `AMENDS_TEST_POSTGRES_URL`.
    fn variable(&self) -> String {
        format!("AMENDS_TEST_{}_URL", self.name().to_uppercase())
    }
}
