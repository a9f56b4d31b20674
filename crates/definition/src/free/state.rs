//! What has happened in a run, and what may happen next.
//!
//! A reaction takes place once a saga: its service keeps a row of it. So all there is to know of a run
//! is which events have been said and which reactions have taken place; that an event is delivered
//! twice, late, or in another order changes nothing else.

use super::model::{Act, Reactions, Work};
use super::set::Set;

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Events that have been said. Each may reach a service now or at any later time.
    pub(crate) said: Set,
    /// Reactions that have taken place.
    pub(crate) fired: Set,
    /// Actions that have failed; they have had no effect.
    pub(crate) failed: Set,
    /// Actions whose undo has run, before them or after.
    pub(crate) undone: Set,
    /// Actions that came after their undo, and found its tombstone.
    pub(crate) barred: Set,
}

/// A reaction that takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) reaction: usize,
    pub(crate) outcome: Outcome,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    /// Nothing is done, and nothing is said: who undid it has spoken.
    Barred,
}

impl State {
    /// The start event has been said.
    pub(crate) fn opening(of: &Reactions) -> Self {
        Self { said: Set::EMPTY.with(of.start), ..Self::default() }
    }

    /// Actions that have had their effect, whatever became of it.
    pub(crate) fn effects(&self, of: &Reactions) -> Set {
        let acts = self.fired.iter().filter(|ix| of.act(*ix).is_some());
        acts.collect::<Set>().but(self.failed).but(self.barred)
    }

    /// What is done, not undone, and must not stay when the saga has failed.
    pub(crate) fn standing(&self, of: &Reactions) -> Set {
        let left = self.effects(of).but(self.undone);
        left.iter().filter(|ix| of.act(*ix).is_some_and(Act::counts)).collect()
    }

    /// What may happen next.
    pub(crate) fn moves(&self, of: &Reactions) -> Vec<Move> {
        let mut moves = Vec::new();
        for (ix, reaction) in of.reactions.iter().enumerate() {
            if self.fired.has(ix) || !reaction.on.is_set_off(self.said) {
                continue;
            }
            let mut may = |outcome| moves.push(Move { reaction: ix, outcome });
            match &reaction.work {
                Work::Act(_) if self.undone.has(ix) => may(Outcome::Barred),
                Work::Act(act) => {
                    may(Outcome::Done);
                    if act.on_failure.is_some() {
                        may(Outcome::Failed);
                    }
                }
                Work::Undo(_) | Work::Say(_) => may(Outcome::Done),
            }
        }
        moves
    }

    /// What is then.
    pub(crate) fn after(&self, of: &Reactions, Move { reaction, outcome }: Move) -> Self {
        let Self { fired, .. } = *self;
        let mut next = Self { fired: fired.with(reaction), ..*self };
        let it = &of.reactions[reaction];
        match outcome {
            Outcome::Barred => next.barred = next.barred.with(reaction),
            Outcome::Failed => {
                next.failed = next.failed.with(reaction);
                let failure = it.act().and_then(|act| act.on_failure);
                next.said = failure.map_or(next.said, |event| next.said.with(event));
            }
            Outcome::Done => {
                if let Work::Undo(action) = it.work {
                    next.undone = next.undone.with(action);
                }
                next.said = next.said.either(it.then.iter().copied().collect());
            }
        }
        next
    }
}
