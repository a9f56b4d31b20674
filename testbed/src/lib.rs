//! Real servers for tests: started in a folder and on a port of their own, killed at will, gone
//! afterwards.
//!
//! ```no_run
//! let mut server = amends_testbed::Server::start(amends_testbed::postgres())?;
//! let url = server.url();
//! server.kill()?; // as by a loss of power
//! server.start_again()?; // on the same folder, at the same URL
//! # anyhow::Ok(())
//! ```
//!
//! A server syncs what it commits, as it would in earnest. It goes with its [`Server`], also when
//! a test panics, and when the test's process is killed: a keeper, which does nothing but wait
//! for that, then ends the server and removes the folder.
//!
//! A server that keeps nothing cannot be killed without losing all. What its clients do while it is
//! away is tried with a [`Door`] in front of it, which can be shut.

mod cache;
mod door;
mod keeper;
mod kind;
mod program;
mod server;

pub use door::Door;
pub use kind::{
    BY_NAME, KAFKA_CERTIFICATE, KAFKA_GUEST, KAFKA_OWNER, Kind, Make, NATS_GUEST, NATS_KEEPER,
    NATS_OWNER, NATS_STRANGER, SQS_GUEST, SQS_OWNER, kafka, kafka_with_logins, kafka_with_tls,
    mariadb, nats, nats_with_logins, nats_with_rights, postgres, rabbitmq, sqs, sqs_with_logins,
};
pub use server::Server;
