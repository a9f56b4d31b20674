//! Talks: what a service is asked without an engine, because no engine asks it: what is no command, the
//! same key for another body, many copies at once. Each is a short conversation with a saga id of its
//! own, and its last word is mostly the right command, which must work as if nothing had been.

mod judge;
mod line;
mod play;
mod topics;

pub use judge::verdict;
pub use play::talk;
pub use topics::{Appointment, appointments};

use super::rule::Rule;

/// A conversation, by what is odd in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Talk {
    /// A command that nobody has.
    UnknownCommand,
    /// A body that is no JSON.
    Garbage,
    /// An undo that nobody has.
    UnknownUndo,
    /// A command under the name of another service.
    ForeignCommand,
    /// A command that is not signed.
    Unsigned,
    /// A command that is signed with another secret.
    Forged,
    /// A command that was signed long ago.
    Stale,
    /// A command without a field that every command has.
    Without(Field),
    /// A command with the key of another step.
    ForeignKey,
    /// A body far larger than any command.
    TooLarge,
    /// A key that comes again with other bytes.
    OtherBytes,
    /// Data of other types.
    WrongTypes,
    /// Fields and headers that nobody knows.
    Additions,
    /// An action in a new round, with other data, after it was refused.
    NewRound,
    /// Steps of one saga whose names are almost the same.
    OtherSteps,
    /// Many copies at the same time.
    Many,
}

/// A field that every command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Whose it is.
    SagaId,
    /// Of which step.
    StepName,
    /// Whether it does or undoes.
    Direction,
    /// What a repeat is known by.
    IdempotencyKey,
}

impl Field {
    /// Its name in the body.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SagaId => "saga_id",
            Self::StepName => "step_name",
            Self::Direction => "direction",
            Self::IdempotencyKey => "idempotency_key",
        }
    }
}

impl Talk {
    /// All of them; a rehearsal has the first few.
    pub const ALL: [Self; 19] = [
        Self::UnknownCommand,
        Self::Garbage,
        Self::UnknownUndo,
        Self::ForeignCommand,
        Self::Unsigned,
        Self::Forged,
        Self::Stale,
        Self::Without(Field::SagaId),
        Self::Without(Field::StepName),
        Self::Without(Field::Direction),
        Self::Without(Field::IdempotencyKey),
        Self::ForeignKey,
        Self::TooLarge,
        Self::OtherBytes,
        Self::WrongTypes,
        Self::Additions,
        Self::NewRound,
        Self::OtherSteps,
        Self::Many,
    ];

    /// What a service under a saga's commands is asked as well: what a definition that is wrong, or a
    /// stranger, would ask it.
    pub const OF_REHEARSALS: usize = 7;

    /// Its name for `--only`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Many => "many",
            _ => self.rule().words().id,
        }
    }

    /// The rule that it is about.
    pub const fn rule(self) -> Rule {
        match self {
            Self::UnknownCommand => Rule::UnknownCommand,
            Self::Garbage => Rule::Garbage,
            Self::UnknownUndo => Rule::UnknownUndo,
            Self::ForeignCommand => Rule::ForeignCommand,
            Self::Unsigned | Self::Forged | Self::Stale => Rule::Signature,
            Self::Without(_) => Rule::Incomplete,
            Self::ForeignKey => Rule::ForeignKey,
            Self::TooLarge => Rule::TooLarge,
            Self::OtherBytes => Rule::KeyReused,
            Self::WrongTypes => Rule::WrongTypes,
            Self::Additions => Rule::Additions,
            Self::NewRound => Rule::NewRound,
            Self::OtherSteps => Rule::OtherSteps,
            Self::Many => Rule::AtOnce,
        }
    }

    /// What is odd in it is a command all the same, which is answered as one.
    pub const fn is_command(self) -> bool {
        matches!(
            self,
            Self::OtherBytes
                | Self::WrongTypes
                | Self::Additions
                | Self::NewRound
                | Self::OtherSteps
                | Self::Many
        )
    }

    /// What happens in it.
    pub fn words(self) -> String {
        match self {
            Self::UnknownCommand => "a command that it does not have".into(),
            Self::Garbage => "a body that is no JSON".into(),
            Self::UnknownUndo => "an undo that it does not have".into(),
            Self::ForeignCommand => "a command of another service".into(),
            Self::Unsigned => "a command that is not signed".into(),
            Self::Forged => "a command that is signed with another secret".into(),
            Self::Stale => "a command that was signed an hour ago".into(),
            Self::Without(field) => format!("a command without {}", field.name()),
            Self::ForeignKey => "a command with the key of another step".into(),
            Self::TooLarge => "a body of 8 MiB".into(),
            Self::OtherBytes => "the same key with other bytes".into(),
            Self::WrongTypes => "data of other types".into(),
            Self::Additions => "fields and headers that it does not know".into(),
            Self::NewRound => "a new round, with other data, after a refusal".into(),
            Self::OtherSteps => "three steps of one saga with almost the same name".into(),
            Self::Many => "eight copies at the same time".into(),
        }
    }
}
