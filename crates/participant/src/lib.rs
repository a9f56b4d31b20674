//! The participant kit: services that are idempotent by construction.
//!
//! A saga's engine asks services for things, and may ask twice, late, or for the undo first. A
//! [`Participant`] makes that harmless: it keeps one table in the service's own database, written
//! in the service's own transaction, by the rules of `docs/guard.md`. What is left to the service
//! is a typed function in, and one of three endings out: see [`Outcome`].
//!
//! The features `postgres`, `mysql` (also for MariaDB) and `sqlite` bring the databases, through
//! `sqlx`.

mod about;
mod answer;
#[cfg(feature = "choreography")]
mod choreography;
mod command;
mod database;
mod ending;
pub mod guard;
mod handler;
#[cfg(feature = "axum")]
mod http;
mod inbox;
mod outbox;
mod participant;
mod prune;
#[cfg(feature = "choreography")]
mod reactions;
mod run;
mod serve;
mod signed;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod word;

pub use about::About;
#[cfg(feature = "choreography")]
pub use amends_choreography::free::{self, FreeChoreography};
#[cfg(feature = "choreography")]
pub use amends_choreography::{Choreographed, Overdue, Record, State, Surroundings, Unfit};
#[cfg(feature = "macros")]
pub use amends_participant_macros::participant;
pub use amends_transport::{Channel, ChannelError, InMemory, Kind, Message, Received, Tag};
pub use answer::{Answer, Doubt};
#[cfg(feature = "choreography")]
pub use choreography::{
    Cancelled, Choreographies, Counts, DEFINITION_WAIT, Listens, NoSuchSaga, NotStarted, Reacting,
    Unfitting,
};
pub use command::{BODY_BYTES_MAX, Breach, Command, STEP_CHARS_MAX};
pub use database::Database;
pub use ending::{Ending, Failed, Outcome, Refused, Undoing};
pub use handler::{ActionFn, CompensationFn, RESULT_BYTES_MAX};
#[cfg(feature = "axum")]
pub use http::Http;
pub use inbox::INBOX_CHARS_MAX;
pub use outbox::RelayError;
pub use participant::{AT_WORK_MAX, Builder, CONNECTION_WAIT, Participant};
pub use prune::{LATE_WINDOW, Retention};
#[cfg(feature = "choreography")]
pub use reactions::{Misfit, Reactions, ReactionsBuilder};
pub use serve::Serving;
pub use signed::BadSecret;
pub use tx::{EVENT_NAME_CHARS_MAX, Tx};

/// What the attribute macro writes down.
#[doc(hidden)]
pub mod __private {
    pub use sqlx::Pool;
}
