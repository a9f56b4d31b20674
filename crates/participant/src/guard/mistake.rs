//! Mistakes that a guard could have, to be built into this one, so that the tests against real
//! databases are seen to catch each of them.

use super::{Action, Asked, Compensation, Row, State};

/// What a round is told that is told an earlier one's refusal.
const REFUSED_BEFORE: &str = r#"{"code":"NO","message":"it was refused before"}"#;

/// The result that an action is said to have had that never ran.
const NEVER_HAD: &str = r#"{"amount":5,"attempt":1}"#;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// An action runs though its compensation came first.
    NoTombstone,
    /// A compensation undoes what never ran.
    UndoOfNothing,
    /// An action runs again though it is done.
    ResultForgotten,
    /// A refused action is asked again by a duplicate.
    RefusalForgotten,
    /// A later round is told the refusal of the one before.
    RoundIgnored,
    /// Other bytes under the same key pass for a duplicate.
    BytesIgnored,
    /// A compensation runs again in its second round.
    UndoneAgain,
    /// That there was nothing to undo is said in every round, also when there is by now.
    NothingForEver,
    /// A compensation does not claim its action's row, and so does not wait for one at work.
    UndoDoesNotWait,
    /// A step that was refused and undone runs in a later round.
    RefusalIsNoTombstone,
    /// A compensation whose action's record is gone finds nothing to undo, whatever the saga says.
    SagaNotBelieved,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoTombstone,
        Self::UndoOfNothing,
        Self::ResultForgotten,
        Self::RefusalForgotten,
        Self::RoundIgnored,
        Self::BytesIgnored,
        Self::UndoneAgain,
        Self::NothingForEver,
        Self::UndoDoesNotWait,
        Self::RefusalIsNoTombstone,
        Self::SagaNotBelieved,
    ];

    /// The table of actions with this mistake in it.
    pub fn action(self, row: &Row, asked: Asked<'_>) -> Action {
        let right = super::action(row, asked);
        match (self, row.state, &right) {
            (Self::NoTombstone, State::Tombstone, _)
            | (Self::RefusalForgotten, State::Refused, Action::Refused(_)) => Action::Run,
            // Not an earlier round: its refusal would never be stored, and never be said.
            (Self::ResultForgotten, State::Completed, _) if row.round <= asked.round.get() => {
                Action::Run
            }
            (Self::RefusalIsNoTombstone, State::Tombstone, _)
                if row.reply.is_some() && asked.is_later_than(row) =>
            {
                Action::Run
            }
            // The claim has claimed the refused row anew.
            (Self::RoundIgnored, State::Claimed, Action::Run) if asked.is_later_than(row) => {
                Action::Refused(REFUSED_BEFORE.to_owned())
            }
            (Self::BytesIgnored, _, Action::KeyReused) => {
                super::action(row, Asked { body_sha256: &row.body_sha256, ..asked })
            }
            _ => right,
        }
    }

    /// The table of compensations with this mistake in it.
    pub fn compensation(
        self,
        own: &Row,
        action: &Row,
        asked: Asked<'_>,
        completed: bool,
    ) -> Compensation {
        let right = super::compensation(own, action, asked, completed);
        match (self, own.state) {
            (Self::UndoneAgain, State::Undone) if asked.is_later_than(own) => {
                Compensation::Run(action.reply.clone().unwrap_or_else(super::null))
            }
            (Self::NothingForEver, State::Claimed)
                if asked.has_made(own) && asked.is_later_than(own) =>
            {
                Compensation::Again { undone: false }
            }
            (Self::BytesIgnored, _) if right == Compensation::KeyReused => {
                let asked = Asked { body_sha256: &own.body_sha256, ..asked };
                super::compensation(own, action, asked, completed)
            }
            (Self::UndoOfNothing, _)
                if right == Compensation::Nothing && action.state == State::Claimed =>
            {
                Compensation::Run(NEVER_HAD.to_owned())
            }
            (Self::SagaNotBelieved, _) if right == Compensation::RunUnrecorded => {
                Compensation::Nothing
            }
            _ => right,
        }
    }
}
