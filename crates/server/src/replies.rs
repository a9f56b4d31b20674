//! Replies that participants post: by the address of a command, or plainly, with a credential.

use std::sync::Arc;

use amends_engine::{Receipt, ReplyIn};
use amends_wire::mutant::{Mutant, mutated};
use amends_wire::signature::{Secret, Signed, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use amends_wire::{CommandId, Headers, Reply, ReplyError, TokenKey, hide_in};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Json, now};
use crate::auth::Access;
use crate::extract::{Names, RawBody, header, is_json, not_json};
use crate::problem::{Answer, Code, Details, Problem};
use crate::tokens::Role;

/// What became of a reply.
#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    /// What became of it.
    receipt: ReceiptWord,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptWord {
    /// It is durable, or says what is durable already.
    Taken,
    /// Its saga is gone; it is kept among the orphans.
    Orphan,
}

/// Takes a reply by name. Its sender must be authentic: on loopback without tokens, by a signature
/// (Standard Webhooks) of the service, or by a participant's token.
#[utoipa::path(
    post,
    path = "/v1/replies",
    tag = "replies",
    params(
        ("webhook-id" = Option<String>, Header, description = "Of a signed reply"),
        ("webhook-timestamp" = Option<String>, Header, description = "Of a signed reply"),
        ("webhook-signature" = Option<String>, Header, description = "Of a signed reply"),
    ),
    request_body(content = Object, description = "A reply by name, plain or as a CloudEvent"),
    responses(
        (status = 202, description = "Durable, also when late, duplicate or for an ended saga", body = Received),
        (status = 400, description = "`malformed_reply`, `malformed_json`", body = Details),
        (status = 401, description = "`forged`, `unauthenticated`", body = Details),
        (status = 403, description = "`foreign_service`, `forbidden`", body = Details),
        (status = 404, description = "`made_up_reply`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn reply(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answer<Response> {
    // The body is bounded, and a signature can only be judged with it.
    let services = sender(&app, &headers, &body)?;
    let reply = Reply::parse(&Attributes(&headers), &check(&headers, body.clone())?)?;
    take(&app, reply, None, services, body).await
}

/// Takes a reply at the address that came with its command as `Amends-Reply-To`; that is all the
/// credential it needs.
#[utoipa::path(
    post,
    path = "/v1/replies/{token}",
    tag = "replies",
    security(()),
    params(("token" = String, Path, description = "As it came with the command")),
    request_body(content = Object, description = "A reply by name, plain or as a CloudEvent"),
    responses(
        (status = 202, description = "Durable, also when late, duplicate or for an ended saga", body = Received),
        (status = 400, description = "`malformed_reply`, `malformed_json`", body = Details),
        (status = 401, description = "`forged`", body = Details),
        (status = 404, description = "`made_up_reply`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn reply_by_token(
    State(app): State<Arc<App>>,
    Names(token): Names<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answer<Response> {
    let command = command_of(app.token_key.as_ref(), &token)?;
    let reply = reply_of(&headers, &body)?;
    take(&app, reply, Some(command), None, body).await
}

/// The command that the address lets its bearer answer.
pub fn command_of(key: Option<&TokenKey>, token: &str) -> Answer<CommandId> {
    match key {
        Some(key) => key.verify(token).map_err(|error| forged(error.to_string())),
        None => Err(forged("this server issues no reply tokens")),
    }
}

/// What was posted to a command's own address. The address says which step it answers, so the body
/// need not.
pub fn reply_of(headers: &HeaderMap, body: &Bytes) -> Answer<Reply> {
    let checked = check(headers, body.clone())?;
    let attributes = Attributes(headers);
    Ok(match Reply::find(&attributes, &checked)? {
        Some(reply) => reply,
        // Says in words what was found instead of a reply by name.
        None => Reply::parse(&attributes, &checked)?,
    })
}

async fn take(
    app: &App,
    mut reply: Reply,
    token: Option<CommandId>,
    services: Option<Vec<String>>,
    mut raw: Bytes,
) -> Answer<Response> {
    without_secrets(app, &mut reply, token.as_ref(), &mut raw);
    let source = if token.is_some() { "callback by token" } else { "callback" };
    let reply = ReplyIn { reply, token, services, source: source.to_owned(), raw };
    let receipt = match app.handle.reply(reply).await? {
        Receipt::Taken => ReceiptWord::Taken,
        Receipt::Orphan => ReceiptWord::Orphan,
    };
    Ok(received(receipt))
}

/// Takes out of a failure what its participant quotes of its credentials: the address that it may
/// answer to, and the secrets that commands are signed with (S24). A result is data, and left as it is.
fn without_secrets(app: &App, reply: &mut Reply, token: Option<&CommandId>, raw: &mut Bytes) {
    let Some(error) = reply.error.as_mut().filter(|_| !mutated(Mutant::KeepsQuotes)) else {
        return;
    };
    let said = || {
        Some(CommandId {
            saga_id: reply.saga_id?,
            step_name: reply.step_name.clone()?,
            direction: reply.kind.direction(),
            round: reply.round.unwrap_or(1),
        })
    };
    let address =
        token.cloned().or_else(said).and_then(|of| Some(app.token_key.as_ref()?.issue(&of)));
    let secrets = secrets(app).into_iter().flat_map(|(_, secrets)| secrets);
    let secrets: Vec<String> =
        secrets.map(|secret| secret.text().to_owned()).chain(address).collect();
    let hide = |text: &mut String| secrets.iter().for_each(|secret| hide_in(text, secret));
    error.conceal(hide);
    let mut whole = String::from_utf8_lossy(raw).into_owned();
    hide(&mut whole);
    *raw = whole.into();
}

/// The secrets of every service that has some, as each definition describes it.
fn secrets(app: &App) -> Vec<(String, Vec<Secret>)> {
    let definitions = app.handle.definitions();
    let bindings = definitions.iter().flat_map(|deployed| &deployed.compiled.bindings.0);
    let secrets =
        bindings.map(|(service, binding)| (service.clone(), app.secrets.secrets(service, binding)));
    secrets.filter(|(_, secrets)| !secrets.is_empty()).collect()
}

/// A reply is taken care of.
pub fn received(receipt: ReceiptWord) -> Response {
    (StatusCode::ACCEPTED, Json(Received { receipt })).into_response()
}

/// For which services the sender may speak; `None` for all.
fn sender(app: &App, headers: &HeaderMap, body: &[u8]) -> Answer<Option<Vec<String>>> {
    if headers.contains_key(WEBHOOK_SIGNATURE) {
        return signed(app, headers, body).map(Some);
    }
    match &app.access {
        Access::Loopback => Ok(None),
        Access::Tokens(_) => {
            let identity = app.access.identify(headers)?;
            if identity.role == Role::Participant {
                return Ok(Some(identity.services));
            }
            let detail = format!(
                "the token's role is {}, and replies take a participant's, a signature, or the \
                 address that came with the command",
                identity.role.name()
            );
            Err(Problem::new(Code::Forbidden, detail))
        }
    }
}

/// The services with a secret that signed this.
fn signed(app: &App, headers: &HeaderMap, body: &[u8]) -> Answer<Vec<String>> {
    let signed = Signed {
        id: header(headers, WEBHOOK_ID)?,
        timestamp: header(headers, WEBHOOK_TIMESTAMP)?,
        signature: header(headers, WEBHOOK_SIGNATURE)?,
    };
    let now_unix_s = now().0 / 1_000;
    let mut services: Vec<String> = Vec::new();
    let mut why = None;
    for (service, secrets) in secrets(app) {
        if services.contains(&service) {
            continue;
        }
        match signed.verify(&secrets, body, now_unix_s) {
            Ok(()) => services.push(service),
            Err(error) => why = Some(error),
        }
    }
    match why {
        _ if !services.is_empty() => Ok(services),
        Some(error) => Err(forged(error.to_string())),
        None => Err(forged("no service has a secret here, so no signature can be valid")),
    }
}

fn forged(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::Forged, detail)
}

/// A reply is JSON, unless all of it stands in the headers, as in a CloudEvent in binary mode.
fn check(headers: &HeaderMap, body: Bytes) -> Answer<Bytes> {
    let in_headers = headers.contains_key("ce-type") && body.is_empty();
    if in_headers || is_json(headers) { Ok(body) } else { Err(not_json(headers)) }
}

impl From<ReplyError> for Problem {
    fn from(why: ReplyError) -> Self {
        let code = match why {
            ReplyError::TooLarge { .. } => Code::TooLarge,
            ReplyError::NotJson(_) => Code::MalformedJson,
            _ => Code::MalformedReply,
        };
        Self::new(code, why.to_string())
    }
}

/// The request's headers, as the wire reads them.
struct Attributes<'h>(&'h HeaderMap);

impl Headers for Attributes<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        header(self.0, name).ok().flatten()
    }
}
