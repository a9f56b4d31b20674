//! The participant protocol: commands, replies, envelopes, signatures.
//!
//! Pure: no input or output, no clock. It knows nothing of the machine; the engine is the one
//! place where the two meet (`definition-and-wire.md` section 2).

mod answer;
mod command;
mod concealment;
pub mod envelope;
pub mod json;
pub mod mutant;
mod outcome;
mod reply;
pub mod signature;
mod token;

pub use answer::{
    Answer, Exchange, NOTE_BODY_BYTES_MAX, RETRY_AFTER_SECS_MAX, RefusedWhen, Rules, breach,
    classify,
};
pub use command::{
    ActionOutcome, BadCommandId, CommandBody, CommandBodyError, CommandId, Direction, SagaId, Undo,
    idempotency_key,
};
pub use concealment::hide_in;
pub use outcome::{
    FAULT_CODE_BYTES_MAX, FAULT_MESSAGE_BYTES_MAX, FailureCodes, Fault, IN_PROGRESS, Outcome,
};
pub use reply::{Headers, REPLY_BYTES_MAX, Reply, ReplyError, ReplyKind, SendingId};
pub use token::{TOKEN_KEY_BYTES_MIN, TokenError, TokenKey};
