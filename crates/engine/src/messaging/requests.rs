//! Requests by message: a saga is started, cancelled or signalled, each once by the message's
//! source and id, and the answer goes to where replies go.
//!
//! A request is acknowledged when what it asked for, or that it is refused, is durable, and its answer
//! is published. What cannot be read as a request goes to the dead letters; what is read and cannot be
//! done is answered so.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::Cause;
use amends_core::{Payload, Refusal, SagaId};
use amends_store::{CatalogError, ClaimKey, ClaimKind};
use amends_transport::{CONFIRMED_WITHIN, Channel, ChannelError, Kind, Message, Received};
use amends_wire::Headers;
use amends_wire::envelope::{DATACONTENTTYPE, rfc3339};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::refusals::{Print, Refused};
use super::{PAUSE, pause};
use crate::engine::Shared;
use crate::handle::Handle;
use crate::request::{Ask, AskError, SagaVerb, Snapshot, Start, StartError, Unavailable};
use crate::starting::KEY_BYTES_MAX;
use crate::words;

/// Takes requests as they come, until told to stop. How many are under way is the channel's limit.
pub async fn serve(
    shared: Arc<Shared>,
    channel: Arc<dyn Channel>,
    mut stop: watch::Receiver<bool>,
) {
    let under_way = TaskTracker::new();
    let handle = Handle { shared };
    loop {
        let received = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            received = channel.receive() => received,
        };
        match received {
            Ok(received) => {
                let taking = Taking { handle: handle.clone(), channel: Arc::clone(&channel) };
                under_way.spawn(async move { taking.take(received).await });
            }
            Err(error) => {
                tracing::error!("no request can be received; it is tried again: {error}");
                sleep(PAUSE).await;
            }
        }
    }
    under_way.close();
    under_way.wait().await;
}

struct Taking {
    handle: Handle,
    channel: Arc<dyn Channel>,
}

/// What became of a request.
enum Done {
    /// It is durable.
    Accepted(Box<Snapshot>),
    /// It cannot be done, now or later.
    Refused { code: Cow<'static, str>, message: String, saga_id: Option<SagaId> },
}

impl Done {
    fn refused(code: &'static str, message: String, saga_id: Option<SagaId>) -> Self {
        Self::Refused { code: code.into(), message, saga_id }
    }
}

/// Why there is no answer yet, or never will be.
enum Untaken {
    /// The engine takes no work: it comes again.
    NotNow(Unavailable),
    /// A copy of it is looked at: it comes again when there is an answer.
    UnderWay,
    /// It is no request.
    NoRequest(String),
}

impl Taking {
    async fn take(&self, received: Received) {
        let Received { tag, deliveries, .. } = received;
        let settling = match self.done(&received).await {
            Ok((request, done)) => {
                let answer = answer(&request, &done);
                timeout(CONFIRMED_WITHIN, async {
                    self.channel.publish(&answer).await?;
                    self.channel.acknowledge(tag).await
                })
                .await
            }
            Err(Untaken::NotNow(why)) => {
                tracing::warn!("a request waits: {why}");
                let back = self.channel.give_back(tag, pause(deliveries));
                timeout(CONFIRMED_WITHIN, back).await
            }
            Err(Untaken::UnderWay) => {
                let back = self.channel.give_back(tag, pause(deliveries));
                timeout(CONFIRMED_WITHIN, back).await
            }
            Err(Untaken::NoRequest(why)) => {
                tracing::warn!("a message goes to the dead letters: {why}");
                timeout(CONFIRMED_WITHIN, self.channel.dead_letter(tag, &why)).await
            }
        };
        let error = match settling {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => ChannelError::Unknown("it said nothing".to_owned()),
        };
        // It comes again, and is the same request then.
        tracing::warn!("a request could not be answered: {error}");
        let back = self.channel.give_back(tag, pause(deliveries));
        let _ = timeout(CONFIRMED_WITHIN, back).await;
    }

    async fn done(&self, received: &Received) -> Result<(Request, Done), Untaken> {
        let request = Request::of(received).map_err(Untaken::NoRequest)?;
        let Shared { refusals, store, .. } = &*self.handle.shared;
        let print = Print::of(received);
        let _under_way = refusals.look_at(print).ok_or(Untaken::UnderWay)?;
        let found = refusals.find(&*store.catalog, print).await;
        if let Some(Refused { code, saga_id }) = found.map_err(|error| self.unkept(&error))? {
            let message = "it was refused before: ask again under an id of its own".to_owned();
            return Ok((request, Done::Refused { code: code.into(), message, saga_id }));
        }
        let done = self.look_at(&request, received).await?;
        if let Done::Refused { code, saga_id, .. } = &done {
            let refused = Refused { code: code.to_string(), saga_id: *saga_id };
            let kept = refusals.keep(&*store.catalog, print, refused).await;
            kept.map_err(|error| self.unkept(&error))?;
        }
        Ok((request, done))
    }

    /// Of a refusal that is not kept nobody may be told.
    fn unkept(&self, error: &CatalogError) -> Untaken {
        self.handle.shared.catalog_fails(error);
        Untaken::NotNow(Unavailable::CatalogFailed(error.to_string()))
    }

    async fn look_at(&self, request: &Request, received: &Received) -> Result<Done, Untaken> {
        Ok(match &request.what {
            What::Start => self.start(request, received).await?,
            What::Cancel { saga, reason } => {
                let verb = Ask::Verb {
                    verb: SagaVerb::Cancel,
                    by: request.by().into(),
                    reason: reason.as_str().into(),
                };
                self.ask(request, saga, verb).await?
            }
            What::Signal { saga, name, body } => {
                let body = Payload::from(body.get().as_bytes());
                let signal = Ask::Signal { name: name.as_str().into(), body };
                self.ask(request, saga, signal).await?
            }
        })
    }

    async fn start(&self, request: &Request, received: &Received) -> Result<Done, Untaken> {
        let start = Start {
            saga_type: request.saga_type.as_str().into(),
            version: None,
            data: received.body.clone(),
            idempotency_key: Some(request.key().into()),
            wait: None,
        };
        match self.handle.start(start).await {
            Ok(started) => Ok(Done::Accepted(Box::new(started.snapshot))),
            Err(StartError::Unavailable(why)) => Err(Untaken::NotNow(why)),
            Err(error) => {
                let saga_id = match &error {
                    StartError::KeyInUse { saga_id }
                    | StartError::IdempotencyConflict { saga_id } => Some(*saga_id),
                    _ => None,
                };
                Ok(Done::refused(error.code(), error.to_string(), saga_id))
            }
        }
    }

    async fn ask(&self, request: &Request, whose: &Whose, ask: Ask) -> Result<Done, Untaken> {
        let Some(saga) = self.find(request, whose).await? else {
            let message = format!("there is no {}", whose.words());
            return Ok(Done::refused("no_such_saga", message, None));
        };
        match self.handle.ask(saga, ask.clone(), None).await {
            Ok(snapshot) => Ok(Done::Accepted(Box::new(snapshot))),
            Err(AskError::Unavailable(why)) => Err(Untaken::NotNow(why)),
            Err(error) => match self.done_before(saga, &ask, &error).await? {
                Some(snapshot) => Ok(Done::Accepted(Box::new(snapshot))),
                None => Ok(Done::refused(error.code(), error.to_string(), Some(saga))),
            },
        }
    }

    /// Was it this request that did what cannot be done again? Then it was taken, and came twice.
    async fn done_before(
        &self,
        saga: SagaId,
        ask: &Ask,
        error: &AskError,
    ) -> Result<Option<Snapshot>, Untaken> {
        let repeated = [Refusal::AlreadyCompensating, Refusal::Ended, Refusal::SignalTaken];
        let AskError::Refused(refusal) = error else { return Ok(None) };
        if !repeated.contains(refusal) {
            return Ok(None);
        }
        let snapshot = self.handle.get(saga).await.map_err(Untaken::NotNow)?;
        Ok(snapshot.filter(|snapshot| match ask {
            Ask::Verb { by, .. } => {
                let cause = snapshot.saga.turned.as_ref().map(|turn| &turn.cause);
                matches!(cause, Some(Cause::Cancelled(act)) if act.by == *by)
            }
            Ask::Signal { name, body } => {
                let taken = |signal: &&amends_core::saga::Signal| signal.name == *name;
                snapshot.saga.signals.iter().find(taken).is_some_and(|held| held.body == *body)
            }
        }))
    }

    async fn find(&self, request: &Request, whose: &Whose) -> Result<Option<SagaId>, Untaken> {
        let key = match whose {
            Whose::SagaId(saga) => return Ok(Some(*saga)),
            Whose::BusinessKey(key) => key,
        };
        let key = ClaimKey {
            kind: ClaimKind::Business,
            scope: request.saga_type.as_str().into(),
            key: key.as_str().into(),
        };
        let holder = self.handle.shared.store.journal.claim_holder(key).await;
        let unavailable = |error: amends_store::JournalError| {
            Untaken::NotNow(Unavailable::JournalFailed(error.to_string()))
        };
        Ok(holder.map_err(unavailable)?.map(|holder| SagaId(holder.saga)))
    }
}

/// A request as it was read.
struct Request {
    saga_type: String,
    source: String,
    id: String,
    what: What,
}

enum What {
    Start,
    Cancel { saga: Whose, reason: String },
    Signal { saga: Whose, name: String, body: Box<RawValue> },
}

enum Whose {
    SagaId(SagaId),
    BusinessKey(String),
}

impl Whose {
    fn words(&self) -> String {
        match self {
            Self::SagaId(saga) => format!("saga {saga}"),
            Self::BusinessKey(key) => format!("running saga with the business key {key:?}"),
        }
    }
}

/// The body of a cancel or a signal.
#[derive(serde::Deserialize)]
struct Body {
    saga_id: Option<String>,
    business_key: Option<String>,
    reason: Option<String>,
    signal: Option<String>,
    value: Option<Box<RawValue>>,
}

impl Request {
    /// Says in words what is missing.
    fn of(received: &Received) -> Result<Self, String> {
        let attribute = |name: &str| {
            let value = received.value(name).filter(|value| !value.is_empty());
            let bare = name.trim_start_matches("ce-");
            value.map(str::to_owned).ok_or_else(|| {
                format!("NO_REQUEST: it has no CloudEvents attribute `{bare}`, or has it twice")
            })
        };
        let (source, id, name) =
            (attribute("ce-source")?, attribute("ce-id")?, attribute("ce-type")?);
        let other = || {
            format!(
                "NO_REQUEST: its type is {name:?}, and <SagaType>.Start, .Cancel and .Signal are \
                 known"
            )
        };
        let (saga_type, verb) = name.rsplit_once('.').ok_or_else(other)?;
        let what = match verb {
            "Start" => What::Start,
            "Cancel" => {
                let body = Body::of(received)?;
                let reason = body.reason.clone().unwrap_or_else(|| "asked by message".to_owned());
                What::Cancel { saga: body.whose(received)?, reason }
            }
            "Signal" => {
                let body = Body::of(received)?;
                let saga = body.whose(received)?;
                let name =
                    body.signal.ok_or("NO_REQUEST: `signal` is missing, the signal's name")?;
                let null = || RawValue::from_string("null".to_owned());
                let body = match body.value {
                    Some(value) => value,
                    None => null().map_err(|error| error.to_string())?,
                };
                What::Signal { saga, name, body }
            }
            _ => return Err(other()),
        };
        Ok(Self { saga_type: saga_type.to_owned(), source, id, what })
    }

    /// Who asks, the same each time the message comes.
    fn by(&self) -> String {
        format!("{} {}", self.source, self.id)
    }

    /// The same as a key of a start.
    fn key(&self) -> String {
        let by = self.by();
        if by.len() <= KEY_BYTES_MAX {
            return by;
        }
        let digest: [u8; 32] = Sha256::digest(&by).into();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Body {
    fn of(received: &Received) -> Result<Self, String> {
        serde_json::from_slice(&received.body).map_err(|error| format!("NO_REQUEST: {error}"))
    }

    fn whose(&self, received: &Received) -> Result<Whose, String> {
        let said = self.saga_id.as_deref().or_else(|| received.value("ce-correlationid"));
        match (said, &self.business_key) {
            (Some(saga), _) => saga
                .parse::<uuid::Uuid>()
                .map(|id| Whose::SagaId(SagaId(id.as_u128())))
                .map_err(|_| format!("NO_REQUEST: {saga:?} is no saga_id")),
            (None, Some(key)) => Ok(Whose::BusinessKey(key.clone())),
            (None, None) => {
                Err("NO_REQUEST: it names no saga: give `saga_id` or `business_key`".to_owned())
            }
        }
    }
}

/// The answer to a request, the same each time.
fn answer(request: &Request, done: &Done) -> Message {
    let (name, saga_id, mut body) = match done {
        Done::Accepted(snapshot) => {
            let saga = &snapshot.saga;
            let body = json!({ "state": words::state(saga.state) });
            ("SagaRequestAccepted", Some(saga.id), body)
        }
        Done::Refused { code, message, saga_id } => {
            let body = json!({ "error": { "code": code, "message": message } });
            ("SagaRequestRefused", *saga_id, body)
        }
    };
    let saga_id = saga_id.map(|id| id.to_string());
    body["type"] = name.into();
    body["saga_type"] = request.saga_type.as_str().into();
    body["saga_id"] = saga_id.clone().map_or(Value::Null, Value::from);
    body["request"] = json!({ "source": request.source, "id": request.id });
    let id = format!("{}/answer", request.key());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO).as_millis();
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut attributes = vec![
        attribute("specversion", "1.0"),
        attribute("id", &id),
        attribute("source", &super::events::source(&request.saga_type)),
        attribute("type", name),
        attribute("time", &rfc3339(u64::try_from(now).unwrap_or(u64::MAX))),
        attribute("causationid", &request.id),
        attribute(DATACONTENTTYPE, "application/json"),
    ];
    attributes.extend(saga_id.as_deref().map(|saga| attribute("correlationid", saga)));
    Message {
        // One that has no saga is in order with the others of its request.
        saga_id: saga_id.unwrap_or_else(|| request.id.clone()),
        id,
        kind: Kind::Reply,
        name: name.to_owned(),
        attributes,
        body: body.to_string().into(),
    }
}
