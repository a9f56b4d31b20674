//! Replies that come by themselves: brought until somebody says that they are durable, now and then
//! twice, and forged ones among them.

use std::sync::Arc;
use std::time::Duration;

use amends_core::Direction;
use amends_engine::{ReplyError, ReplyIn};
use amends_wire::Reply;
use bytes::Bytes;
use serde_json::json;

use crate::judge::{Call, Said};
use crate::marks::Mark;
use crate::note;
use crate::world::World;

/// What a reply names beside saga and step.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Its command's key, and so its round.
    pub key: bool,
    /// Its attempt.
    pub attempt: bool,
}

/// The result of an action.
pub fn result(call: &Call) -> Bytes {
    json!({ "done": call.key }).to_string().into()
}

/// A reply as it is on the wire; none where the words are none of a reply.
pub fn reply(call: &Call, said: Said, names: Names) -> Option<(Reply, Bytes)> {
    let (kind, undoing) = match call.direction {
        Direction::Action => ("Step", false),
        Direction::Compensation => ("Compensation", true),
    };
    let id = amends_wire::SagaId(call.place.saga.0).to_string();
    // The key is `<saga>/<step>/<direction>[/<round>]`.
    let step_name = call.key.split('/').nth(1)?;
    let mut body = json!({ "saga_id": id, "step_name": step_name });
    let ending = match said {
        Said::Done | Said::Undone(_) | Said::NotFound => "Completed",
        Said::Refused | Said::Already | Said::Busy => "Failed",
        Said::Accepted | Said::Garbage => return None,
    };
    body["type"] = json!(format!("Saga{kind}{ending}"));
    match said {
        Said::Done => body["result"] = json!({ "done": call.key }),
        Said::Undone(Some(undone)) => body["undone"] = json!(undone),
        Said::NotFound => body["undone"] = json!(false),
        Said::Refused | Said::Already => {
            body["error"] = json!({ "code": "NO", "message": "refused" });
            body["retryable"] = json!(undoing);
        }
        Said::Busy => {
            body["error"] = json!({ "code": "BUSY", "message": "not now" });
            body["retryable"] = json!(true);
        }
        Said::Undone(None) | Said::Accepted | Said::Garbage => {}
    }
    if names.key {
        body["idempotency_key"] = json!(call.key);
    }
    if names.attempt {
        body["attempt"] = json!(call.attempt);
    }
    let raw = Bytes::from(body.to_string());
    Some((Reply::parse(&(), &raw).ok()?, raw))
}

/// Brings a reply until it is durable.
pub async fn bring(world: &Arc<World>, call: &Call, said: Said, names: Names, service: &str) {
    let Some((reply, raw)) = reply(call, said, names) else { return };
    loop {
        // One that was replaced may know nothing of the command: only the owner's word counts.
        if let Some(engine) = world.owner() {
            let reply_in = ReplyIn {
                reply: reply.clone(),
                token: None,
                services: Some(vec![service.to_owned()]),
                source: "callback".to_owned(),
                raw: raw.clone(),
            };
            let taken = engine.handle.reply(reply_in).await;
            note!(world.trace, Some(call.place.saga), "reply {} {said:?}: {taken:?}", call.key);
            match taken {
                Ok(_) => return world.judge.reply_taken(call, said),
                Err(ReplyError::Unavailable(_)) => {}
                Err(refused) => {
                    let what = format!("{} is answered {refused}", call.key);
                    return world.judge.reply_refused(call, what);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Brings a reply that nobody has reason to believe: of a step that was never asked for, of a round or
/// attempt to come, or by a service whose step it is not.
pub async fn forge(world: &Arc<World>, call: &Call, foreign: bool, service: &str) {
    let Some(engine) = world.engine() else { return };
    let names = Names { key: true, attempt: !foreign };
    let Some((_, raw)) = reply(call, Said::Done, names) else { return };
    let raw = Bytes::from(String::from_utf8_lossy(&raw).replace("\"done\"", "\"forged\""));
    let Ok(reply) = Reply::parse(&(), &raw) else { return };
    let services = Some(vec![service.to_owned()]);
    let source = "forged".to_owned();
    let reply_in = ReplyIn { reply, token: None, services, source, raw };
    let taken = engine.handle.reply(reply_in).await;
    note!(world.trace, Some(call.place.saga), "forged {}: {taken:?}", call.key);
    world.judge.mark(if foreign { Mark::Foreign } else { Mark::Forged });
    let believed = taken.is_ok().then(|| format!("a forged reply to {} was taken", call.key));
    world.judge.check(crate::judge::Law::S15, Some(call.place.saga), believed);
}
