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

mod keeper;
mod kind;
mod program;
mod server;

pub use kind::{
    BY_NAME, KAFKA_CERTIFICATE, KAFKA_GUEST, KAFKA_OWNER, Kind, Make, kafka, kafka_with_logins,
    kafka_with_tls, mariadb, nats, postgres, rabbitmq,
};
pub use server::Server;
