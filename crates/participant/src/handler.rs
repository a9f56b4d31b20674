//! Handlers: typed functions of the service, made one kind for the participant.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::about::About;
use crate::command::BODY_BYTES_MAX;
use crate::database::Database;
use crate::ending::{Ending, Failed, Outcome, Refused, Undoing};
use crate::tx::Tx;

/// An action's handler: the data in, the result out, both as JSON text.
pub(crate) type Action<D> = Box<
    dyn for<'a> Fn(&'a mut Tx<D>, &'a About) -> BoxFuture<'a, Result<String, Ending>> + Send + Sync,
>;

/// A compensation's handler: the action's result in, as JSON text.
pub(crate) type Compensation<D> = Box<
    dyn for<'a> Fn(&'a mut Tx<D>, &'a str, &'a About) -> BoxFuture<'a, Result<(), Unable>>
        + Send
        + Sync,
>;

/// Why a compensation was not carried out.
pub(crate) enum Unable {
    /// The stored result is none of the handler's type.
    BadData(String),
    /// The handler failed.
    Failed(Failed),
}

/// The largest result of an action, as JSON text. Its undo brings it again, beside the data, which
/// may be there twice, and no body over [`BODY_BYTES_MAX`] is taken: what is larger could never be
/// undone.
pub const RESULT_BYTES_MAX: usize = BODY_BYTES_MAX / 4;

/// The refusal of data that the handler's type cannot hold.
pub(crate) const BAD_DATA: &str = "BAD_DATA";

/// An `async fn(&mut Tx<D>, I, &About) -> Outcome<O>`. Implemented for every such function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of an action",
    label = "not an `async fn(tx: &mut Tx<{D}>, data: T, about: &About) -> Outcome<R>`",
    note = "T must be `serde::Deserialize`, R `serde::Serialize`, and what it awaits `Send`"
)]
pub trait ActionFn<'a, D: Database, I, O>: Send + Sync + 'static {
    /// Calls it.
    fn call(&self, tx: &'a mut Tx<D>, data: I, about: &'a About) -> BoxFuture<'a, Outcome<O>>;
}

impl<'a, D, I, O, F, Running> ActionFn<'a, D, I, O> for F
where
    D: Database,
    F: Fn(&'a mut Tx<D>, I, &'a About) -> Running + Send + Sync + 'static,
    Running: Future<Output = Outcome<O>> + Send + 'a,
{
    fn call(&self, tx: &'a mut Tx<D>, data: I, about: &'a About) -> BoxFuture<'a, Outcome<O>> {
        self(tx, data, about).boxed()
    }
}

/// An `async fn(&mut Tx<D>, R, &About) -> Undoing`. Implemented for every such function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of a compensation",
    label = "not an `async fn(tx: &mut Tx<{D}>, result: R, about: &About) -> Undoing`",
    note = "R is the action's result and must be `serde::Deserialize`"
)]
pub trait CompensationFn<'a, D: Database, R>: Send + Sync + 'static {
    /// Calls it.
    fn call(&self, tx: &'a mut Tx<D>, result: R, about: &'a About) -> BoxFuture<'a, Undoing>;
}

impl<'a, D, R, F, Running> CompensationFn<'a, D, R> for F
where
    D: Database,
    F: Fn(&'a mut Tx<D>, R, &'a About) -> Running + Send + Sync + 'static,
    Running: Future<Output = Undoing> + Send + 'a,
{
    fn call(&self, tx: &'a mut Tx<D>, result: R, about: &'a About) -> BoxFuture<'a, Undoing> {
        self(tx, result, about).boxed()
    }
}

pub(crate) fn action<D, I, O, F>(handler: F) -> Action<D>
where
    D: Database,
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: for<'a> Fn(&'a mut Tx<D>, I, &'a About) -> BoxFuture<'a, Outcome<O>> + Send + Sync + 'static,
{
    Box::new(move |tx, about| {
        let data = match about.data_as::<I>() {
            Ok(data) => data,
            // Where it does not fit is said; what stands there is not.
            Err(e) => return std::future::ready(Err(bad_data(&e).into())).boxed(),
        };
        let running = handler(tx, data, about);
        async move { Ok(small_enough(serde_json::to_string(&running.await?)?)?) }.boxed()
    })
}

pub(crate) fn compensation<D, R, F>(handler: F) -> Compensation<D>
where
    D: Database,
    R: DeserializeOwned + Send + 'static,
    F: for<'a> Fn(&'a mut Tx<D>, R, &'a About) -> BoxFuture<'a, Undoing> + Send + Sync + 'static,
{
    Box::new(move |tx, result, about| match serde_json::from_str::<R>(result) {
        Ok(result) => {
            let running = handler(tx, result, about);
            async move { running.await.map_err(Unable::Failed) }.boxed()
        }
        Err(e) => std::future::ready(Err(Unable::BadData(place(&e)))).boxed(),
    })
}

fn small_enough(result: String) -> Result<String, Failed> {
    if result.len() <= RESULT_BYTES_MAX {
        return Ok(result);
    }
    Err(Failed::new(format!(
        "the result has {} bytes, and may have {RESULT_BYTES_MAX}: keep it elsewhere, and return a \
         reference to it",
        result.len()
    )))
}

fn bad_data(error: &serde_json::Error) -> Refused {
    Refused::new(BAD_DATA, format!("the data is none of the command's type: {}", place(error)))
}

/// Serde's own text may quote the data: where something is wrong is said, and which field is
/// missing, but not what stands there.
fn place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") {
        return text;
    }
    format!("a field of another type, at line {}, column {}", error.line(), error.column())
}
