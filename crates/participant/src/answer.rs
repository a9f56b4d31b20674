//! What a command is answered, over HTTP and as a reply by name.

use std::time::Duration;

use amends_wire::{CommandId, Direction, Fault, ReplyKind};
use serde_json::{Map, Value, json};

use crate::command::Breach;
use crate::ending::Refused;

/// The code of every unknown outcome.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// When too many commands are at work, or the database is away: soon, but not at once.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of a command. Each but the last three is definite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The action is done: its result, as JSON text.
    Completed(String),
    /// A definite "no": its error, as JSON text.
    Refused(String),
    /// Of a compensation: whether there was something to undo.
    Undone(bool),
    /// Not now; everything was rolled back.
    Transient {
        /// The class of what went wrong. The service's log says more.
        code: &'static str,
        /// A sentence that says no more than the class.
        message: &'static str,
        /// When to ask again at the soonest.
        retry_after: Option<Duration>,
    },
    /// It may have been done.
    Unknown(Doubt),
    /// It was no command of the protocol, or not for this service; nothing was done.
    Breach(Breach),
}

/// Why nobody knows what became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The commit was not heard to succeed or fail: the same command tells, once it comes again.
    CommitLost,
    /// The handler has ended the transaction that it was given. No command will ever tell: a
    /// person has to look.
    TransactionEnded,
}

impl Doubt {
    /// A sentence for whoever sent the command.
    const fn message(self) -> &'static str {
        match self {
            Self::CommitLost => "whether it was committed is not known; the same command tells",
            Self::TransactionEnded => {
                "whether it was done is not known, and no command tells: the handler has ended its \
                 transaction. See the service's log"
            }
        }
    }
}

impl Answer {
    pub(crate) fn transient(code: &'static str, message: &'static str) -> Self {
        Self::Transient { code, message, retry_after: None }
    }

    pub(crate) fn later(code: &'static str, message: &'static str) -> Self {
        Self::Transient { code, message, retry_after: Some(RETRY_AFTER) }
    }

    pub(crate) fn breach(code: &'static str, message: impl Into<String>) -> Self {
        Self::Breach(Breach::new(code, message))
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Completed(_) | Self::Undone(_) => 200,
            Self::Refused(_) => 422,
            Self::Transient { .. } => 503,
            Self::Unknown(_) => 500,
            Self::Breach(_) => 400,
        }
    }

    /// The body of an HTTP answer, JSON.
    pub fn body(&self) -> String {
        match self {
            Self::Completed(result) => result.clone(),
            Self::Refused(error) => format!("{{\"error\":{error}}}"),
            Self::Undone(undone) => json!({"undone": undone}).to_string(),
            Self::Transient { code, message, .. } => {
                json!({"error": {"code": code, "message": message}, "retryable": true}).to_string()
            }
            Self::Unknown(doubt) => error(OUTCOME_UNKNOWN, doubt.message()),
            Self::Breach(breach) => error(breach.code, &breach.message),
        }
    }

    /// When to ask again at the soonest, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Where a message goes that cannot be answered: to the dead letters, with this reason.
    pub(crate) fn buried(&self) -> Option<Breach> {
        match self {
            Self::Breach(breach) => Some(breach.clone()),
            Self::Unknown(doubt @ Doubt::TransactionEnded) => {
                Some(Breach::new(OUTCOME_UNKNOWN, doubt.message()))
            }
            _ => None,
        }
    }

    /// The reply by name to this command at this attempt; `None` where none is sent: of a commit
    /// whose answer was lost the message is given back, and what is `buried` goes to the dead
    /// letters.
    pub fn reply(&self, command: &CommandId, attempt: u32) -> Option<String> {
        let kind = match (command.direction, self) {
            (_, Self::Unknown(_) | Self::Breach(_)) => return None,
            (Direction::Action, Self::Completed(_)) => ReplyKind::StepCompleted,
            (Direction::Action, _) => ReplyKind::StepFailed,
            (Direction::Compensation, Self::Undone(_)) => ReplyKind::CompensationCompleted,
            (Direction::Compensation, _) => ReplyKind::CompensationFailed,
        };
        let mut reply = Map::new();
        let mut say = |name: &str, value: Value| drop(reply.insert(name.to_owned(), value));
        say("type", kind.as_str().into());
        say("saga_id", command.saga_id.to_string().into());
        say("step_name", command.step_name.clone().into());
        say("idempotency_key", command.to_string().into());
        if attempt > 0 {
            say("attempt", attempt.into());
        }
        let raw = match self {
            Self::Completed(result) => ("result", result.as_str()),
            Self::Refused(error) => ("error", error.as_str()),
            Self::Undone(true) => ("undone", "true"),
            Self::Undone(false) => ("undone", "false"),
            Self::Transient { code, message, .. } => {
                say("retryable", true.into());
                say("error", json!({"code": code, "message": message}));
                return Some(Value::Object(reply).to_string());
            }
            Self::Unknown(_) | Self::Breach(_) => return None,
        };
        let mut text = Value::Object(reply).to_string();
        // Stored texts go out byte for byte: no number is read.
        text.truncate(text.len() - 1);
        text.push_str(&format!(",\"{}\":{}}}", raw.0, raw.1));
        Some(text)
    }
}

/// What is stored of a refusal, and said: an object with a code and a message, cut to what an
/// engine keeps of them.
pub(crate) fn refusal(refused: &Refused) -> String {
    let fault = Fault::coded(refused.code(), refused.message());
    json!({"code": fault.code, "message": fault.message}).to_string()
}

fn error(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_wire::{FailureCodes, Outcome, Reply, SagaId};

    fn heard(direction: Direction, answer: &Answer) -> Option<(Option<u16>, Option<u32>, Outcome)> {
        let id = CommandId { saga_id: SagaId(7), step_name: "s".to_owned(), direction, round: 2 };
        let text = answer.reply(&id, 3)?;
        let reply = Reply::parse(&(), &text.into()).unwrap();
        assert_eq!(reply.kind.direction(), direction);
        Some((reply.round, reply.attempt, reply.outcome(&FailureCodes::default())))
    }

    #[test]
    fn an_engine_understands_each_reply() {
        let refused = refusal(&Refused::new("NO", "it is \"out\""));
        let completed = heard(Direction::Action, &Answer::Completed("{\"n\":1.50}".to_owned()));
        let result = Some("{\"n\":1.50}".into());
        let expected = Outcome::Completed { result, undone: None };
        assert_eq!(completed, Some((Some(2), Some(3), expected)));
        let no = heard(Direction::Action, &Answer::Refused(refused)).unwrap().2;
        assert_eq!(no, Outcome::Refused { error: Fault::coded("NO", "it is \"out\"") });
        let undone = heard(Direction::Compensation, &Answer::Undone(true)).unwrap().2;
        assert_eq!(undone, Outcome::Completed { result: None, undone: Some(true) });
        let nothing = heard(Direction::Compensation, &Answer::Undone(false)).unwrap().2;
        assert_eq!(nothing, Outcome::Gone { proven: true });
        for direction in [Direction::Action, Direction::Compensation] {
            let busy = heard(direction, &Answer::later("BUSY", "later")).unwrap().2;
            assert_eq!(busy, Outcome::transient(Fault::coded("BUSY", "later")));
            assert_eq!(heard(direction, &Answer::Unknown(Doubt::CommitLost)), None);
            assert_eq!(heard(direction, &Answer::breach("NOT_JSON", "")), None);
        }
    }
}
