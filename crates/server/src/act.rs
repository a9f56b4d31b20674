//! Doing something about a saga: cancels, signals, and the operator's verbs.

use std::sync::Arc;

use amends_core::{Payload, SagaId, Time};
use amends_engine::options::DATA_BYTES_MAX;
use amends_engine::{Ask, SagaVerb};
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Operator, Starter};
use crate::extract::{Form, JsonText, Names, RawBody, Seen, saga_id};
use crate::problem::{Answer, Code, Details, Problem};
use crate::saga_json::SagaJson;
use crate::tokens::Identity;

/// The longest reason; it stands in the saga's history and in the audit.
pub const REASON_BYTES_MAX: usize = 1024;

/// Why something is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// For the history and the audit.
    reason: String,
}

/// What a command is taken to have come to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// `completed` or `refused`; an undo is always completed.
    #[serde(default, rename = "as")]
    outcome: ResolvedAs,
    /// The result, of a completed action.
    #[serde(default)]
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    /// Also while an attempt is in flight.
    #[serde(default)]
    force: bool,
    /// For the history and the audit.
    reason: String,
}

/// What an outcome is taken to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedAs {
    /// It is done.
    #[default]
    Completed,
    /// It is not done and will not be.
    Refused,
}

/// How a step is gone on without.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Also while an attempt is in flight.
    #[serde(default)]
    force: bool,
    /// For the history and the audit.
    reason: String,
}

/// Another body for a command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// What the command carries from then on.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
    /// Also while an attempt is in flight; never for an undo.
    #[serde(default)]
    force: bool,
    /// For the history and the audit.
    reason: String,
}

/// A later deadline.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// To when (RFC 3339).
    deadline: String,
    /// For the history and the audit.
    reason: String,
}

/// Which contradiction was seen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// The step, or `<step>.<i>`.
    step: String,
    /// For the history and the audit.
    reason: String,
}

/// Declares a handler that asks one verb of a saga, or of one of its steps.
macro_rules! verb {
    ($(#[$doc:meta])* $name:ident($role:ident, $path:literal, $form:ident: $Form:ident) => $verb:expr) => {
        verb! {
            @handler [$(#[$doc])*] $name [$role $path $form $Form]
            [("saga_id" = String, Path, description = "The saga's id"),]
            [id: String] => (id, $verb)
        }
    };
    ($(#[$doc:meta])* $name:ident($role:ident, $path:literal, $step:ident, $form:ident: $Form:ident) => $verb:expr) => {
        verb! {
            @handler [$(#[$doc])*] $name [$role $path $form $Form]
            [
                ("saga_id" = String, Path, description = "The saga's id"),
                ("step" = String, Path, description = "The step, or `<step>.<i>`"),
            ]
            [(id, $step): (String, String)] => (id, $verb)
        }
    };
    (@handler [$($doc:tt)*] $name:ident [$role:ident $path:literal $form:ident $Form:ident]
        [$($param:tt)*] [$names:tt: $Names:ty] => $id_and_verb:expr) => {
        $($doc)*
        #[utoipa::path(
            post,
            path = $path,
            tag = "acts",
            params(
                $($param)*
                ("If-Match" = Option<u64>, Header,
                    description = "The seq the caller has seen: if the saga has moved since, nothing is done"),
            ),
            request_body = $Form,
            responses(
                (status = 200, description = "Done; the saga as it is now", body = SagaJson),
                (status = 404, description = "`no_such_saga`, `no_such_step`", body = Details),
                (status = 409, description = "The saga or the step does not stand where this can be done", body = Details),
                (status = 412, description = "`moved`, with its seq", body = Details),
                (status = "default", description = "Any other problem", body = Details),
            ),
        )]
        pub async fn $name(
            State(app): State<Arc<App>>,
            $role(caller): $role,
            Names($names): Names<$Names>,
            Seen(seen): Seen,
            Form($form): Form<$Form>,
        ) -> Answer<Response> {
            let (id, verb) = $id_and_verb;
            ask_verb(&app, &caller, saga_id(&id)?, seen, verb, &$form.reason).await
        }
    };
}

verb! {
    /// Turns a saga, before the point of no return.
    cancel(Starter, "/v1/sagas/{saga_id}/cancel", form: Reasoned) => SagaVerb::Cancel
}
verb! {
    /// Sends nothing and fires no timer until the saga is resumed.
    pause(Operator, "/v1/sagas/{saga_id}/pause", form: Reasoned) => SagaVerb::Pause
}
verb! {
    /// Goes on with a paused saga.
    resume(Operator, "/v1/sagas/{saga_id}/resume", form: Reasoned) => SagaVerb::Resume
}
verb! {
    /// Dismisses a contradiction that was seen; the body names the step.
    acknowledge(Operator, "/v1/sagas/{saga_id}/acknowledge", form: Acknowledge) =>
        SagaVerb::Acknowledge { step: form.step.clone() }
}
verb! {
    /// Moves the saga's deadline, later only.
    extend_saga(Operator, "/v1/sagas/{saga_id}/extend", form: Extend) =>
        SagaVerb::Extend { step: None, deadline: instant(&form.deadline)? }
}
verb! {
    /// Moves a step's deadline, later only.
    extend_step(Operator, "/v1/sagas/{saga_id}/steps/{step}/extend", step, form: Extend) =>
        SagaVerb::Extend { step: Some(step), deadline: instant(&form.deadline)? }
}
verb! {
    /// Sends a waiting command of a step now.
    retry(Operator, "/v1/sagas/{saga_id}/steps/{step}/retry", step, form: Reasoned) =>
        SagaVerb::Retry { step }
}
verb! {
    /// Takes an outcome as given.
    resolve(Operator, "/v1/sagas/{saga_id}/steps/{step}/resolve", step, form: Resolve) =>
        resolution(&form, step)?
}
verb! {
    /// Goes on without an undo, or without a retriable step.
    skip(Operator, "/v1/sagas/{saga_id}/steps/{step}/skip", step, form: Skip) =>
        SagaVerb::Skip { step, force: form.force }
}
verb! {
    /// Gives a command another body, in a new round with its own key.
    edit(Operator, "/v1/sagas/{saga_id}/steps/{step}/edit", step, form: Edit) =>
        SagaVerb::Edit { step, body: payload(&form.body)?, force: form.force }
}

/// Brings a signal. The body is what the step that waits for it has as its result.
#[utoipa::path(
    post,
    path = "/v1/sagas/{saga_id}/signals/{name}",
    tag = "acts",
    params(
        ("saga_id" = String, Path, description = "The saga's id"),
        ("name" = String, Path, description = "The signal's name"),
    ),
    request_body(content = Option<serde_json::Value>, description = "Any JSON; null when there is none"),
    responses(
        (status = 200, description = "Taken; the saga as it is now", body = SagaJson),
        (status = 404, description = "`no_such_saga`, `unknown_signal`", body = Details),
        (status = 409, description = "`signal_taken`, `ended`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn signal(
    State(app): State<Arc<App>>,
    Starter(caller): Starter,
    Names((id, name)): Names<(String, String)>,
    Seen(seen): Seen,
    SignalBody(body): SignalBody,
) -> Answer<Response> {
    let ask = Ask::Signal { name: name.into(), body };
    ask_saga(&app, &caller, saga_id(&id)?, seen, ask).await
}

/// A signal's body: JSON, or nothing.
pub struct SignalBody(Payload);

impl<S: Send + Sync> FromRequest<S> for SignalBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let text = if request.headers().contains_key(axum::http::header::CONTENT_TYPE) {
            JsonText::from_request(request, state).await?.0
        } else {
            let RawBody(text) = RawBody::from_request(request, state).await?;
            if !text.is_empty() {
                return Err(crate::extract::not_json(&axum::http::HeaderMap::new()));
            }
            Bytes::from_static(b"null")
        };
        within_limit(&text).map(|()| Self(Payload::from(text.trim_ascii())))
    }
}

/// Asks a verb of a saga, with the reason given.
pub async fn ask_verb(
    app: &App,
    caller: &Identity,
    saga: SagaId,
    seen: Option<u64>,
    verb: SagaVerb,
    reason: &str,
) -> Answer<Response> {
    let reason = checked_reason(reason)?;
    let ask = Ask::Verb { verb, by: Arc::clone(&caller.name), reason: reason.into() };
    ask_saga(app, caller, saga, seen, ask).await
}

async fn ask_saga(
    app: &App,
    caller: &Identity,
    saga: SagaId,
    seen: Option<u64>,
    ask: Ask,
) -> Answer<Response> {
    let asked = app.handle.ask(saga, ask, seen).await;
    let snapshot = asked.map_err(|why| Problem::from(why).about(saga))?;
    Ok(app.written(StatusCode::OK, &snapshot, caller))
}

/// A reason that says something.
pub fn checked_reason(reason: &str) -> Answer<&str> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let detail =
            format!("give a reason of 1 to {REASON_BYTES_MAX} bytes; it stands in the audit");
        return Err(Problem::new(Code::BadBody, detail));
    }
    Ok(reason)
}

fn resolution(form: &Resolve, step: String) -> Answer<SagaVerb> {
    let completed = match (form.outcome, &form.result) {
        (ResolvedAs::Completed, Some(result)) => Some(payload(result)?),
        (ResolvedAs::Completed, None) => Some(Payload::from("null")),
        (ResolvedAs::Refused, None) => None,
        (ResolvedAs::Refused, Some(_)) => {
            let detail = "what is refused has no result; leave result out, or say as: completed";
            return Err(Problem::new(Code::BadBody, detail));
        }
    };
    Ok(SagaVerb::Resolve { step, completed, force: form.force })
}

fn payload(value: &RawValue) -> Answer<Payload> {
    within_limit(value.get().as_bytes()).map(|()| Payload::from(value.get()))
}

/// What goes into a saga's facts is limited like its data.
fn within_limit(text: &[u8]) -> Answer<()> {
    if text.len() <= DATA_BYTES_MAX {
        return Ok(());
    }
    let detail = format!(
        "the content has {} bytes; at most {DATA_BYTES_MAX} are kept with a saga: send a reference",
        text.len()
    );
    Err(Problem::new(Code::TooLarge, detail))
}

fn instant(text: &str) -> Answer<Time> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok();
    let ms = instant.and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    ms.map(Time).ok_or_else(|| {
        let detail = format!("{text:?} is no instant; write it as 2030-01-31T12:00:00Z");
        Problem::new(Code::BadBody, detail)
    })
}
