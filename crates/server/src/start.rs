//! Starting sagas.

use std::sync::Arc;
use std::time::Duration;

use amends_engine::{KEY_BYTES_MAX, Snapshot, Start};
use amends_wire::mutant::{Mutant, mutated};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Starter;
use crate::extract::{JsonText, Names, Params, header, span};
use crate::problem::{Answer, Code, Details, Problem};
use crate::saga_json::SagaJson;

/// The header with the caller's key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest a call waits for a saga's end: longer ones are cut by what is in between, and the
/// saga goes on anyway.
pub const WAIT_SECS_MAX: u64 = 300;

/// How a saga is started.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StartParams {
    /// Answer when the saga has ended or this time is up, as `30s`.
    wait: Option<String>,
    /// The version; the current one when not said.
    version: Option<u32>,
}

/// Starts a saga. The body is its data.
#[utoipa::path(
    post,
    path = "/v1/sagas/{ref}",
    tag = "sagas",
    params(
        ("ref" = String, Path, description = "The saga type"),
        StartParams,
        ("Idempotency-Key" = Option<String>, Header,
            description = "The same key with the same bytes gives the same saga"),
    ),
    request_body(content = Object, description = "The saga's data: a JSON object"),
    responses(
        (status = 201, description = "Started", body = SagaJson),
        (status = 200, description = "It was there before, or has ended", body = SagaJson),
        (status = 202, description = "Started; the end was waited for and has not come", body = SagaJson),
        (status = 404, description = "`unknown_saga_type`, `unknown_version`", body = Details),
        (status = 409, description = "`idempotency_conflict`, `key_in_use`, `retired`", body = Details),
        (status = 422, description = "`bad_data`", body = Details),
        (status = 429, description = "`overloaded`, `catalog_behind`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn start_saga(
    State(app): State<Arc<App>>,
    Starter(caller): Starter,
    Names(saga_type): Names<String>,
    Params(params): Params<StartParams>,
    headers: HeaderMap,
    JsonText(data): JsonText,
) -> Answer<Response> {
    let wait = params.wait.as_deref().map(wait).transpose()?;
    if mutated(Mutant::LogsStarts) {
        tracing::debug!(data = %String::from_utf8_lossy(&data), "a start");
    }
    let start = Start {
        saga_type: saga_type.into(),
        version: params.version,
        data,
        idempotency_key: idempotency_key(&headers)?.map(Into::into),
        wait: None,
    };
    let started = app.handle.start(start).await?;
    let (status, snapshot) = match wait {
        None if started.existing => (StatusCode::OK, started.snapshot),
        None => (StatusCode::CREATED, started.snapshot),
        Some(timeout) => match end(&app, &started.snapshot, timeout).await? {
            snapshot if snapshot.saga.state.ended() => (StatusCode::OK, snapshot),
            snapshot => (StatusCode::ACCEPTED, snapshot),
        },
    };
    let mut response = app.written(status, &snapshot, &caller);
    let location = format!("/v1/sagas/{}", snapshot.saga.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The saga once it has ended, the time is up, or the server stops.
pub async fn end(app: &App, snapshot: &Snapshot, timeout: Duration) -> Answer<Snapshot> {
    let saga = snapshot.saga.id;
    let waited = tokio::select! {
        waited = app.handle.wait(saga, timeout) => waited?,
        () = app.stopped() => None,
    };
    Ok(waited.unwrap_or_else(|| snapshot.clone()))
}

/// How long to wait.
pub fn wait(said: &str) -> Answer<Duration> {
    let limit = Duration::from_secs(WAIT_SECS_MAX);
    span(said).filter(|wait| *wait <= limit).ok_or_else(|| {
        let detail = format!("wait is {said:?}; give a time such as 30s, at most {WAIT_SECS_MAX}s");
        Problem::new(Code::BadQuery, detail)
    })
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(key) = header(headers, IDEMPOTENCY_KEY)? else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let detail =
            format!("the Idempotency-Key has {} bytes; give 1 to {KEY_BYTES_MAX}", key.len());
        return Err(Problem::new(Code::BadHeader, detail));
    }
    Ok(Some(key))
}
