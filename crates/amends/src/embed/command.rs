//! What a step's function is given, and the three ways in which it ends: a value, a refusal, or
//! any other error.
//!
//! The difference is what the saga needs to know. A value says that it is done. A refusal says that
//! nothing has happened and nothing will. Any other error says neither, so the command is sent
//! again under the same idempotency key, until it is known.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use amends_transport::{Answer, CommandView, Fail, InProcess};
use amends_wire::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A command to do something.
#[derive(Clone, Debug)]
pub struct Call<T> {
    /// What it carries: the step's `input`, or the saga's data.
    pub data: T,
    view: CommandView,
}

/// A command to undo what an action did, or may have done.
#[derive(Clone, Debug)]
pub struct Undo<T, R> {
    /// What the action carried.
    pub data: T,
    /// What the action answered, where that is known. Without it there may be nothing to undo.
    pub original_result: Option<R>,
    view: CommandView,
}

macro_rules! identity {
    () => {
        /// The saga.
        pub fn saga_id(&self) -> String {
            self.view.saga_id()
        }

        /// The step's name; of one run of many, `<step>.<i>`.
        pub fn step_name(&self) -> &str {
            self.view.step_name()
        }

        /// The key under which the effect must happen once, however often the command comes. Keep
        /// it beside the effect, in the same transaction.
        pub fn idempotency_key(&self) -> String {
            self.view.idempotency_key()
        }

        /// Which sending this is, counted from 1.
        pub fn attempt(&self) -> u32 {
            self.view.attempt()
        }

        /// When the step's time is up, in milliseconds since 1970.
        pub fn deadline_unix_ms(&self) -> u64 {
            self.view.deadline_unix_ms()
        }
    };
}

impl<T> Call<T> {
    identity!();
}

impl<T, R> Undo<T, R> {
    identity!();
}

/// A definite "no": nothing has happened. The saga turns, or goes on without the step, as its kind
/// says.
#[derive(Clone, Debug)]
pub struct Refused(Fault);

impl Refused {
    /// With a code that programs compare.
    pub fn code(code: impl AsRef<str>) -> Self {
        Self(Fault::coded(code, ""))
    }

    /// And a reason that people read.
    #[must_use]
    pub fn because(self, reason: impl AsRef<str>) -> Self {
        let message = Fault::new(reason).message;
        Self(Fault { message, ..self.0 })
    }
}

/// Not now, and nothing has happened: the command is sent again.
#[derive(Clone, Debug)]
pub struct NotNow {
    fault: Fault,
    retry_after: Option<Duration>,
}

impl NotNow {
    /// For this reason.
    pub fn because(reason: impl AsRef<str>) -> Self {
        Self { fault: Fault::new(reason), retry_after: None }
    }

    /// No sooner than after this time.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

/// How a step's function fails. `?` makes one of any error, with an outcome that is unknown: that
/// something went wrong does not say that nothing happened.
#[derive(Clone, Debug)]
pub struct Failure(Fail);

impl Failure {
    /// It may have happened, for an error that is no `std::error::Error`.
    pub fn unknown(error: impl fmt::Display) -> Self {
        Self(Fail::Unknown(Fault::new(error.to_string())))
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Refused> for Failure {
    fn from(Refused(fault): Refused) -> Self {
        Self(Fail::Refused(fault))
    }
}

impl From<NotNow> for Failure {
    fn from(NotNow { fault, retry_after }: NotNow) -> Self {
        Self(Fail::Transient { error: fault, retry_after })
    }
}

/// What an undo came to. A plain `()` leaves open whether there was something to undo, which is
/// enough where the action's answer was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoEnd {
    /// There was something, and it is undone.
    Undone,
    /// There was nothing to undo.
    NothingThere,
    /// It is undone if there was anything.
    Done,
}

impl From<()> for UndoEnd {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// Registers the function of an action.
pub fn action<T, F, Acting, R>(functions: InProcess, command: &str, function: F) -> InProcess
where
    T: DeserializeOwned + Send + 'static,
    F: Fn(Call<T>) -> Acting + Send + Sync + 'static,
    Acting: Future<Output = Result<R, Failure>> + Send + 'static,
    R: Serialize,
{
    functions.handle(command, move |view: CommandView| {
        let acting = view.data_as().map(|data| function(Call { data, view }));
        async move {
            let result = acting?.await.map_err(|Failure(fail)| fail)?;
            // It has happened: a result that cannot be written down leaves its outcome unknown.
            Ok(Answer::Done(Some(serde_json::to_vec(&result)?.into())))
        }
    })
}

/// Registers the function of a compensation.
pub fn compensation<T, R, F, Undoing, E>(
    functions: InProcess,
    command: &str,
    function: F,
) -> InProcess
where
    T: DeserializeOwned + Send + 'static,
    R: DeserializeOwned + Send + 'static,
    F: Fn(Undo<T, R>) -> Undoing + Send + Sync + 'static,
    Undoing: Future<Output = Result<E, Failure>> + Send + 'static,
    E: Into<UndoEnd>,
{
    functions.handle(command, move |view: CommandView| {
        let undoing = undo(view).map(&function);
        async move {
            let end = undoing?.await.map_err(|Failure(fail)| fail)?;
            Ok(match end.into() {
                UndoEnd::Undone => Answer::Undone,
                UndoEnd::NothingThere => Answer::Gone,
                UndoEnd::Done => Answer::Done(None),
            })
        }
    })
}

fn undo<T: DeserializeOwned, R: DeserializeOwned>(view: CommandView) -> Result<Undo<T, R>, Fail> {
    let data = view.data_as()?;
    let original_result =
        view.original_result().map(|text| serde_json::from_slice(&text)).transpose()?;
    Ok(Undo { data, original_result, view })
}
