//! The in-process transport: commands carried out by async Rust functions.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amends_wire::json;
use amends_wire::{Direction, Fault, Outcome, REPLY_BYTES_MAX};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::contract::{Closing, Outgoing, Replies, Transport};
use crate::exchange::{Exchanges, KEPT_OPEN_MAX};

/// Commands carried out by functions of this process.
pub struct InProcess {
    handlers: HashMap<Box<str>, Handler>,
    exchanges: Exchanges,
}

type Handler = Arc<dyn Fn(CommandView) -> BoxFuture<'static, Result<Answer, Fail>> + Send + Sync>;

impl InProcess {
    /// Knows no command yet; its functions will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self::with_kept_open_max(runtime, KEPT_OPEN_MAX)
    }

    /// The same with another limit on the commands that still run past their time-out.
    pub fn with_kept_open_max(runtime: Handle, kept_open_max: usize) -> Self {
        Self { handlers: HashMap::new(), exchanges: Exchanges::new(runtime, kept_open_max) }
    }

    /// Has the command `Service.Command` carried out by this function; the last one given
    /// counts. A function that panics has left its outcome unknown, and nothing else happens.
    #[must_use]
    pub fn handle<F, Answering, A>(mut self, command: &str, function: F) -> Self
    where
        F: Fn(CommandView) -> Answering + Send + Sync + 'static,
        Answering: Future<Output = Result<A, Fail>> + Send + 'static,
        A: Into<Answer>,
    {
        let handler: Handler =
            Arc::new(move |command| function(command).map(|answer| answer.map(Into::into)).boxed());
        self.handlers.insert(command.into(), handler);
        self
    }

    /// The commands it knows.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(AsRef::as_ref)
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.commands()).finish()
    }
}

impl Transport for InProcess {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let Some(handler) = self.handlers.get(&*outgoing.command) else {
            let why = format!("no function carries out {}; register one", outgoing.command);
            return replies.end(outgoing.ticket, Outcome::not_sent(why));
        };
        let handler = Arc::clone(handler);
        let (ticket, patience) = (outgoing.ticket, outgoing.patience);
        let view = CommandView(outgoing);
        self.exchanges.open(ticket, patience, replies, async move {
            let direction = view.direction();
            // The call itself is part of the exchange: it may panic as well as its future.
            outcome(direction, handler(view).await)
        });
    }

    fn kept_open(&self) -> usize {
        self.exchanges.kept_open()
    }

    fn close(&self, grace: Duration) -> Closing {
        self.exchanges.close(grace)
    }
}

fn outcome(direction: Direction, answer: Result<Answer, Fail>) -> Outcome {
    let breach = |what: String| Outcome::Unknown { error: Fault::new(&what), contract: Some(what) };
    match answer {
        Ok(Answer::Done(None)) => Outcome::Completed { result: None, undone: None },
        Ok(Answer::Done(Some(result))) if result.len() > REPLY_BYTES_MAX => breach(format!(
            "the result is {} bytes, over {REPLY_BYTES_MAX}; return a reference to it",
            result.len()
        )),
        Ok(Answer::Done(Some(result))) => match json::check(&result) {
            Ok(()) if result.trim_ascii() == b"null" => {
                Outcome::Completed { result: None, undone: None }
            }
            Ok(()) => Outcome::Completed { result: Some(result), undone: None },
            Err(e) => breach(format!("the result is not JSON: {e}; return JSON text")),
        },
        Ok(Answer::Accepted) => Outcome::Accepted,
        Ok(Answer::Undone | Answer::Gone) if direction == Direction::Action => {
            breach("an action answered as if it were an undo".to_owned())
        }
        Ok(Answer::Undone) => Outcome::Completed { result: None, undone: Some(true) },
        Ok(Answer::Gone) => Outcome::Gone { proven: true },
        Err(Fail::Refused(error)) => Outcome::refused(direction, error),
        Err(Fail::Transient { error, retry_after: wait }) => match Outcome::transient(error) {
            Outcome::Transient { error, named, .. } => {
                Outcome::Transient { error, named, retry_after: wait }
            }
            other => other,
        },
        Err(Fail::Unknown(error)) => Outcome::Unknown { error, contract: None },
    }
}

/// A command as its function sees it.
#[derive(Clone, Debug)]
pub struct CommandView(Outgoing);

impl CommandView {
    /// The saga's id, as it is written everywhere.
    pub fn saga_id(&self) -> String {
        self.0.saga_id().to_string()
    }

    /// The saga's type.
    pub fn saga_type(&self) -> &str {
        &self.0.saga_type
    }

    /// The step, or `<step>.<i>`.
    pub fn step_name(&self) -> &str {
        &self.0.step_name
    }

    /// The command's full name.
    pub fn command(&self) -> &str {
        &self.0.command
    }

    /// Action or compensation.
    pub const fn direction(&self) -> Direction {
        self.0.ticket.direction
    }

    /// The key under which the effect must happen once, however often the command comes.
    pub fn idempotency_key(&self) -> String {
        self.0.idempotency_key()
    }

    /// The attempt, counted from 1.
    pub const fn attempt(&self) -> u32 {
        self.0.ticket.attempt
    }

    /// When the step's deadline passes, in milliseconds since 1970.
    pub const fn deadline_unix_ms(&self) -> u64 {
        self.0.deadline_unix_ms
    }

    /// The address for an answer that comes later, where the installation has one.
    pub fn reply_to(&self) -> Option<&str> {
        self.0.reply_to.as_deref()
    }

    /// The trace that it is part of.
    pub fn traceparent(&self) -> Option<&str> {
        self.0.traceparent.as_deref()
    }

    /// The whole body as a participant over a wire gets it.
    pub const fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The command's input as JSON text.
    pub fn data(&self) -> Bytes {
        self.field("data").unwrap_or_else(|| Bytes::from_static(b"null"))
    }

    /// The command's input, read; input that does not fit is refused, since nothing has happened
    /// yet.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, Fail> {
        serde_json::from_slice(&self.data()).map_err(|e| {
            Fail::refused_with("BAD_INPUT", format!("the input of {}: {e}", self.command()))
        })
    }

    /// Of a compensation: the result of the action it undoes, as JSON text, if it is known.
    pub fn original_result(&self) -> Option<Bytes> {
        self.field("original_result").filter(|text| &text[..] != b"null")
    }

    /// The first field of that name: our own names stand before the data's.
    fn field(&self, name: &str) -> Option<Bytes> {
        let members = json::members(&self.0.body).ok()??;
        let found = members.iter().find(|member| member.name().as_deref() == Some(name))?;
        Some(self.0.body.slice_ref(found.value))
    }
}

/// What a function answers when nothing went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, with this result as JSON text.
    Done(Option<Bytes>),
    /// Of an undo: it is done, and there was something to undo.
    Undone,
    /// Of an undo: there was nothing to undo.
    Gone,
    /// The answer comes later, to the command's reply address.
    Accepted,
}

/// A result that is JSON text already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(pub Bytes);

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Done(None)
    }
}

impl From<serde_json::Value> for Answer {
    fn from(result: serde_json::Value) -> Self {
        Self::Done(Some(result.to_string().into()))
    }
}

impl From<RawJson> for Answer {
    fn from(result: RawJson) -> Self {
        Self::Done(Some(result.0))
    }
}

/// How a function fails. Any error that `?` meets is `Unknown`: that something went wrong does
/// not say that nothing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fail {
    /// A definite "no": nothing has happened.
    Refused(Fault),
    /// Not now, and nothing has happened.
    Transient {
        /// Why.
        error: Fault,
        /// How long to wait at least.
        retry_after: Option<Duration>,
    },
    /// It may have happened.
    Unknown(Fault),
}

impl Fail {
    /// A definite "no".
    pub fn refused(message: impl AsRef<str>) -> Self {
        Self::Refused(Fault::new(message))
    }

    /// A definite "no" with a code.
    pub fn refused_with(code: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self::Refused(Fault::coded(code, message))
    }

    /// Not now.
    pub fn transient(message: impl AsRef<str>) -> Self {
        Self::Transient { error: Fault::new(message), retry_after: None }
    }
}

impl<E: std::error::Error> From<E> for Fail {
    fn from(error: E) -> Self {
        Self::Unknown(Fault::new(error.to_string()))
    }
}
