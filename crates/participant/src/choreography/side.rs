//! What a participant that listens is told of a message, and of a saga in which something is due, whichever
//! kind of choreography it is.

use std::sync::Arc;

use amends_core::{Millis, Time};
use amends_transport::Received;
use amends_wire::SagaId;
use futures_util::future::BoxFuture;
use tracing::Span;

use crate::database::Database;
use crate::participant::Participant;

/// What a [`Reacting`](crate::Reacting) listens for: a participant's choreographies, or its reactions.
pub trait Listens<D: Database>: sealed::Sided<D> {}

impl<D: Database, S: sealed::Sided<D>> Listens<D> for S {}

pub(crate) mod sealed {
    use super::{Arc, Database, Side};

    /// Only the kit's own.
    pub trait Sided<D: Database> {
        fn side(self) -> Arc<dyn Side<D>>;
    }
}

/// A participant's side of sagas without a coordinator.
pub trait Side<D: Database>: Send + Sync + 'static {
    fn participant(&self) -> &Participant<D>;

    /// Takes a message in. `is_held_up`: is the saga's row held by a handler for longer already than an event
    /// can wait?
    fn take<'a>(
        &'a self,
        received: &'a Received,
        is_held_up: &'a (dyn Fn(SagaId) -> bool + Sync),
    ) -> BoxFuture<'a, Taken>;

    /// Sagas in which there is something to do by itself, with their types, each left to us for a while.
    fn due(&self, sagas_max: u16) -> BoxFuture<'_, sqlx::Result<Vec<(String, String)>>>;

    /// Takes up one of them.
    fn wake<'a>(&'a self, saga_id: &'a str, saga_type: &'a str) -> BoxFuture<'a, Option<Work>>;

    /// Is it another process that carries out what is asked?
    fn is_asked_elsewhere(&self) -> bool {
        false
    }

    /// The longest that it waits for steps of others, after their time.
    fn grace(&self) -> Millis;

    /// All that others said by then has been heard.
    fn heard_until(&self, _at: Time) {}
}

/// What became of a message.
pub struct Taken {
    /// The event's, for the pauses before it is brought again.
    pub key: String,
    /// When it was said; not known of what cannot be read.
    pub at: Option<Time>,
    pub settle: Settle,
    /// What is logged of it says whose it is.
    pub span: Span,
    pub work: Option<Work>,
}

/// What the broker is told of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settle {
    Acknowledge,
    /// It comes again, after a pause.
    GiveBack,
    /// To the dead letters, with the reason.
    Bury(String),
}

/// What is to be asked in a saga.
pub struct Work {
    pub saga_id: SagaId,
    pub span: Span,
    /// Asks it. Nothing is done before that is awaited, and what is dropped is found again in its row.
    pub asked: BoxFuture<'static, ()>,
}

impl Taken {
    pub fn new(key: String, at: Option<Time>, settle: Settle) -> Self {
        Self { key, at, settle, span: Span::current(), work: None }
    }
}
