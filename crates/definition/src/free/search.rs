//! Every order in which the reactions may take place, breadth first, so that what is found is found on
//! the shortest way.

use std::collections::HashSet;

use super::judge::{Judge, Problem};
use super::model::Reactions;
use super::set::Set;
use super::state::{Move, State};

/// The most moments that a check looks at: so many are looked at while a person does not notice, also
/// in an editor that checks at every key. What goes on one after the other has some dozens; seven
/// actions side by side have some thousands.
pub const CHECK_STATES_MAX: usize = 20_000;

/// What one moment takes: itself in the list and in the index, how it was reached, and what both hold
/// free while they grow. Reckoned from their sizes.
const STATE_BYTES: usize = 320;

/// The most problems that are kept; a person mends some, and looks again.
const FOUND_MAX: usize = 100;

/// What was explored, and what is wrong.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// How many moments were looked at, each once.
    pub states: usize,
    /// Whether these are all there are.
    pub complete: bool,
    /// How runs end.
    pub(crate) ends: Vec<(End, usize, Vec<Move>)>,
    pub(crate) found: Vec<Found>,
    /// Reactions that took place in some run.
    pub(crate) reached: Set,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is said to be done.
    Done,
    /// It is said to be undone.
    Undone,
    /// It is said to be both.
    Both,
    /// Nobody says how it ended.
    Neither,
}

/// A problem and the shortest run that has it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) problem: Problem,
    pub(crate) run: Vec<Move>,
    /// What is when it comes to that.
    pub(crate) at: State,
}

impl Reactions {
    /// Takes the reactions through every order, as long as `go_on` says so; it is told about how many
    /// bytes are held.
    pub fn explore(&self, go_on: &mut dyn FnMut(usize) -> bool) -> Analysis {
        Search::new(self).run(go_on)
    }

    /// The same as far as a check goes.
    pub(crate) fn explore_briefly(&self) -> Analysis {
        self.explore(&mut |bytes| bytes < CHECK_STATES_MAX * STATE_BYTES)
    }
}

struct Search<'r> {
    of: &'r Reactions,
    judge: Judge<'r>,
    index: HashSet<State>,
    states: Vec<(State, Option<(u32, Move)>)>,
    ends: Vec<(End, usize, usize)>,
    found: Vec<(Problem, usize, Option<Move>)>,
    reached: Set,
}

impl<'r> Search<'r> {
    fn new(of: &'r Reactions) -> Self {
        Self {
            of,
            judge: Judge::new(of),
            index: HashSet::new(),
            states: Vec::new(),
            ends: Vec::new(),
            found: Vec::new(),
            reached: Set::EMPTY,
        }
    }

    fn run(mut self, go_on: &mut dyn FnMut(usize) -> bool) -> Analysis {
        self.meet(State::opening(self.of), None);
        let mut next = 0;
        let mut complete = true;
        let mut problems = Vec::new();
        while let Some((state, _)) = self.states.get(next).copied() {
            if !go_on(self.states.len() * STATE_BYTES) {
                complete = false;
                break;
            }
            let moves = state.moves(self.of);
            if moves.is_empty() {
                self.end(next, &state);
                self.judge.end(&state, &mut problems);
                self.note(&mut problems, next, None);
            }
            for step in moves {
                self.reached = self.reached.with(step.reaction);
                self.judge.step(&state, step, &mut problems);
                self.note(&mut problems, next, Some(step));
                let Ok(from) = u32::try_from(next) else { continue };
                self.meet(state.after(self.of, step), Some((from, step)));
            }
            next += 1;
        }
        self.told(next, complete)
    }

    fn meet(&mut self, state: State, from: Option<(u32, Move)>) {
        if self.index.insert(state) {
            self.states.push((state, from));
        }
    }

    fn end(&mut self, at: usize, state: &State) {
        let said = (state.said.has(self.of.done), state.said.has(self.of.undone));
        let end = match said {
            (true, true) => End::Both,
            (true, false) => End::Done,
            (false, true) => End::Undone,
            (false, false) => End::Neither,
        };
        match self.ends.iter_mut().find(|(other, ..)| *other == end) {
            Some((_, states, _)) => *states += 1,
            None => self.ends.push((end, 1, at)),
        }
    }

    /// Keeps what was not found before: with the same failures or fewer, the same problem of the same
    /// action is one finding.
    fn note(&mut self, problems: &mut Vec<Problem>, at: usize, step: Option<Move>) {
        let failed = self.states[at].0.failed;
        for problem in problems.drain(..) {
            let by_failure =
                matches!(problem, Problem::LeftStanding { .. } | Problem::NoEnd { forward: false });
            let known = self.found.iter().any(|(other, where_, _)| {
                let before = self.states[*where_].0.failed;
                *other == problem && (!by_failure || before.within(failed))
            });
            if !known && self.found.len() < FOUND_MAX {
                self.found.push((problem, at, step));
            }
        }
    }

    fn way(&self, mut at: usize) -> Vec<Move> {
        let mut way = Vec::new();
        while let Some((_, Some((from, step)))) = self.states.get(at) {
            way.push(*step);
            at = *from as usize;
        }
        way.reverse();
        way
    }

    fn told(self, states: usize, complete: bool) -> Analysis {
        let ends = self.ends.iter().map(|(end, count, at)| (*end, *count, self.way(*at)));
        let found = self.found.iter().map(|(problem, at, step)| {
            let state = self.states[*at].0;
            let run = self.way(*at).into_iter().chain(*step).collect();
            let at = step.map_or(state, |step| state.after(self.of, step));
            Found { problem: *problem, run, at }
        });
        let (ends, found) = (ends.collect(), found.collect());
        Analysis { states, complete, ends, found, reached: self.reached }.without_echoes()
    }
}

impl Analysis {
    /// Leaves out what another finding says better.
    fn without_echoes(mut self) -> Self {
        let of = self.found.iter().map(|found| found.problem).collect::<Vec<_>>();
        self.found.retain(|found| match found.problem {
            // It will be undone never, or after the end: that is the worse of the two.
            Problem::SaidTooEarly { action, .. } => !of.contains(&Problem::LeftStanding { action }),
            Problem::UndoneAfterDone { .. } => !of.contains(&Problem::BothEnds),
            _ => true,
        });
        self
    }

    /// Is anything wrong that must not be?
    pub fn is_sound(&self) -> bool {
        self.found.iter().all(|found| {
            matches!(found.problem, Problem::SaidTooEarly { .. } | Problem::UndoneTwice { .. })
        })
    }
}
