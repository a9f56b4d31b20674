//! How a participant brings its answers: in the exchange, or later by callback, with the oddities that
//! callbacks have.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

/// How answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// In the exchange.
    Exchange,
    /// All by callback, after the 202.
    Callback,
    /// The undos by callback, the actions in the exchange.
    UndosByCallback,
    /// By callback, each twice.
    Twice,
    /// By callback, long after the engine has stopped waiting where it waits in vain.
    Slow,
    /// By callback, before the 202.
    Early,
    /// By callback, and in the exchange as well.
    Both,
    /// By one callback for all copies: what comes while the first is at work is accepted only.
    Once,
    /// By callback, and to what was answered before a 202 alone.
    Forgetful,
    /// Never, after the 202.
    Never,
    /// By callback under no name that there is.
    Nameless,
    /// By callback, the second of which says another thing.
    TwoFaced,
}

impl Manner {
    /// Is the command on this path answered later?
    pub fn is_later(self, path: &str) -> bool {
        match self {
            Self::Exchange | Self::Both => false,
            Self::UndosByCallback => path == "/Undo",
            _ => true,
        }
    }
}

/// Posts the answer as a reply by name to the address that came with the command. Says with which
/// status it was answered.
pub fn call_back(
    manner: Manner,
    to: &str,
    path: &str,
    body: &Value,
    (status, said): &(u16, Value),
) {
    let mut reply = match (path, *status < 300) {
        ("/Do", true) => json!({"type": "SagaStepCompleted", "result": said}),
        ("/Do", false) => json!({"type": "SagaStepFailed", "error": said["error"]}),
        (_, true) => json!({"type": "SagaCompensationCompleted", "undone": said["undone"]}),
        (_, false) => json!({"type": "SagaCompensationFailed", "error": said["error"]}),
    };
    if manner == Manner::Nameless || said.is_string() {
        reply["type"] = json!("Done");
        // Participants echo what they were sent.
        reply["address"] = json!(to);
        reply["by_token"] = json!(to.rsplit('/').next());
    }
    reply["saga_id"] = body["saga_id"].clone();
    reply["step_name"] = body["step_name"].clone();
    post(to, &reply);
    match manner {
        Manner::Twice => drop(post(to, &reply)),
        Manner::TwoFaced if reply["result"].is_object() => {
            reply["result"]["id"] = json!(0);
            post(to, &reply);
        }
        _ => {}
    }
}

/// Posts to an address; the status, where there is one. Nobody may wait for it any more.
fn post(to: &str, reply: &Value) -> Option<u16> {
    let (host, path) = to.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    // The type first, as in the documentation.
    let (kind, mut rest) = (reply["type"].to_string(), reply.clone());
    rest.as_object_mut()?.remove("type");
    let text = format!("{{\"type\":{kind},{}", rest.to_string().strip_prefix('{')?);
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
