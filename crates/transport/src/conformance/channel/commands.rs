//! A broker as the subject of the suite of transports: the suite's participant behind a service's
//! end, [`ByMessage`] at the engine's.

use std::sync::Arc;
use std::time::Duration;

use amends_wire::{Direction, Headers, SendingId};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Broker;
use crate::by_message::ByMessage;
use crate::channel::{Channel, Kind, Message, Received};
use crate::conformance::{Capabilities, Participant, SERVICE, Said, Seen, Subject};
use crate::contract::Transport;

/// See the module.
pub struct Commands<B>(pub B);

impl<B: Broker> Subject for Commands<B> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: false,
            tells_not_sent: false,
            sees_crashes: false,
            carries_retry_after: false,
        }
    }

    fn start(&self, participant: Participant, _: usize) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async move {
            let place = self.0.place().await;
            let (engine, service) = (place.engine().await, place.service().await);
            tokio::spawn(serve(service, participant, place));
            let runtime = tokio::runtime::Handle::current();
            Arc::new(ByMessage::new(engine, SERVICE, runtime)) as Arc<dyn Transport>
        })
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        // A broker takes commands for services that are down.
        self.start(Arc::new(|_| Box::pin(std::future::pending())), 0)
    }
}

/// Has the participant carry out every command, all at once. The place stays as long as it is
/// served.
async fn serve(service: Arc<dyn Channel>, participant: Participant, _place: Arc<dyn super::Place>) {
    loop {
        match service.receive().await {
            Ok(command) => {
                tokio::spawn(answer(Arc::clone(&service), Arc::clone(&participant), command));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(service: Arc<dyn Channel>, participant: Participant, command: Received) {
    let header = |name| command.value(name).map(str::to_owned);
    let id = header("ce-id").and_then(|id| SendingId::parse(&id)).expect("a sending says its id");
    let said = participant(Seen {
        body: command.body.clone(),
        attempt: id.attempt,
        deadline: header("ce-expirytime").expect("a sending says its deadline"),
        reply_to: header("amends-reply-to"),
        traceparent: header("traceparent"),
    });
    let settled = match reply(&id, said.await) {
        Some(reply) => match service.publish(&reply).await {
            Ok(()) => service.acknowledge(command.tag).await,
            // The command comes again.
            Err(_) => service.give_back(command.tag, Duration::ZERO).await,
        },
        None => service.dead_letter(command.tag, "it broke down").await,
    };
    drop(settled); // what is not settled comes again
}

/// The suite's words as a reply by name.
fn reply(id: &SendingId, said: Said) -> Option<Message> {
    let about = match id.command.direction {
        Direction::Action => "Step",
        Direction::Compensation => "Compensation",
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
    let name = format!("Saga{about}{end}");
    reply["type"] = name.as_str().into();
    let mut body = reply.to_string();
    if let Some(result) = result {
        // Byte for byte, as the participant gave it.
        body.truncate(body.len() - 1);
        body = format!("{body},\"result\":{}}}", String::from_utf8_lossy(&result));
    }
    Some(Message {
        id: format!("{id}/reply"),
        saga_id: id.command.saga_id.to_string(),
        kind: Kind::Reply,
        name,
        attributes: Vec::new(),
        body: body.into(),
    })
}
