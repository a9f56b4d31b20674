//! For whoever runs the server: health, metrics, the description of the API, and a first page.

use std::sync::Arc;

use amends_store::Query;
use amends_wire::mutant::{Mutant, mutated};
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Json};
use crate::auth::Viewer;
use crate::openapi;
use crate::problem::{Answer, Code, Details, Problem};

const OPENMETRICS: (HeaderName, &str) =
    (CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The server is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `alive`.
    status: &'static str,
}

/// The server takes work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// Sagas in memory.
    sagas_in_memory: u64,
    /// How many records the catalog is behind the journal.
    catalog_lag_records: u64,
    /// The journal's bytes.
    journal_bytes: u64,
}

/// Is the server there? Restart it when it does not answer.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    security(()),
    responses((status = 200, description = "It is", body = Alive)),
)]
pub async fn healthz() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Does the server take work? Send it none while it does not.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    security(()),
    responses(
        (status = 200, description = "It does", body = Ready),
        (status = 503, description = "`not_ready`: it recovers, stops, or cannot write", body = Details),
    ),
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Answer<Json<Ready>> {
    let health = app.handle.health();
    if *app.stopping.borrow() {
        return Err(Problem::new(Code::NotReady, "the server is stopping"));
    }
    if !health.ready {
        let why = health.why.unwrap_or_else(|| "it is not said why".to_owned());
        return Err(Problem::new(Code::NotReady, why));
    }
    Ok(Json(Ready {
        status: "ready",
        sagas_in_memory: health.sagas_in_memory,
        catalog_lag_records: health.catalog_lag_records,
        journal_bytes: health.journal_bytes,
    }))
}

/// The metrics, as OpenMetrics text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses(
        (status = 200, description = "OpenMetrics text", body = String,
            content_type = "application/openmetrics-text"),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn metrics(State(app): State<Arc<App>>, Viewer(_caller): Viewer) -> Response {
    let mut metrics = app.handle.metrics().encode();
    if mutated(Mutant::MetersKeys) {
        let query = Query { limit: 1000, ..Query::default() };
        let rows = app.handle.list(query, None).await.map(|page| page.rows).unwrap_or_default();
        metrics +=
            &rows.iter().map(|row| format!("# {:?}\n", row.business_key)).collect::<String>();
    }
    ([OPENMETRICS], metrics).into_response()
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub async fn openapi_json() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

/// A page that says what this is.
#[utoipa::path(
    get,
    path = "/",
    tag = "operations",
    security(()),
    responses((status = 200, description = "HTML", body = String, content_type = "text/html")),
)]
pub async fn first_page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    (headers, include_str!("first_page.html")).into_response()
}
