//! The door of a service: a request in, a reaction of the ledger out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::callback;
use crate::command::Command;
use crate::fault::{self, Fault};
use crate::guard::Told;
use crate::ledger::{Ledger, Reaction};
use crate::server::stopped;
use crate::service::Service;
use crate::trade;

/// Bodies up to 1 MiB: the engine sends no input over 256 KiB, at most twice in a body.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Marks a response that must not be sent: the connection closes instead.
#[derive(Clone, Copy)]
pub(crate) struct NoAnswer;

/// A service behind its HTTP door.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) ledger: Ledger,
    pub(crate) stop: watch::Receiver<bool>,
    /// Told when a fault makes the service die.
    pub(crate) died: Notify,
}

impl Door {
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/{command}", post(take))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self)
    }
}

async fn take(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let attempt = text("amends-attempt").and_then(|text| text.parse().ok()).unwrap_or(0);
    let command = match Command::read(&name, attempt, &body) {
        Ok(command) => command,
        Err(what) => return (StatusCode::BAD_REQUEST, what).into_response(),
    };
    if !trade::knows(door.service, &name, command.direction) {
        let direction = command.direction.as_str();
        let what = format!("{} has no {direction} {name}", door.service.in_definitions());
        return (StatusCode::NOT_FOUND, what).into_response();
    }
    if command.service != door.service.in_definitions() {
        let what = format!(
            "{name} is asked of {}, and this is {}",
            command.service,
            door.service.in_definitions()
        );
        return (StatusCode::BAD_REQUEST, what).into_response();
    }
    let fault = match Fault::of(&command) {
        Ok(fault) => fault,
        Err(e) => return (StatusCode::BAD_REQUEST, e.to_string()).into_response(),
    };
    let errand = Errand {
        reply_to: text("amends-reply-to").map(str::to_owned),
        time_left: text("amends-deadline").and_then(time_left),
        door: Arc::clone(&door),
        command,
    };
    // In a task of its own: a client that hangs up does not keep a late success from happening.
    match tokio::spawn(errand.run(fault)).await {
        Ok(Some(response)) => response,
        Ok(None) => {
            stopped(door.stop.clone()).await;
            no_answer()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// One command on its way through the house.
struct Errand {
    door: Arc<Door>,
    command: Command,
    reply_to: Option<String>,
    time_left: Option<Duration>,
}

impl Errand {
    /// The response; `None` is silence on an open connection.
    async fn run(self, fault: Option<Fault>) -> Option<Response> {
        let reaction = match self.door.ledger.carry_out(self.command.clone(), fault).await {
            Ok(reaction) => reaction,
            Err(e) => return Some(broken(&e)),
        };
        match reaction {
            Reaction::Answer(told) => Some(answer(&told)),
            Reaction::AnswerTwice(told) => {
                let response = answer(&told);
                tokio::spawn(self.call_back(told));
                Some(response)
            }
            Reaction::Later(said) => self.late(said).await,
            Reaction::Accepted => {
                tokio::spawn(self.finish_accepted());
                Some((StatusCode::ACCEPTED, axum_json("{}".to_owned())).into_response())
            }
            Reaction::Silence => None,
            Reaction::Lost => Some(no_answer()),
            Reaction::Die => {
                self.door.died.notify_one();
                Some(no_answer())
            }
        }
    }

    async fn late(self, said: Option<Duration>) -> Option<Response> {
        tokio::select! {
            () = tokio::time::sleep(fault::lateness(said, self.time_left)) => {}
            () = stopped(self.door.stop.clone()) => return Some(no_answer()),
        }
        match self.door.ledger.carry_out(self.command, None).await {
            Ok(Reaction::Answer(told)) => Some(answer(&told)),
            Ok(_) => None,
            Err(e) => Some(broken(&e)),
        }
    }

    async fn finish_accepted(self) {
        let done = self.door.ledger.carry_out(self.command.clone(), None).await;
        match done {
            Ok(Reaction::Answer(told)) => self.call_back(told).await,
            Ok(_) => {}
            Err(e) => eprintln!("{}: an accepted command failed: {e:#}", self.door.service),
        }
    }

    async fn call_back(self, told: Told) {
        let Some(url) = &self.reply_to else { return };
        let reply = callback::reply(&self.command, &told);
        tokio::select! {
            sent = callback::send(url, reply) => if let Err(e) = sent {
                eprintln!("{}: the callback to {url} failed: {e:#}", self.door.service);
            },
            () = stopped(self.door.stop.clone()) => {}
        }
    }
}

/// What is left of the attempt's time by its `Amends-Deadline`.
fn time_left(deadline: &str) -> Option<Duration> {
    let deadline = humantime::parse_rfc3339(deadline).ok()?;
    Some(deadline.duration_since(SystemTime::now()).unwrap_or_default())
}

fn answer(told: &Told) -> Response {
    let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum_json(told.body.clone())).into_response()
}

fn axum_json(body: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], body)
}

fn broken(e: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{e:#}")).into_response()
}

fn no_answer() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(NoAnswer);
    response
}
