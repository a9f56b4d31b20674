//! The broker in memory passes the suite of transports.

use std::sync::Arc;

use amends_participant::{Channel, InMemory, Kind, Message};
use amends_transport::conformance::{Capabilities, Participant, SERVICE, Said, Seen, Subject};
use amends_transport::{Transport, conformance_tests};
use amends_wire::{Headers, SendingId};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

struct ByMessage;

impl Subject for ByMessage {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: false,
            tells_not_sent: false,
            sees_crashes: false,
            carries_retry_after: false,
        }
    }

    fn start(
        &self,
        participant: Participant,
        _kept_open_max: usize,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        let broker = InMemory::new(SERVICE);
        let serving = broker.clone();
        tokio::spawn(async move {
            loop {
                let command = serving.receive().await.unwrap();
                let (serving, participant) = (serving.clone(), Arc::clone(&participant));
                tokio::spawn(async move {
                    let attribute = |name| command.value(name).map(str::to_owned);
                    let id = SendingId::parse(command.value("id").unwrap()).unwrap();
                    let seen = Seen {
                        body: command.body.clone(),
                        attempt: id.attempt,
                        deadline: attribute("expirytime").unwrap(),
                        reply_to: attribute("amends-reply-to"),
                        traceparent: attribute("traceparent"),
                    };
                    match reply(&id, participant(seen).await) {
                        Some(reply) => {
                            serving.publish(&reply).await.unwrap();
                            serving.acknowledge(command.tag).await.unwrap();
                        }
                        None => serving.dead_letter(command.tag, "it broke down").await.unwrap(),
                    }
                });
            }
        });
        Box::pin(async move { Arc::new(broker) as Arc<dyn Transport> })
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async { Arc::new(InMemory::new(SERVICE)) as Arc<dyn Transport> })
    }
}

/// The suite's words as a reply by name.
fn reply(id: &SendingId, said: Said) -> Option<Message> {
    let direction = match id.command.direction {
        amends_wire::Direction::Action => "Step",
        amends_wire::Direction::Compensation => "Compensation",
    };
    let mut end = "Completed";
    let mut reply = json!({
        "saga_id": id.command.saga_id.to_string(),
        "step_name": id.command.step_name,
        "idempotency_key": id.command.to_string(),
        "attempt": id.attempt,
    });
    let mut result = None;
    match said {
        Said::Completed(text) => result = text,
        Said::Undone(undone) => reply["undone"] = Value::Bool(undone),
        Said::Refused { code, message } => {
            end = "Failed";
            reply["error"] = json!({"code": code, "message": message});
        }
        Said::Transient { code, message, .. } => {
            end = "Failed";
            reply["error"] = json!({"code": code, "message": message});
            reply["retryable"] = Value::Bool(true);
        }
        Said::Accepted | Said::Crash => return None,
    }
    reply["type"] = format!("Saga{direction}{end}").into();
    let mut body = reply.to_string();
    if let Some(result) = result {
        body.truncate(body.len() - 1);
        body = format!("{body},\"result\":{}}}", String::from_utf8_lossy(&result));
    }
    Some(Message {
        id: "m".to_owned(),
        saga_id: id.command.saga_id.to_string(),
        kind: Kind::Reply,
        name: "reply".to_owned(),
        attributes: Vec::new(),
        body,
    })
}

conformance_tests!(ByMessage);
