//! What callers ask the engine for, and how it says no.

use std::sync::Arc;
use std::time::Duration;

use amends_core::choreography::{NotTaken, Report};
use amends_core::{Payload, Refusal, Saga, SagaId, Time};
use bytes::Bytes;

use crate::deployed::Deployed;

/// A saga as it is durably, with the definition it is pinned to.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its state.
    pub saga: Arc<Saga>,
    /// Its definition.
    pub deployed: Arc<Deployed>,
}

/// A saga to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its type.
    pub saga_type: Arc<str>,
    /// The version; the current one when not said.
    pub version: Option<u32>,
    /// Its data: a JSON object, at most [`DATA_BYTES_MAX`](crate::options::DATA_BYTES_MAX).
    pub data: Bytes,
    /// The caller's idempotency key: the same key and bytes give the same saga.
    pub idempotency_key: Option<Arc<str>>,
    /// How long to wait for the end, if at all.
    pub wait: Option<Duration>,
}

/// A saga that runs.
#[derive(Clone, Debug)]
pub struct Started {
    /// The saga, at its end where that was waited for and came in time.
    pub snapshot: Snapshot,
    /// It was there before: the same idempotency key came with the same bytes.
    pub existing: bool,
}

/// Why a saga was not started. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// There is no such saga type.
    #[error("no saga type {saga_type:?} is defined{}", did_you_mean(.known))]
    UnknownType {
        /// What was asked for.
        saga_type: Arc<str>,
        /// The nearest known one.
        known: Option<Arc<str>>,
    },
    /// The type has no such version.
    #[error("{saga_type} has no version {version}; there {}", crate::words::versions(.versions))]
    UnknownVersion {
        /// The type.
        saga_type: Arc<str>,
        /// What was asked for.
        version: u32,
        /// Those there are.
        versions: Vec<u32>,
    },
    /// The file of the type was removed: running sagas go on, new ones are not taken.
    #[error("{0} takes no new sagas: its definition was removed")]
    Retired(Arc<str>),
    /// Its services run it among themselves.
    #[error(
        "{0} is run by its services among themselves, and only observed here: start it at one of them, \
         by the participant kit or `amends sidecar`"
    )]
    Choreographed(Arc<str>),
    /// The data is not what the definition takes.
    #[error("the saga's data cannot be taken: {0}")]
    BadData(String),
    /// The data is too large.
    #[error(
        "the saga's data has {bytes} bytes; the limit is {bytes_max}: pass a reference instead of the content"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The idempotency key came before with other bytes.
    #[error(
        "the idempotency key was used with other data, for saga {saga_id}: take a new key for a new saga"
    )]
    IdempotencyConflict {
        /// The saga it started.
        saga_id: SagaId,
    },
    /// The business key is held by a running saga.
    #[error("a running saga of this type has the same business key: {saga_id}")]
    KeyInUse {
        /// The saga that holds it.
        saga_id: SagaId,
    },
    /// The engine takes no work.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl StartError {
    /// Its code, the same over every way on which sagas are started.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownType { .. } => "unknown_saga_type",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Retired(_) => "retired",
            Self::Choreographed(_) => "choreographed",
            Self::BadData(_) => "bad_data",
            Self::TooLarge { .. } => "too_large",
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::KeyInUse { .. } => "key_in_use",
            Self::Unavailable(why) => why.code(),
        }
    }
}

impl Unavailable {
    /// Its code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "overloaded",
            Self::CatalogBehind { .. } => "catalog_behind",
            Self::JournalFailed(_) => "journal_failed",
            Self::CatalogFailed(_) => "catalog_failed",
            Self::Unreadable(_) => "unreadable",
            Self::Stopped => "stopping",
        }
    }
}

fn did_you_mean(known: &Option<Arc<str>>) -> String {
    known.as_ref().map(|known| format!("; did you mean {known:?}?")).unwrap_or_default()
}

/// Why the engine takes no work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The mailbox of starts is full: come back.
    #[error("more sagas are being started than can be taken: try again in {retry_after_secs} s")]
    Overloaded {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// The catalog has fallen too far behind the journal.
    #[error("the catalog has fallen behind the journal: try again in {retry_after_secs} s")]
    CatalogBehind {
        /// When to come back.
        retry_after_secs: u32,
    },
    /// The journal cannot be written.
    #[error("the journal cannot be written ({0}): no work is taken until it can")]
    JournalFailed(String),
    /// The catalog does not answer.
    #[error("the catalog cannot be read ({0})")]
    CatalogFailed(String),
    /// The saga cannot be read; it is kept as it is.
    #[error(
        "the saga cannot be read ({0}): it is kept as it is and nothing is done with it; others go on"
    )]
    Unreadable(String),
    /// The engine is stopping, or has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// Something that is asked of one saga.
#[derive(Clone, Debug)]
pub enum Ask {
    /// An operator verb, or a cancel.
    Verb {
        /// What.
        verb: SagaVerb,
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// A signal with its body (JSON text).
    Signal {
        /// Its name.
        name: Arc<str>,
        /// Its body.
        body: Payload,
    },
}

/// A verb with the names that callers know (`definition-and-wire.md` section 3). A step is named as
/// in the definition, a run of a `for_each` step `<step>.<i>`.
#[derive(Clone, Debug)]
pub enum SagaVerb {
    /// Turn the saga, where that is still possible.
    Cancel,
    /// Send nothing, fire no timer.
    Pause,
    /// Go on.
    Resume,
    /// Send a waiting command of a step now.
    Retry {
        /// The step.
        step: String,
    },
    /// Take an outcome as given: completed with a result, or refused.
    Resolve {
        /// The step.
        step: String,
        /// The result when completed (JSON text), `None` when refused.
        completed: Option<Payload>,
        /// Also while an attempt is in flight.
        force: bool,
    },
    /// Go on without it.
    Skip {
        /// The step.
        step: String,
        /// Also while an attempt is in flight.
        force: bool,
    },
    /// Give its command another body in a new round (JSON text).
    Edit {
        /// The step.
        step: String,
        /// The body.
        body: Payload,
        /// Also while an attempt is in flight; never for an undo.
        force: bool,
    },
    /// Move a deadline, later only; the saga's own when no step is named.
    Extend {
        /// The step.
        step: Option<String>,
        /// To when.
        deadline: Time,
    },
    /// A contradiction was seen.
    Acknowledge {
        /// The step.
        step: String,
    },
}

impl SagaVerb {
    /// Its name in the API, the CLI and the audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry { .. } => "retry",
            Self::Resolve { .. } => "resolve",
            Self::Skip { .. } => "skip",
            Self::Edit { .. } => "edit",
            Self::Extend { .. } => "extend",
            Self::Acknowledge { .. } => "acknowledge",
        }
    }

    /// The step it is about, if it is about one.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Cancel | Self::Pause | Self::Resume | Self::Extend { step: None, .. } => None,
            Self::Retry { step }
            | Self::Resolve { step, .. }
            | Self::Skip { step, .. }
            | Self::Edit { step, .. }
            | Self::Extend { step: Some(step), .. }
            | Self::Acknowledge { step } => Some(step),
        }
    }
}

/// Why what was asked was not done. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no such saga.
    #[error("there is no saga {0}")]
    NoSuchSaga(SagaId),
    /// The definition has no such step, or the step no such run yet.
    #[error("the saga has no step {0:?}")]
    NoSuchStep(String),
    /// The saga moved since it was looked at.
    #[error("the saga has moved: it is at event {seq} now; look again")]
    Moved {
        /// Where it is.
        seq: u64,
    },
    /// The machine says no.
    #[error("{}", crate::words::refusal(.0))]
    Refused(Refusal),
    /// The verb does not fit where the step or the saga stands: why, and what does.
    #[error("{0}")]
    DoesNotFit(&'static str),
    /// The engine takes no work.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl AskError {
    /// Its code, the same over every way on which something is asked.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchSaga(_) => "no_such_saga",
            Self::NoSuchStep(_) => "no_such_step",
            Self::Moved { .. } => "moved",
            Self::Refused(refusal) => crate::words::refusal_code(*refusal),
            Self::DoesNotFit(_) => "verb_does_not_fit",
            Self::Unavailable(why) => why.code(),
        }
    }
}

/// What was heard of a saga that its services run among themselves.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The saga.
    pub saga_id: SagaId,
    /// Its definition.
    pub deployed: Arc<Deployed>,
    /// What was said.
    pub report: Report,
    /// The saga's data, where whoever said it knows it.
    pub data: Option<Payload>,
    /// Its business key, where the definition has one.
    pub business_key: Option<Arc<str>>,
}

/// Why something that was heard is not taken. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unobserved {
    /// It contradicts what was heard before.
    NotTaken(NotTaken),
    /// Nothing else is known of the saga, and this does not say enough to begin with.
    Unknown,
    /// The engine takes no work.
    Unavailable(Unavailable),
}

impl From<Unavailable> for Unobserved {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

/// A reply that came by itself: by callback or message.
#[derive(Clone, Debug)]
pub struct ReplyIn {
    /// The reply as the wire reads it.
    pub reply: amends_wire::Reply,
    /// What a verified reply token vouches for, where the reply came with one.
    pub token: Option<amends_wire::CommandId>,
    /// The services for which the sender may speak, by its own token or signature; `None` when
    /// nothing but a reply token, or nothing at all (loopback without tokens), vouches for it.
    pub services: Option<Vec<String>>,
    /// Over which way it came, for the list of orphans.
    pub source: String,
    /// The reply's own bytes, kept whole when its saga is gone.
    pub raw: Bytes,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is durable, or says what is durable already.
    Taken,
    /// Its saga is gone; it is kept among the orphans.
    Orphan,
}

/// Why a reply was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No saga, step or sending of ours is like this.
    #[error("the reply answers no command: {0}")]
    MadeUp(String),
    /// The sender may not speak for this service.
    #[error("the reply is about a step of {service}, for which its sender may not speak")]
    ForeignService {
        /// The service that owns the step.
        service: Arc<str>,
    },
    /// The engine takes no work.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
