//! What is no command of the protocol, told before anything else is looked at.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use amends_wire::CommandId;
use amends_wire::signature::{
    Secret, SignatureError, Signed, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use serde_json::Value;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// An undo that the participant does not have; it says that there was nothing to undo.
    UnknownUndo,
    Unsigned,
    Forged,
    Stale,
    Without(&'static str),
    ForeignCommand,
    ForeignKey,
    TooLarge,
}

impl Breach {
    pub const fn is_of_signature(self) -> bool {
        matches!(self, Self::Unsigned | Self::Forged | Self::Stale)
    }
}

/// The first thing that is wrong, if any is.
pub fn breach(
    secret: Option<&Secret>,
    headers: &HashMap<String, String>,
    raw: &[u8],
    body: &Value,
) -> Option<Breach> {
    if let Some(secret) = secret {
        let header = |name: &str| headers.get(name).map(String::as_str);
        let signed = Signed {
            id: header(WEBHOOK_ID),
            timestamp: header(WEBHOOK_TIMESTAMP),
            signature: header(WEBHOOK_SIGNATURE),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        match signed.verify(std::slice::from_ref(secret), raw, now) {
            Ok(()) => {}
            Err(SignatureError::Stale) => return Some(Breach::Stale),
            Err(SignatureError::Mismatch) => return Some(Breach::Forged),
            Err(_) => return Some(Breach::Unsigned),
        }
    }
    let fields = ["saga_id", "step_name", "direction", "idempotency_key", "command"];
    if let Some(missing) = fields.into_iter().find(|field| !body[field].is_string()) {
        return Some(Breach::Without(missing));
    }
    let text = |field: &str| body[field].as_str().unwrap();
    if !["Honest.", "Tried."].iter().any(|own| text("command").starts_with(own)) {
        return Some(Breach::ForeignCommand);
    }
    let id: Option<CommandId> = text("idempotency_key").parse().ok();
    let is_own = id.is_some_and(|id| {
        id.saga_id.to_string() == text("saga_id")
            && id.step_name == text("step_name")
            && id.direction.as_str() == text("direction")
    });
    (!is_own).then_some(Breach::ForeignKey)
}
