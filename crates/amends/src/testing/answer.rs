//! What a participant may say, in the words of the rules.

use amends_wire::{Fault, Outcome};
use serde_json::Value;

/// What a participant says to a command, or what becomes of the command without an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) outcome: Outcome,
    pub(super) words: String,
}

impl Answer {
    fn new(outcome: Outcome, words: impl Into<String>) -> Self {
        Self { outcome, words: words.into() }
    }
}

/// It is done, with this result.
pub fn completed(result: Value) -> Answer {
    let words = format!("completed {result}");
    let result = Some(result.to_string().into());
    Answer::new(Outcome::Completed { result, undone: None }, words)
}

/// It is done, or undone: what suits an action and an undo alike.
pub fn done() -> Answer {
    Answer::new(Outcome::Completed { result: None, undone: None }, "done")
}

/// No, with this code: it has had no effect. An undo cannot be refused, and is tried again.
pub fn refused(code: &str) -> Answer {
    Answer::new(Outcome::Refused { error: Fault::coded(code, "") }, format!("refused: {code}"))
}

/// Not now: it has had no effect yet, and is worth another attempt.
pub fn not_now() -> Answer {
    Answer::new(Outcome::transient(Fault::new("not now")), "not now")
}

/// The undo has undone something.
pub fn undone() -> Answer {
    Answer::new(Outcome::Completed { result: None, undone: Some(true) }, "undone")
}

/// The undo has found nothing that it should undo.
pub fn nothing_to_undo() -> Answer {
    let outcome = Outcome::Completed { result: None, undone: Some(false) };
    Answer::new(outcome, "nothing to undo")
}

/// The answer will come later, with [`late_answer`](super::Rehearsal::late_answer).
pub fn accepted() -> Answer {
    Answer::new(Outcome::Accepted, "accepted, the answer comes later")
}

/// No answer that can be trusted: the connection broke off, say. It may have happened.
pub fn unknown() -> Answer {
    Answer::new(Outcome::unknown("the connection broke off"), "the connection broke off")
}

/// It never left: nobody listens there.
pub fn unreachable() -> Answer {
    Answer::new(Outcome::not_sent("nobody listens there"), "it never left: nobody listens there")
}
