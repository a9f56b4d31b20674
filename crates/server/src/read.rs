//! Looking at one saga.

use std::sync::Arc;

use amends_core::SagaId;
use amends_engine::Unavailable;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, Json, answer, redaction, shown};
use crate::auth::Viewer;
use crate::extract::{Names, Params, saga_id};
use crate::history_json::{self, EventJson};
use crate::problem::{Answer, Details, Problem};
use crate::refusal::no_such_saga;
use crate::saga_json::{self, SagaJson};
use crate::start;
use crate::tokens::Identity;

/// How a saga is looked at.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GetParams {
    /// Answer when the saga has ended or this time is up, as `30s`.
    wait: Option<String>,
}

/// A saga as it is durably.
#[utoipa::path(
    get,
    path = "/v1/sagas/{ref}",
    tag = "sagas",
    params(("ref" = String, Path, description = "The saga's id"), GetParams),
    responses(
        (status = 200, description = "The saga; its seq is the ETag", body = SagaJson),
        (status = 404, description = "`no_such_saga`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn get_saga(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Names(id): Names<String>,
    Params(params): Params<GetParams>,
) -> Answer<Response> {
    let wait = params.wait.as_deref().map(start::wait).transpose()?;
    let saga = saga_id(&id)?;
    let snapshot = match app.handle.get(saga).await {
        Err(Unavailable::Unreadable(why)) => return unreadable(&app, &caller, saga, why).await,
        got => got?.ok_or_else(|| no_such_saga(&saga.to_string()))?,
    };
    Ok(match wait {
        Some(timeout) => shown(&start::end(&app, &snapshot, timeout).await?, &caller),
        None => shown(&snapshot, &caller),
    })
}

/// A saga that cannot be read, as far as its row in the catalog goes.
async fn unreadable(app: &App, caller: &Identity, saga: SagaId, why: String) -> Answer<Response> {
    let row = app.handle.row(saga).await?;
    let shown =
        row.and_then(|row| saga_json::of_row(&row, app.business_key(&row, caller), why.clone()));
    shown.map(answer).ok_or_else(|| Problem::from(Unavailable::Unreadable(why)).about(saga))
}

/// From where a history is read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// Only events after this one.
    after: Option<u64>,
    /// At most so many events; all when not said.
    limit: Option<usize>,
}

/// A saga's history.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// The saga.
    saga_id: String,
    /// Its events in order.
    events: Vec<EventJson>,
    /// Give this as `after` to read on; none at the end.
    next: Option<u64>,
}

/// Everything that happened to a saga.
#[utoipa::path(
    get,
    path = "/v1/sagas/{saga_id}/history",
    tag = "sagas",
    params(("saga_id" = String, Path, description = "The saga's id"), HistoryParams),
    responses(
        (status = 200, description = "Its events, gap-free and in order", body = History),
        (status = 404, description = "`no_such_saga`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn get_history(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Names(id): Names<String>,
    Params(params): Params<HistoryParams>,
) -> Answer<Json<History>> {
    let saga = saga_id(&id)?;
    // The events are read first: the state that names their steps then knows all of them.
    let events = app.handle.history(saga).await?;
    let events = events.ok_or_else(|| no_such_saga(&saga.to_string()))?;
    let snapshot = app.snapshot(saga).await?;
    let redaction = redaction(&snapshot, &caller);
    let after = params.after.unwrap_or(0);
    let limit = params.limit.unwrap_or(usize::MAX);
    let mut rest = events.iter().filter(|item| item.seq > after);
    let shown: Vec<EventJson> = rest
        .by_ref()
        .take(limit)
        .map(|item| {
            let definition = &snapshot.deployed.definition;
            history_json::event(definition, &snapshot.saga, &redaction, item)
        })
        .collect();
    let next = rest.next().and_then(|_| shown.last().map(|event| event.seq));
    Ok(Json(History { saga_id: saga.to_string(), events: shown, next }))
}
