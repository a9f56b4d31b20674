//! Commands over HTTP: one path for each, mounted on axum.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use amends_wire::Headers;
use amends_wire::signature::{
    SignatureError, Signed, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use tracing::{error, warn};

use crate::about::{About, span_of_none};
use crate::answer::{Answer, Doubt};
use crate::command::{BODY_BYTES_MAX, Breach, Command};
use crate::database::Database;
use crate::participant::Participant;
use crate::signed::{BadSecret, Secrets};

/// A participant as a `Router`: `POST /ReserveItems`.
///
/// ```no_run
/// # #[cfg(feature = "sqlite")] mod example {
/// # use amends_participant::{Http, Participant};
/// # async fn run(inventory: Participant<sqlx::Sqlite>) -> std::io::Result<()> {
/// let app = axum::Router::new().nest("/commands", Http::new(inventory).router());
/// # drop(app); Ok(()) }
/// # }
/// ```
#[must_use]
pub struct Http<D: Database> {
    participant: Participant<D>,
    secrets: Secrets,
}

impl<D: Database> Http<D> {
    /// Takes commands that are signed with a secret of the participant; where it has none, from
    /// anyone who can reach it.
    pub fn new(participant: Participant<D>) -> Self {
        let secrets = participant.0.secrets.clone();
        Self { participant, secrets }
    }

    /// Takes also, and only, commands that are signed with this secret (Standard Webhooks:
    /// `whsec_…`, or any text): with [`Builder::secret`](crate::Builder::secret) it is said once
    /// for all that the participant takes and publishes.
    ///
    /// # Errors
    ///
    /// The secret is empty, or no base64 after `whsec_`.
    pub fn secret(mut self, secret: &str) -> Result<Self, BadSecret> {
        self.secrets.add(secret)?;
        Ok(self)
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new().route("/{command}", post(answer::<D>)).with_state(Arc::new(self))
    }
}

async fn answer<D: Database>(
    State(http): State<Arc<Http<D>>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    if !http.participant.knows(&name) {
        let service = http.participant.service();
        let _of = span_of_none(&Received(request.headers()), &Bytes::new()).entered();
        warn!("{service} has no command {name:?}");
        // Not JSON: of an undo that would say that there is nothing to undo.
        return text(StatusCode::NOT_FOUND, format!("{service} has no command {name}\n"));
    }
    let (head, body) = request.into_parts();
    let headers = Received(&head.headers);
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let _of = span_of_none(&headers, &Bytes::new()).entered();
        warn!("{name}: its body is over {BODY_BYTES_MAX} bytes, or broke off");
        return refused(StatusCode::PAYLOAD_TOO_LARGE, Breach::too_large());
    };
    if let Err(e) = check(&http.secrets, &headers, &body) {
        let _of = span_of_none(&headers, &body).entered();
        warn!("{name}: not signed by who we share a secret with: {e}");
        return refused(StatusCode::UNAUTHORIZED, Breach::new("NOT_SIGNED", e.to_string()));
    }
    let command = Command::read(http.participant.service(), Some(&name), &headers, &body);
    match command {
        Ok(command) => said(&http.carry_out(command).await),
        Err(breach) => {
            let _of = span_of_none(&headers, &body).entered();
            warn!("breach of the protocol at {name}: {breach}");
            said(&Answer::Breach(breach))
        }
    }
}

impl<D: Database> Http<D> {
    /// In a task of its own: a client that hangs up does not break off what is at work.
    async fn carry_out(&self, command: Command) -> Answer {
        let (participant, command) = (self.participant.clone(), Arc::new(command));
        let its = Arc::clone(&command);
        let answered = tokio::spawn(async move { participant.carry_out(&its).await });
        answered.await.unwrap_or_else(|e| {
            let _of = About::of(&command).span(&command).entered();
            error!("a command ended without an answer: {e}");
            Answer::Unknown(Doubt::CommitLost)
        })
    }
}

/// The headers of a request.
struct Received<'a>(&'a HeaderMap);

impl Headers for Received<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    }
}

/// Is it signed, just now, by someone who knows one of the secrets? Where there is none, it need
/// not be.
fn check(secrets: &Secrets, headers: &Received<'_>, body: &[u8]) -> Result<(), SignatureError> {
    if secrets.as_slice().is_empty() {
        return Ok(());
    }
    let signed = Signed {
        id: headers.value(WEBHOOK_ID),
        timestamp: headers.value(WEBHOOK_TIMESTAMP),
        signature: headers.value(WEBHOOK_SIGNATURE),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    signed.verify(secrets.as_slice(), body, now)
}

fn said(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(after) = answer.retry_after() {
        headers.insert(RETRY_AFTER, after.as_secs().into());
    }
    response
}

/// A breach that HTTP has a status of its own for.
fn refused(status: StatusCode, breach: Breach) -> Response<Body> {
    let mut response = said(&Answer::Breach(breach));
    *response.status_mut() = status;
    response
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
