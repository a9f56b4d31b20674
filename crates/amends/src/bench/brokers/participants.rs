//! Participants behind a broker that answer at once.

use std::sync::Arc;
use std::time::Duration;

use amends_transport::{Channel, ChannelError, Kind, Message, Received};
use amends_wire::{Direction, Headers, SendingId};
use bytes::Bytes;

use super::super::work::{Asked, RESULT, Work, step};

/// After the broker could not be asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers every command, many at once: as many as the channel lets be unsettled.
pub(super) async fn answer_all(channel: Arc<dyn Channel>, work: Work) {
    let refusing: Arc<str> = step(work.refusing_step()).into();
    loop {
        let Ok(command) = channel.receive().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (channel, refusing) = (Arc::clone(&channel), Arc::clone(&refusing));
        tokio::spawn(async move {
            // What is not settled comes again.
            let _ = answer(&*channel, &command, &refusing).await;
        });
    }
}

async fn answer(
    channel: &dyn Channel,
    command: &Received,
    refusing: &str,
) -> Result<(), ChannelError> {
    let Some(id) = command.value("ce-id").and_then(SendingId::parse) else {
        return channel.dead_letter(command.tag, "it is no command").await;
    };
    channel.publish(&reply(&id, &command.body, refusing)).await?;
    channel.acknowledge(command.tag).await
}

fn reply(id: &SendingId, body: &Bytes, refusing: &str) -> Message {
    let of = &id.command;
    let is_asked_to = || serde_json::from_slice::<Asked>(body).is_ok_and(|asked| asked.refuse);
    let (name, says) = match of.direction {
        Direction::Compensation => ("SagaCompensationCompleted", result()),
        Direction::Action if *of.step_name == *refusing && is_asked_to() => {
            ("SagaStepFailed", r#""error":{"code":"NO","message":"refused as asked"}"#.to_owned())
        }
        Direction::Action => ("SagaStepCompleted", result()),
    };
    let (saga_id, step_name) = (of.saga_id, &of.step_name);
    let body =
        format!(r#"{{"type":"{name}","saga_id":"{saga_id}","step_name":"{step_name}",{says}}}"#);
    Message {
        id: format!("{id}/reply"),
        saga_id: saga_id.to_string(),
        kind: Kind::Reply,
        name: name.to_owned(),
        attributes: Vec::new(),
        body: body.into(),
    }
}

fn result() -> String {
    format!(r#""result":{}"#, String::from_utf8_lossy(RESULT))
}
