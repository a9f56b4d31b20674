//! What every handler has at hand.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use amends_core::{SagaId, Time};
use amends_engine::{Handle, REDACTED, Snapshot};
use amends_store::SagaRow;
use amends_wire::TokenKey;
use axum::http::header::ETAG;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::auth::Access;
use crate::events::STREAMS_MAX;
use crate::options::{Options, Secrets};
use crate::problem::{Answer, Code, Problem};
use crate::redaction::Redaction;
use crate::refusal::no_such_saga;
use crate::saga_json::{self, SagaJson};
use crate::tokens::Identity;

/// The header with the position of what was just written; a list takes it as `at_least`.
pub const POSITION: HeaderName = HeaderName::from_static("amends-position");

/// The server's parts that handlers use.
pub struct App {
    /// The engine.
    pub handle: Handle,
    /// Who may call.
    pub access: Access,
    /// What signs reply tokens; without it there are none.
    pub token_key: Option<TokenKey>,
    /// The secrets of services.
    pub secrets: Arc<dyn Secrets>,
    /// One permit an event stream.
    pub streams: Arc<Semaphore>,
    /// Becomes true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

impl App {
    /// The parts, from what the server is set up with.
    pub fn new(handle: Handle, options: Options, stopping: watch::Receiver<bool>) -> Self {
        Self {
            handle,
            access: options.tokens.map_or(Access::Loopback, Access::Tokens),
            token_key: options.token_key,
            secrets: options.secrets,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stopping,
        }
    }

    /// The saga, or the problem that there is none.
    pub async fn snapshot(&self, saga: SagaId) -> Answer<Snapshot> {
        self.handle.get(saga).await?.ok_or_else(|| no_such_saga(&saga.to_string()))
    }

    /// A row's business key, as far as the caller may see it. Where the definition is not there, nobody
    /// knows what it redacts.
    pub fn business_key(&self, row: &SagaRow, caller: &Identity) -> Option<String> {
        let key = row.business_key.as_deref()?;
        let hidden = || {
            let deployed = self.handle.definition(&row.saga_type, row.definition_version);
            deployed.is_none_or(|deployed| deployed.redaction.hides_business_key())
        };
        Some(if caller.sees_all() || !hidden() { key } else { REDACTED }.to_owned())
    }

    /// Resolves when the server stops.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // A server that is gone without a word has stopped, too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// The answer to a write: the saga, its place in the journal, its seq as an entity tag.
    pub fn written(&self, status: StatusCode, snapshot: &Snapshot, caller: &Identity) -> Response {
        let mut response = (status, shown(snapshot, caller)).into_response();
        response.headers_mut().insert(POSITION, self.handle.position().0.into());
        response
    }
}

/// What this caller may not see of a saga.
pub fn redaction(snapshot: &Snapshot, caller: &Identity) -> Redaction {
    if caller.sees_all() { Redaction::none() } else { Redaction::of(snapshot) }
}

/// A saga as this caller may see it.
pub fn shown(snapshot: &Snapshot, caller: &Identity) -> Response {
    let redaction = redaction(snapshot, caller);
    answer(saga_json::saga(snapshot, &redaction, now()))
}

/// A saga's answer, with its seq as the entity tag.
pub fn answer(saga: SagaJson) -> Response {
    let tag = format!("\"{}\"", saga.seq);
    let mut response = Json(saga).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A JSON answer.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let json = HeaderValue::from_static("application/json");
                ([(axum::http::header::CONTENT_TYPE, json)], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::new(Code::Internal, "the answer could not be written").into_response()
            }
        }
    }
}
