//! Domain events: what a fact of a saga says to whoever listens.
//!
//! A fact makes at most one event, whose id is `<saga_id>/<seq>` (S23). The end of a saga is
//! `<SagaType>Completed` or `<SagaType>Failed`; every other change is a `<SagaType>Transition`.

use amends_core::saga::{Cause, Saga};
use amends_core::{Event, SagaId, Time};
use amends_transport::{Kind, Message};
use amends_wire::envelope::{self, DATACONTENTTYPE, rfc3339};
use serde_json::{Value, json};

use crate::deployed::Deployed;
use crate::hidden::REDACTED;
use crate::transition::{Change, Watched};
use crate::words;

/// Which events are published of a saga type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The ends alone.
    Ends,
    /// Every change.
    Transitions,
    /// What is asked of the services that run it among themselves, and nothing else: they speak there.
    Asked,
}

/// By whom it is said that a saga is to be undone.
const OBSERVER: &str = "amends";

/// The event by which the services of a saga are asked to undo it, where the fact says that they are.
pub fn asked(deployed: &Deployed, saga: &Saga, fact: &Event) -> Option<Message> {
    let Event::EndAsked { cause } = fact else { return None };
    let of = deployed.choreographed.as_ref()?;
    let saga_id = amends_wire::SagaId(saga.id.0);
    Some(of.ask_for_the_end(saga_id, OBSERVER, cause, saga.updated_at).message())
}

/// The event that the last fact of `saga` makes, where it makes one: what it was `before`, and what
/// it is.
pub fn event(
    deployed: &Deployed,
    before: &Watched,
    saga: &Saga,
    published: Published,
) -> Option<Message> {
    let changes = before.changes(deployed, saga);
    let ended =
        changes.iter().any(|change| matches!(change, Change::Saga { to, .. } if to.ended()));
    if changes.is_empty() || (published == Published::Ends && !ended) {
        return None;
    }
    let saga_type = &*saga.pinned.saga_type;
    let what = if !ended {
        "Transition"
    } else if saga.state == amends_core::saga::State::Completed {
        "Completed"
    } else {
        "Failed"
    };
    let name = format!("{saga_type}{what}");
    let hides_key = deployed.redaction.hides_business_key();
    let business_key =
        saga.business_key.as_deref().map(|key| if hides_key { REDACTED } else { key });
    let mut body = json!({
        "type": name,
        "saga_id": saga.id.to_string(),
        "saga_type": saga_type,
        "version": saga.pinned.version,
        "seq": saga.seq,
        "at": rfc3339(saga.updated_at.0),
        "state": words::state(saga.state),
        "business_key": business_key,
    });
    if ended {
        body["error"] = error(deployed, saga);
        body["clean"] = saga.exceptions.is_empty().into();
    }
    if published == Published::Transitions {
        body["changes"] = changes.iter().map(change).collect();
    }
    Some(message(saga.id, saga.seq, saga.updated_at, saga_type, name, &body))
}

fn message(
    saga: SagaId,
    seq: u64,
    at: Time,
    saga_type: &str,
    name: String,
    body: &Value,
) -> Message {
    let (id, saga_id) = (format!("{saga}/{seq}"), saga.to_string());
    let attributes = [
        ("specversion", "1.0".to_owned()),
        ("id", id.clone()),
        ("source", source(saga_type)),
        ("type", name.clone()),
        ("time", rfc3339(at.0)),
        ("correlationid", saga_id.clone()),
        (DATACONTENTTYPE, "application/json".to_owned()),
    ];
    Message {
        id,
        saga_id,
        kind: Kind::Event,
        name,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: body.to_string().into(),
    }
}

/// What messages of a saga type name as their source, the same as its commands do.
pub fn source(saga_type: &str) -> String {
    envelope::source(saga_type)
}

/// Why it failed, without what the definition redacts.
fn error(deployed: &Deployed, saga: &Saga) -> Value {
    let Some(turn) = &saga.turned else { return Value::Null };
    let hidden = deployed.redaction.values(&deployed.definition, saga);
    match &turn.cause {
        Cause::Step(at) => {
            let step = deployed.run_name(saga, *at);
            let fault = saga.run(*at).and_then(|run| run.error.as_ref());
            let code = fault.and_then(|fault| fault.code.as_deref()).map(|code| hidden.text(code));
            let message = fault.map(|fault| hidden.text(&fault.message));
            json!({ "step": &*step, "code": code, "message": message })
        }
        Cause::Cancelled(act) => {
            json!({ "code": "cancelled", "message": hidden.text(&act.reason) })
        }
        Cause::Deadline => json!({ "code": "deadline" }),
    }
}

fn change(change: &Change) -> Value {
    match change {
        Change::Saga { from, to } => {
            json!({ "change": "state", "from": from.map(words::state), "to": words::state(*to) })
        }
        Change::Step { step_name, from, to } => json!({
            "change": "step",
            "step": &**step_name,
            "from": words::status(*from),
            "to": words::status(*to),
        }),
        Change::Attention { from, to } => json!({ "change": "attention", "from": from, "to": to }),
        Change::Paused(paused) => json!({ "change": "paused", "paused": paused }),
    }
}
