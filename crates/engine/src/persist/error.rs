//! Why bytes are not taken for a saga's history.

use super::FORMAT;

/// The bytes cannot be read as a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga's history cannot be read: at byte {offset}, {problem}")]
pub struct DecodeError {
    /// Where the reading stopped, counted from the first byte given.
    pub offset: usize,
    /// Why.
    pub problem: Problem,
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A frame has a format this build does not know.
    #[error(
        "format {format} begins, and this build reads none above {FORMAT}; a newer version of \
         amends wrote it: run that version or a later one"
    )]
    NewerFormat {
        /// The format.
        format: u8,
    },
    /// There is an event this build does not know.
    #[error(
        "the event has tag {tag}, which this build does not know; a newer version of amends wrote \
         it: run that version or a later one"
    )]
    NewerEvent {
        /// Its tag.
        tag: u8,
    },
    /// An event has a field this build does not know, or knows elsewhere only.
    #[error(
        "the event {event} has field {field}, which this build does not know there; a newer \
         version of amends wrote it: run that version or a later one"
    )]
    NewerField {
        /// The event's name.
        event: &'static str,
        /// The field's id.
        field: u8,
    },
    /// An enumeration has a code this build does not know.
    #[error(
        "the event {event} says {code} for its {what}, which this build does not know; a newer \
         version of amends wrote it: run that version or a later one"
    )]
    NewerCode {
        /// The event's name.
        event: &'static str,
        /// What the code stands for.
        what: &'static str,
        /// The code.
        code: u8,
    },
    /// The bytes end too early.
    #[error("the bytes end in the middle; they are damaged: restore them from a backup")]
    CutOff,
    /// An event lacks a field that it always has.
    #[error(
        "the event {event} lacks its field {field}; the bytes are damaged: restore them from a \
         backup"
    )]
    MissingField {
        /// The event's name.
        event: &'static str,
        /// The field's id.
        field: u8,
    },
    /// The bytes are none that any version writes.
    #[error("{0}; the bytes are damaged: restore them from a backup")]
    Damaged(&'static str),
}

impl DecodeError {
    /// Did a newer version write the bytes? Then they are whole, and it is this build that must not
    /// go on; else they are damaged, which is that one saga's misfortune.
    pub fn is_newer(&self) -> bool {
        match self.problem {
            Problem::NewerFormat { .. }
            | Problem::NewerEvent { .. }
            | Problem::NewerField { .. }
            | Problem::NewerCode { .. } => true,
            Problem::CutOff | Problem::MissingField { .. } | Problem::Damaged(_) => false,
        }
    }
}
