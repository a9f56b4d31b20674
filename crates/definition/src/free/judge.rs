//! What is wrong with a step of a run, or with where it ends.

use amends_core::definition::Fence;

use super::model::{Act, Reactions, Work};
use super::set::Set;
use super::state::{Move, Outcome, State};

/// Something that must not be. Numbers are those of reactions; an action is the number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Problem {
    /// The run is over, and this action is neither undone nor part of what is done.
    LeftStanding { action: usize },
    /// The run is over, and nobody has said how it ended; forward, where it came to nothing but good.
    NoEnd { forward: bool },
    /// It was said to have ended in both ways.
    BothEnds,
    /// The action is undone while what was built on it stands, or may still come.
    UndoneTooEarly { action: usize, before: usize },
    /// The action is undone by this reaction although the saga was said to be done.
    UndoneAfterDone { action: usize, undo: usize },
    /// The action failed, nobody reacts to that, and the saga was said to be done.
    FailedAndDone { action: usize },
    /// This reaction says that all is undone while the action stands.
    SaidTooEarly { action: usize, by: usize },
    /// The action is undone by a second reaction.
    UndoneTwice { action: usize, first: usize, second: usize },
    /// The action comes after this undo of it, and its service may keep no tombstone.
    Overtaken { action: usize, undo: usize },
}

/// What does not change from one state to the next.
pub(crate) struct Judge<'r> {
    of: &'r Reactions,
    built_on: Vec<Set>,
}

impl<'r> Judge<'r> {
    pub(crate) fn new(of: &'r Reactions) -> Self {
        Self { of, built_on: of.built_on() }
    }

    /// What is wrong with this step.
    pub(crate) fn step(&self, at: &State, step: Move, found: &mut Vec<Problem>) {
        let of = self.of;
        let reaction = &of.reactions[step.reaction];
        let standing = at.standing(of);
        match reaction.work {
            Work::Act(ref act) => self.act(at, step, act, found),
            Work::Undo(action) => {
                let before = standing.both(self.built_on[action]);
                if standing.has(action) {
                    found.extend(
                        before.iter().map(|before| Problem::UndoneTooEarly { action, before }),
                    );
                    if at.said.has(of.done) {
                        found.push(Problem::UndoneAfterDone { action, undo: step.reaction });
                    }
                }
                let first = of.undos(action).find(|undo| at.fired.has(*undo));
                if let Some(first) = first {
                    let second = step.reaction;
                    found.push(Problem::UndoneTwice { action, first, second });
                }
            }
            Work::Say(_) => {}
        }
        let says = match step.outcome {
            Outcome::Done => reaction.then.contains(&of.undone),
            Outcome::Failed => reaction.act().is_some_and(|act| act.on_failure == Some(of.undone)),
            Outcome::Barred => false,
        };
        if says && !at.said.has(of.undone) {
            let left = match reaction.work {
                Work::Undo(action) => standing.but(Set::EMPTY.with(action)),
                Work::Act(_) | Work::Say(_) => standing,
            };
            found.extend(
                left.iter().map(|action| Problem::SaidTooEarly { action, by: step.reaction }),
            );
        }
    }

    fn act(&self, at: &State, step: Move, act: &Act, found: &mut Vec<Problem>) {
        let (of, action) = (self.of, step.reaction);
        match step.outcome {
            Outcome::Barred if act.counts() && act.fence != Some(Fence::Barrier) => {
                let undo = of.undos(action).find(|undo| at.fired.has(*undo));
                found.extend(undo.map(|undo| Problem::Overtaken { action, undo }));
            }
            Outcome::Done if act.counts() => {
                let reversed = at.effects(of).both(at.undone);
                let under = reversed.iter().filter(|under| self.built_on[*under].has(action));
                let early = |under| Problem::UndoneTooEarly { action: under, before: action };
                found.extend(under.map(early));
            }
            _ => {}
        }
    }

    /// Did a run that has no end go forward to its last event? Nothing failed, or a failure had another
    /// answer than an undo.
    fn went_well(&self, at: &State) -> bool {
        let of = self.of;
        let unread = |event: &usize| of.readers(*event).next().is_none();
        let mut failures = at.failed.iter().filter_map(|ix| of.act(ix)?.on_failure);
        let answered = !failures.any(|event| unread(&event)) && at.undone.is_empty();
        let mut last = at.effects(of).iter().flat_map(|ix| of.reactions[ix].then.iter());
        at.failed.is_empty() || (answered && last.any(unread))
    }

    /// What is wrong with a run in which nothing more happens.
    pub(crate) fn end(&self, at: &State, found: &mut Vec<Problem>) {
        let of = self.of;
        let (done, undone) = (at.said.has(of.done), at.said.has(of.undone));
        match (done, undone) {
            (true, true) => found.push(Problem::BothEnds),
            (false, false) => found.push(Problem::NoEnd { forward: self.went_well(at) }),
            _ => {}
        }
        if done && !undone {
            let unheard = |ix: &usize| {
                let failure = of.act(*ix).and_then(|act| act.on_failure);
                failure.is_some_and(|event| of.readers(event).next().is_none())
            };
            let failed = at.failed.iter().filter(unheard);
            found.extend(failed.map(|action| Problem::FailedAndDone { action }));
        }
        if !done && (undone || !self.went_well(at)) {
            let standing = at.standing(of).iter();
            found.extend(standing.map(|action| Problem::LeftStanding { action }));
        }
    }
}
