//! The guard: what makes a repeated, late or misordered command harmless.
//!
//! This file is the tables of `docs/guard.md` as two pure functions. What they are asked with was
//! read, and what they say is written, by the SQL in [`crate::database`], in the transaction of
//! the business itself.

#[cfg(feature = "mistakes")]
mod mistake;

use std::num::NonZeroU16;

#[cfg(feature = "mistakes")]
pub use mistake::Mistake;

/// The code of the refusal of an action whose compensation came first.
pub const ALREADY_UNDONE: &str = "ALREADY_UNDONE";

/// A row of `amends_guard`, as a claim found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of the command that wrote it last.
    pub round: u16,
    /// Of that command's body.
    pub body_sha256: [u8; 32],
    /// What became of it.
    pub state: State,
    /// What was answered, as JSON text.
    pub reply: Option<String>,
}

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The claim itself has made the row: it is new, and its reply is the claim's mark. Nobody
    /// else ever sees it, unless a handler has ended the guard's transaction.
    Claimed,
    /// An action that was carried out.
    Completed,
    /// An action that was refused.
    Refused,
    /// An action that must not run any more: its compensation has been here.
    Tombstone,
    /// A compensation that was carried out.
    Undone,
    /// A compensation that had nothing to undo.
    Nothing,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Claimed,
        Self::Completed,
        Self::Refused,
        Self::Tombstone,
        Self::Undone,
        Self::Nothing,
    ];

    /// As it is written in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Tombstone => "tombstone",
            Self::Undone => "undone",
            Self::Nothing => "nothing",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A command, as far as the guard is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its round.
    pub round: NonZeroU16,
    /// Of its body.
    pub body_sha256: &'a [u8; 32],
    /// Of its claim.
    pub mark: &'a str,
}

impl Asked<'_> {
    /// The same round with other bytes is no duplicate but a broken sender.
    fn reuses_the_key_of(&self, row: &Row) -> bool {
        row.round == self.round.get() && row.body_sha256 != *self.body_sha256
    }

    /// Is the row new? One that is claimed but not by this claim was left behind.
    pub(crate) fn has_made(&self, row: &Row) -> bool {
        row.state == State::Claimed && row.reply.as_deref() == Some(self.mark)
    }

    /// Was the row written by an earlier round?
    fn is_later_than(&self, row: &Row) -> bool {
        row.round < self.round.get()
    }
}

/// What is to be done about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The handler runs.
    Run,
    /// The stored result again.
    Completed(String),
    /// The stored refusal again.
    Refused(String),
    /// Refused: its compensation came first.
    AlreadyUndone,
    /// The key came with other bytes before.
    KeyReused,
    /// A claim without an answer was committed: nobody knows what was done under it.
    LeftBehind,
}

/// What is to be done about a compensation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compensation {
    /// The handler runs, with the action's stored result.
    Run(String),
    /// The handler runs, with the result that the command brought: the record of the action is
    /// gone, its effect may not be.
    RunUnrecorded,
    /// Nothing runs; that there was nothing to undo is stored, and the tombstone stays.
    Nothing,
    /// `undone: true` again, or `false`.
    Again {
        /// Which.
        undone: bool,
    },
    /// The key came with other bytes before.
    KeyReused,
    /// A claim without an answer was committed: nobody knows what was done under it.
    LeftBehind,
}

/// The table of actions.
pub fn action(row: &Row, asked: Asked<'_>) -> Action {
    let reply = || row.reply.clone();
    match row.state {
        State::Claimed if asked.has_made(row) => Action::Run,
        State::Claimed => Action::LeftBehind,
        State::Tombstone if row.reply.is_none() => Action::AlreadyUndone,
        _ if asked.reuses_the_key_of(row) => Action::KeyReused,
        State::Refused if asked.is_later_than(row) => Action::Run,
        // A tombstone that holds a refusal was one before its compensation came: see `tombstone`.
        State::Refused | State::Tombstone => reply().map_or(Action::AlreadyUndone, Action::Refused),
        State::Completed => Action::Completed(reply().unwrap_or_else(null)),
        // No action's row is in a compensation's state; if one were, running is the worst answer.
        State::Undone | State::Nothing => Action::AlreadyUndone,
    }
}

/// The table of compensations: its own row, the action's, and whether the command says that the
/// action completed.
pub fn compensation(own: &Row, action: &Row, asked: Asked<'_>, completed: bool) -> Compensation {
    match own.state {
        State::Claimed if asked.has_made(own) => {}
        State::Claimed => return Compensation::LeftBehind,
        _ if asked.reuses_the_key_of(own) => return Compensation::KeyReused,
        State::Nothing if asked.is_later_than(own) => {}
        State::Undone => return Compensation::Again { undone: true },
        _ => return Compensation::Again { undone: false },
    }
    match action.state {
        State::Completed => Compensation::Run(action.reply.clone().unwrap_or_else(null)),
        State::Claimed if !asked.has_made(action) => Compensation::LeftBehind,
        State::Claimed if completed => Compensation::RunUnrecorded,
        _ => Compensation::Nothing,
    }
}

/// What becomes of the action's row when its compensation is answered. A step that was refused
/// may be asked anew in a later round, and that may still be on its way: the refusal becomes a
/// tombstone too, and keeps what was said.
pub const fn tombstone(action: State) -> State {
    match action {
        State::Claimed | State::Refused => State::Tombstone,
        other => other,
    }
}

fn null() -> String {
    "null".to_owned()
}

#[cfg(test)]
mod tests;
