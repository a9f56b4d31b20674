//! Live events: every transition from now on, as server-sent events.
//!
//! Transitions are not kept for replay; the journal and the histories are. A reader that comes
//! back, or falls behind, is told so in an event `gap`, with where to read what it missed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use amends_core::SagaId;
use amends_engine::{Change, Transition};
use amends_wire::mutant::{Mutant, mutated};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::{Viewer, bearer};
use crate::extract::{Params, header, saga_id};
use crate::json_text::instant;
use crate::problem::{Answer, Code, Details, Problem};
use crate::words::{State as SagaState, Status};

/// The most streams at a time: each has a buffer and a connection, and dashboards are few.
pub const STREAMS_MAX: usize = 256;

/// How often a silent stream shows that it is there: what is in between cuts idle connections after
/// half a minute or more.
const KEEP_ALIVE_SECS: u64 = 15;

/// How long a browser waits before it comes back.
const RETRY_MS: u64 = 2_000;

/// Which transitions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Of sagas of this type.
    saga_type: Option<String>,
    /// Of this saga.
    saga_id: Option<String>,
}

/// A transition: the data of an event `state`, `step`, `attention` or `paused`, whose id is
/// `<saga_id>/<seq>`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transition)]
pub struct TransitionJson {
    /// The saga.
    saga_id: String,
    /// Its type.
    saga_type: String,
    /// The last event of the decision that brought it about.
    seq: u64,
    /// When.
    at: String,
    /// What changed.
    #[serde(flatten)]
    change: ChangeJson,
}

/// What changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
#[schema(as = Change)]
pub enum ChangeJson {
    /// The saga's state; it has none before its start.
    State {
        /// Before.
        from: Option<SagaState>,
        /// Now.
        to: SagaState,
    },
    /// A step's status.
    Step {
        /// The step, or `<step>.<i>`.
        step: String,
        /// Before.
        from: Status,
        /// Now.
        to: Status,
    },
    /// How many things a person is needed for.
    Attention {
        /// Before.
        from: usize,
        /// Now.
        to: usize,
    },
    /// Whether it is paused.
    Paused {
        /// Now.
        paused: bool,
    },
}

/// Transitions that this stream has not shown: the data of an event `gap`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Gap {
    /// How many there are at least, where that is known.
    missed: Option<u64>,
    /// Why, and what to do.
    detail: &'static str,
    /// Where what was missed can be read.
    read: String,
}

/// Every transition from now on. With `Last-Event-ID` it begins with an event `gap` unless nothing
/// was missed.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(
        EventParams,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen"),
    ),
    responses(
        (status = 200, description = "Events `state`, `step`, `attention`, `paused`, `gap`",
            body = TransitionJson, content_type = "text/event-stream"),
        (status = 429, description = "`too_many_streams`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn stream_events(
    State(app): State<Arc<App>>,
    Viewer(_caller): Viewer,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    const BUSY_SECS: u32 = 5;
    let filter = Filter {
        saga_type: params.saga_type,
        saga: params.saga_id.as_deref().map(saga_id).transpose()?,
    };
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS_MAX} event streams are open; close one, or come back");
        Problem::new(Code::TooManyStreams, detail).retry_after(BUSY_SECS)
    })?;
    // First the subscription, then the look at what was missed: nothing falls between the two.
    let transitions = app.handle.transitions();
    let mut first = VecDeque::from([Event::default().retry(Duration::from_millis(RETRY_MS))]);
    if mutated(Mutant::NamesListeners) {
        first.extend(bearer(&headers).map(|token| Event::default().comment(token)));
    }
    if let Some(last) = header(&headers, "last-event-id")?.filter(|id| !id.is_empty()) {
        first.extend(gap_since(&app, &filter, last).await?.map(gap_event));
    }
    let stopping = app.stopping.clone();
    let watcher = Watcher { first, transitions, filter, stopping, _permit: permit };
    let events = stream::unfold(watcher, Watcher::next);
    let alive = KeepAlive::new().interval(Duration::from_secs(KEEP_ALIVE_SECS));
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// One open stream.
struct Watcher {
    first: VecDeque<Event>,
    transitions: Receiver<Arc<Transition>>,
    filter: Filter,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

struct Filter {
    saga_type: Option<String>,
    saga: Option<SagaId>,
}

impl Filter {
    fn fits(&self, transition: &Transition) -> bool {
        self.saga.is_none_or(|saga| saga == transition.saga_id)
            && self.saga_type.as_ref().is_none_or(|name| **name == *transition.saga_type)
    }
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(event) = self.first.pop_front() {
            return Some((Ok(event), self));
        }
        loop {
            let received = tokio::select! {
                received = self.transitions.recv() => received,
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            };
            let event = match received {
                Ok(transition) if self.filter.fits(&transition) => event(&transition),
                Ok(_) => continue,
                Err(RecvError::Lagged(missed)) => gap_event(Gap {
                    missed: Some(missed),
                    detail: "this stream was read too slowly, and transitions were left out; read \
                             the present state, then go on here",
                    read: self.filter.list(),
                }),
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok(event), self));
        }
    }
}

impl Filter {
    /// Where the present state can be read.
    fn list(&self) -> String {
        match (self.saga, &self.saga_type) {
            (Some(saga), _) => format!("/v1/sagas/{saga}"),
            (None, Some(name)) => match serde_urlencoded::to_string([("saga_type", name)]) {
                Ok(query) => format!("/v1/sagas?{query}"),
                Err(_) => "/v1/sagas".to_owned(),
            },
            (None, None) => "/v1/sagas".to_owned(),
        }
    }
}

/// What a reader missed that saw this event last.
async fn gap_since(app: &App, filter: &Filter, last: &str) -> Answer<Option<Gap>> {
    const DETAIL: &str = "transitions are not kept for replay, and some may have come since the last \
                          one that was seen; read what has moved since, then go on here";
    let seen = last
        .split_once('/')
        .and_then(|(saga, seq)| Some((saga_id(saga).ok()?, seq.parse::<u64>().ok()?)));
    let Some((saga, seq)) = seen else {
        let detail = "Last-Event-ID is none of this server's: give the id of an event, unchanged";
        return Err(Problem::new(Code::BadHeader, detail));
    };
    if filter.saga == Some(saga) {
        let now = app.handle.get(saga).await?.map(|snapshot| snapshot.saga.seq);
        if now == Some(seq) {
            return Ok(None);
        }
        let read = format!("/v1/sagas/{saga}/history?after={seq}");
        return Ok(Some(Gap { missed: None, detail: DETAIL, read }));
    }
    let history = app.handle.history(saga).await?.unwrap_or_default();
    let read = match history.iter().find(|item| item.seq == seq) {
        Some(item) => {
            let list = filter.list();
            let mark = if list.contains('?') { '&' } else { '?' };
            format!("{list}{mark}updated_from={}", instant(item.at))
        }
        None => filter.list(),
    };
    Ok(Some(Gap { missed: None, detail: DETAIL, read }))
}

fn event(transition: &Transition) -> Event {
    let (name, change) = match &transition.change {
        Change::Saga { from, to } => {
            ("state", ChangeJson::State { from: from.map(Into::into), to: (*to).into() })
        }
        Change::Step { step_name, from, to } => {
            let step = step_name.to_string();
            ("step", ChangeJson::Step { step, from: (*from).into(), to: (*to).into() })
        }
        Change::Attention { from, to } => {
            ("attention", ChangeJson::Attention { from: *from, to: *to })
        }
        Change::Paused(paused) => ("paused", ChangeJson::Paused { paused: *paused }),
    };
    let data = TransitionJson {
        saga_id: transition.saga_id.to_string(),
        saga_type: transition.saga_type.to_string(),
        seq: transition.seq,
        at: instant(transition.at),
        change,
    };
    let id = format!("{}/{}", transition.saga_id, transition.seq);
    Event::default().event(name).id(id).data(json(&data))
}

fn gap_event(gap: Gap) -> Event {
    Event::default().event("gap").data(json(&gap))
}

/// One line of JSON, as an event's data is one.
fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}
