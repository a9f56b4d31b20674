//! The sidecar's own door, for the service that it stands beside: start, cancel, look.

use std::net::{SocketAddr, TcpListener};

use amends_choreography::Record;
use amends_core::choreography::Part;
use amends_participant::{Cancelled, NoSuchSaga, NotStarted};
use amends_wire::SagaId;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Beside;

/// The largest data of a saga.
const BODY_BYTES_MAX: usize = amends_definition::INPUT_BYTES_MAX;

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    sagas: Beside,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/v1/sagas/{what}", post(start).get(look))
        .route("/v1/sagas/{saga_id}/cancel", post(cancel))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(by_a_name_of_this_machine))
        .with_state(sagas);
    let served = async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router).with_graceful_shutdown(stop).await
    };
    if let Err(error) = served.await {
        tracing::error!("the sidecar's own address is served no more: {error}");
    }
}

/// A page of somebody else's, in a browser on this machine, must not start sagas by a name that it has made
/// lead here.
async fn by_a_name_of_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let is_ours = host.is_some_and(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name.eq_ignore_ascii_case("localhost")
            || host.parse::<SocketAddr>().is_ok_and(|at| at.ip().to_canonical().is_loopback())
            || name
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    });
    // Nor by its own address: a browser says from which page it asks, and no service does.
    if is_ours && !request.headers().contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    problem(
        StatusCode::FORBIDDEN,
        "FOREIGN_HOST",
        "ask for localhost or 127.0.0.1, and from no page",
    )
}

async fn start(
    State(sagas): State<Beside>,
    Path(saga_type): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => {
            let why = "the Idempotency-Key has other characters than those of ASCII";
            return problem(StatusCode::BAD_REQUEST, "BAD_KEY", why);
        }
    };
    let data: Box<RawValue> = match serde_json::from_slice(&body) {
        Ok(data) => data,
        Err(error) => {
            let why =
                format!("the body is no JSON (line {}, column {})", error.line(), error.column());
            return problem(StatusCode::BAD_REQUEST, "NOT_JSON", &why);
        }
    };
    match started(&sagas, &saga_type, key, &data).await {
        Ok(saga_id) => {
            let at = format!("/v1/sagas/{saga_id}");
            let body = json!({ "saga_id": saga_id.to_string(), "saga_type": saga_type });
            (StatusCode::CREATED, [(header::LOCATION, at)], said(&body)).into_response()
        }
        Err(why @ NotStarted::NoSuchType(_)) => {
            problem(StatusCode::NOT_FOUND, "NO_SUCH_TYPE", &why.to_string())
        }
        Err(why @ NotStarted::BadData(_)) => {
            problem(StatusCode::UNPROCESSABLE_ENTITY, "BAD_DATA", &why.to_string())
        }
        Err(why @ NotStarted::KeyReused(_)) => {
            problem(StatusCode::CONFLICT, "KEY_REUSED", &why.to_string())
        }
        Err(NotStarted::Database(error)) => not_now(&error),
    }
}

async fn started(
    sagas: &Beside,
    saga_type: &str,
    key: Option<&str>,
    data: &RawValue,
) -> Result<SagaId, NotStarted> {
    let mut tx = sagas.pool().begin_with("BEGIN IMMEDIATE").await?;
    let saga_id = match key {
        Some(key) => sagas.start_once(&mut tx, saga_type, key, data).await?,
        None => sagas.start(&mut tx, saga_type, data).await?,
    };
    tx.commit().await?;
    sagas.relay_soon();
    Ok(saga_id)
}

async fn cancel(State(sagas): State<Beside>, Path(saga_id): Path<String>, body: Bytes) -> Response {
    let Ok(saga_id) = saga_id.parse() else { return no_saga() };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reason = body["reason"].as_str().unwrap_or("cancelled by its service");
    match sagas.cancel(saga_id, reason).await {
        Ok(Cancelled::Asked) => {
            (StatusCode::ACCEPTED, said(&json!({ "saga_id": saga_id.to_string() }))).into_response()
        }
        Ok(Cancelled::TooLate) => problem(
            StatusCode::CONFLICT,
            "TOO_LATE",
            "the saga has passed its point of no return, and goes forward only",
        ),
        Err(why) => unknown(why),
    }
}

async fn look(State(sagas): State<Beside>, Path(saga_id): Path<String>) -> Response {
    let Ok(saga_id) = saga_id.parse() else { return no_saga() };
    match sagas.record(saga_id).await {
        Ok(record) => (StatusCode::OK, said(&view(&record))).into_response(),
        Err(why) => unknown(why),
    }
}

/// What the service beside this has heard of a saga.
fn view(record: &Record) -> Value {
    let (of, part) = (record.of(), record.part());
    let definition = of.choreography().definition();
    let steps: Vec<Value> = definition
        .indices()
        .map(|ix| {
            let step = definition.step(ix);
            let service = step.action().map(|action| &*action.service);
            json!({ "name": &*step.name, "service": service, "status": status(part, ix) })
        })
        .collect();
    let failure = record.failure().map(
        |(step, reason)| json!({ "step": step, "code": reason.code, "message": reason.message }),
    );
    json!({
        "saga_id": record.saga_id().to_string(),
        "saga_type": of.saga_type(),
        "version": of.version(),
        "definition_hash": of.hash(),
        "state": record.state().as_str(),
        "error": failure,
        "steps": steps,
    })
}

fn status(part: &Part, step: amends_core::StepIx) -> &'static str {
    if part.compensated.contains(step) {
        "compensated"
    } else if part.completed.contains(step) {
        "completed"
    } else if part.skipped.contains(step) {
        "skipped"
    } else if part.never_ran.contains(step) {
        "never_ran"
    } else {
        "pending"
    }
}

async fn metrics(State(sagas): State<Beside>) -> String {
    let counts = sagas.counts();
    let events = [
        ("heard", counts.heard),
        ("other", counts.others),
        ("damaged", counts.damaged),
        ("contradicted", counts.contradicted),
        ("put_off", counts.put_off),
    ];
    let mut text = "# HELP saga_sidecar_events_total Events that came, by what became of them.\n\
                    # TYPE saga_sidecar_events_total counter\n"
        .to_owned();
    for (outcome, n) in events {
        text += &format!("saga_sidecar_events_total{{outcome=\"{outcome}\"}} {n}\n");
    }
    text += &format!(
        "# HELP saga_sidecar_late_steps_total Steps that were not done in their time.\n\
         # TYPE saga_sidecar_late_steps_total counter\n\
         saga_sidecar_late_steps_total {}\n\
         # HELP saga_sidecar_attempts_in_vain_total Attempts that came to nothing.\n\
         # TYPE saga_sidecar_attempts_in_vain_total counter\n\
         saga_sidecar_attempts_in_vain_total {}\n",
        counts.late, counts.in_vain
    );
    text
}

fn unknown(why: NoSuchSaga) -> Response {
    match why {
        NoSuchSaga::Unheard => problem(
            StatusCode::NOT_FOUND,
            "UNHEARD",
            "nothing has been heard of such a saga here, as yet at least",
        ),
        NoSuchSaga::Foreign(why) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "UNREADABLE", &why.to_string())
        }
        NoSuchSaga::Database(error) => not_now(&error),
    }
}

fn no_saga() -> Response {
    problem(StatusCode::BAD_REQUEST, "BAD_FIELD", "a saga_id is a UUID with its hyphens")
}

/// Its text may name a path of this machine, and goes to the log.
fn not_now(error: &sqlx::Error) -> Response {
    tracing::error!("the data folder cannot be used: {error}");
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "DATABASE_UNAVAILABLE",
        "the data folder cannot be used",
    )
}

fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    (status, said(&json!({ "error": { "code": code, "message": message } }))).into_response()
}

fn said(body: &Value) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string())
}
