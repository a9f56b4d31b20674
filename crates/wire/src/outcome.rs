//! Outcomes: what an attempt came to (`semantics.md` section 5).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::command::Direction;

/// The longest error text that is kept: it goes into a fact, a log line and a web page.
pub const FAULT_MESSAGE_BYTES_MAX: usize = 2048;

/// The longest error code that is kept; codes are identifiers.
pub const FAULT_CODE_BYTES_MAX: usize = 128;

/// What an attempt came to.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The step is done; speaks for every sending.
    Completed {
        /// The result as a JSON text; `None` when there was none, or null.
        result: Option<Bytes>,
        /// Of an undo: whether it says that there was something to undo.
        undone: Option<bool>,
    },
    /// A definite "no": this sending has had no effect.
    Refused {
        /// Why.
        error: Fault,
    },
    /// Not now.
    Transient {
        /// Why.
        error: Fault,
        /// Whether the participant itself said so in a body, and thereby that this sending had
        /// no effect. A bare status may come from a proxy.
        named: bool,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer comes later.
    Accepted,
    /// Of an undo: what it should undo does not exist.
    Gone {
        /// Whether the participant's word is enough; `false` marks the step `unproven`.
        proven: bool,
    },
    /// It may have happened.
    Unknown {
        /// What was seen instead of an answer.
        error: Fault,
        /// The note for attention `contract`, where the participant breaks the protocol.
        contract: Option<String>,
    },
    /// Nothing left: not an attempt.
    NotSent {
        /// What was in the way.
        error: Fault,
    },
}

impl Outcome {
    /// Unknown, without a breach of the protocol.
    pub fn unknown(message: impl AsRef<str>) -> Self {
        Self::Unknown { error: Fault::new(message), contract: None }
    }

    /// A definite "no" that the participant itself has said. An undo cannot be refused: there it
    /// is a "not now".
    pub fn refused(direction: Direction, error: Fault) -> Self {
        match direction {
            Direction::Action => Self::Refused { error },
            Direction::Compensation => Self::transient(error),
        }
    }

    /// A "not now" that the participant itself has said.
    pub fn transient(error: Fault) -> Self {
        let named = error.code.as_deref() != Some(IN_PROGRESS);
        Self::Transient { error, named, retry_after: None }
    }

    /// Nothing left.
    pub fn not_sent(message: impl AsRef<str>) -> Self {
        Self::NotSent { error: Fault::new(message) }
    }
}

/// Results may hold what must not be logged (S24): only their size is shown.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { result, undone } => f
                .debug_struct("Completed")
                .field("result", &SizeOf(result.as_ref()))
                .field("undone", undone)
                .finish(),
            Self::Refused { error } => f.debug_struct("Refused").field("error", error).finish(),
            Self::Transient { error, named, retry_after } => f
                .debug_struct("Transient")
                .field("error", error)
                .field("named", named)
                .field("retry_after", retry_after)
                .finish(),
            Self::Accepted => f.write_str("Accepted"),
            Self::Gone { proven } => f.debug_struct("Gone").field("proven", proven).finish(),
            Self::Unknown { error, contract } => {
                f.debug_struct("Unknown").field("error", error).field("contract", contract).finish()
            }
            Self::NotSent { error } => f.debug_struct("NotSent").field("error", error).finish(),
        }
    }
}

/// Shows the size of bytes that are not to be shown.
pub(crate) struct SizeOf<'a>(pub Option<&'a Bytes>);

impl fmt::Debug for SizeOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "<{} bytes>", bytes.len()),
            None => f.write_str("none"),
        }
    }
}

/// An error as a participant tells it, cut to its limits and free of control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The stable name of the error, where it has one.
    pub code: Option<String>,
    /// What happened, for a person.
    pub message: String,
}

impl Fault {
    /// An error without a code.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self { code: None, message: printable(message.as_ref(), FAULT_MESSAGE_BYTES_MAX) }
    }

    /// An error with a code.
    pub fn coded(code: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        let code = Some(printable(code.as_ref(), FAULT_CODE_BYTES_MAX));
        Self { code, ..Self::new(message) }
    }

    /// Is its code one of these?
    pub(crate) fn is_one_of(&self, codes: &[String]) -> bool {
        self.code.as_ref().is_some_and(|code| codes.contains(code))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) if self.message.is_empty() => f.write_str(code),
            Some(code) => write!(f, "{code}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The start of a text, at most `bytes_max` long, control characters replaced: a NUL breaks
/// databases, an escape sequence terminals, a line break logs.
pub(crate) fn printable(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let shown = match character {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        if out.len() + shown.len_utf8() > bytes_max {
            break;
        }
        out.push(shown);
    }
    out
}

/// The error codes a step lists under `failures`: what a code means there goes before any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureCodes {
    /// Codes of a definite "no".
    pub permanent: Vec<String>,
    /// Codes of a "not now".
    pub transient: Vec<String>,
}

/// The code of a repeat that found the first copy at work. It says that something *is* running,
/// so it never counts as a word that the sending had no effect.
pub const IN_PROGRESS: &str = "IN_PROGRESS";

impl FailureCodes {
    /// What the code of an error says, where it is listed.
    pub(crate) fn verdict(&self, error: &Fault) -> Option<Verdict> {
        if error.is_one_of(&self.permanent) {
            Some(Verdict::Permanent)
        } else if error.is_one_of(&self.transient) {
            Some(Verdict::Transient)
        } else {
            None
        }
    }

    /// Gives an error without a code its own text as the code, if that text is listed: `error`
    /// may be a bare string.
    pub(crate) fn recognise(&self, error: &mut Fault) {
        let listed = |code: &String| *code == error.message;
        if error.code.is_none() && self.permanent.iter().chain(&self.transient).any(listed) {
            error.code = Some(error.message.clone());
        }
    }
}

/// Definite or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Permanent,
    Transient,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_result_is_shown() {
        let outcome =
            Outcome::Completed { result: Some(Bytes::from_static(b"\"card 4111\"")), undone: None };
        let shown = format!("{outcome:?}");
        assert!(!shown.contains("4111") && shown.contains("<11 bytes>"), "{shown}");
    }

    #[test]
    fn an_error_is_cut_at_a_character_and_cleared_of_control_characters() {
        let fault = Fault::coded("A\0B", "é".repeat(FAULT_MESSAGE_BYTES_MAX));
        assert_eq!(fault.code.as_deref(), Some("A\u{fffd}B"));
        assert_eq!(fault.message.len(), FAULT_MESSAGE_BYTES_MAX);
        assert_eq!(Fault::new("a\r\nb\x1b[31m").message, "a  b\u{fffd}[31m");
    }
}
