//! The keys with fixed choices.

use crate::file::{Canonical, Decode};
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::tree::{Node, shorten};

macro_rules! words {
    ($( $(#[$meta:meta])* $name:ident { $( $(#[$word_meta:meta])* $word:ident = $text:literal, )* } )*) => { $(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
        $(#[$meta])*
        pub(crate) enum $name { $( $(#[$word_meta])* #[schemars(rename = $text)] $word, )* }

        impl Decode for $name {
            fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
                match node.text() {
                    $( Some($text) => Some(Self::$word), )*
                    found => {
                        bad_word(node, found, &[$( $text ),*], findings);
                        None
                    }
                }
            }
        }

        impl Canonical for $name {
            fn canonical(&self) -> serde_json::Value {
                match self { $( Self::$word => serde_json::Value::from($text), )* }
            }
        }
    )* };
}

words! {
    /// Atomic or eventual: what the step's failure means for the saga.
    KindWord {
        /// Undone when the saga fails.
        Compensatable = "compensatable",
        /// The point of no return: when it succeeded, the saga only goes forward.
        Pivot = "pivot",
        /// After the point of no return: retried until it succeeds, never undone.
        Retriable = "retriable",
        /// Its failure is recorded and the saga goes on; never undone.
        BestEffort = "best_effort",
    }
    /// How an unknown outcome is made harmless before the undo.
    FenceWord {
        /// The service keeps tombstones and stored answers (the participant kit does).
        Barrier = "barrier",
        /// The service answers a repeated command with its first answer, also after its undo.
        Settle = "settle",
        /// Neither: an unknown outcome waits for an answer or a person.
        None = "none",
    }
    /// With or without a coordinator.
    PatternWord {
        /// amends sends the commands.
        Orchestration = "orchestration",
        /// Each service reacts to the events of the steps before its own.
        Choreography = "choreography",
    }
    /// How much of a pause is left to chance.
    JitterWord {
        /// Anything from nothing to the whole pause.
        Full = "full",
        /// The pause as it is.
        None = "none",
    }
    /// What a 404 on an undo means.
    NotFoundWord {
        /// What it should undo does not exist: success.
        Gone = "gone",
        /// Nothing can be told from it.
        Unknown = "unknown",
    }
}

pub(super) fn bad_word(node: &Node, found: Option<&str>, words: &[&str], findings: &mut Findings) {
    let all = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    let message = match found {
        Some(found) => format!("`{}` is none of {all}", shorten(found)),
        None => format!("here should be one of {all}, and there is {}", node.shape()),
    };
    let fix = match found.and_then(|f| did_you_mean(f, words.iter().copied())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {all}"),
    };
    findings.add_with_fix(Rule::BadWord, node.span, message, fix);
}
