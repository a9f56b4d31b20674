//! Shapes: every small definition there is, and how one is written on the command line.
//!
//! A shape is written as its steps in order, `cB,cS<0,pU<01`: a letter for what the step is, a
//! letter for its fence, and after `<` the steps it waits for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use amends_core::definition::{
    Backoff, Command, Computed, Fence, IllFormed, Jitter, Kind, OnDeadline, Retry, Step,
    UndoPolicy, Work,
};
use amends_core::{Definition, Millis, Payload, StepIx, StepSet};

pub use crate::cast::Role;

use crate::order::orders;

/// How long one attempt is waited for. This and all other times of a shape are multiples of the ten
/// seconds that the redriver starts from, so that few distinct due times exist.
pub const ATTEMPT_TIMEOUT: Millis = Millis::secs(20);

/// How long an undo is waited for where an undo is to be seen slow before it is a dead letter.
const SLOW_UNDO_TIMEOUT: Millis = Millis::secs(70);

/// One definition, small enough to be explored whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its steps.
    pub steps: Vec<Piece>,
    /// For each step, the steps it waits for directly.
    pub after: Vec<Vec<u8>>,
}

/// What a step of a shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// Its kind, and what it does.
    pub role: Role,
    /// What its service says of itself.
    pub fence: Option<Fence>,
    /// Which expressions it has.
    pub computed: Computation,
}

/// Which expressions a step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Computation {
    /// None.
    None,
    /// `when`.
    When,
    /// `for_each`: none or two items.
    ForEach,
}

/// The numbers of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Two attempts fit into a step's deadline, which falls into the middle of the second; the
    /// first unanswered undo is a dead letter.
    Plain,
    /// The deadline is the timeout, as in a definition that says only that.
    OneTimeout,
    /// `max_attempts` ends a step before its deadline; an undo has two attempts.
    MaxAttempts,
    /// As plain, and the saga has a deadline of its own.
    SagaDeadline,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Plain, Self::OneTimeout, Self::MaxAttempts, Self::SagaDeadline];
}

/// Every shape of that many steps made of these pieces, well-formed or not.
pub fn every(steps: usize, pieces: &[Piece]) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for order in orders(steps) {
        for number in 0..pieces.len().pow(steps as u32) {
            let chosen: Vec<Piece> = (0..steps as u32)
                .map(|i| pieces[number / pieces.len().pow(i) % pieces.len()])
                .collect();
            if order.first_alike(&chosen) == chosen {
                shapes.push(Shape { steps: chosen, after: order.after.clone() });
            }
        }
    }
    shapes
}

/// Every piece: each role with each fence. With `alike`, of the fences that cannot matter only one
/// stands for all: a step that is never undone is touched by its fence in one way, whether its
/// refusals are settled by it.
pub fn pieces(alike: bool) -> Vec<Piece> {
    use Role::{BestEffort, Compensatable, Judged, Pivot, ReadOnly, Retriable, Waiting};
    const FENCES: [Option<Fence>; 4] =
        [Some(Fence::Barrier), Some(Fence::Settle), None, Some(Fence::None)];
    let computed = Computation::None;
    let mut pieces = Vec::new();
    for role in [Compensatable, ReadOnly, Pivot, Retriable, BestEffort] {
        let matters = |fence: &Option<Fence>| {
            !alike || role == Compensatable || matches!(fence, Some(Fence::Settle | Fence::None))
        };
        let fences = FENCES.into_iter().filter(matters);
        pieces.extend(fences.map(|fence| Piece { role, fence, computed }));
    }
    pieces.extend([Judged, Waiting].map(|role| Piece { role, fence: None, computed }));
    pieces
}

impl Shape {
    /// The definition, if it is well-formed.
    pub fn define(&self, policy: Policy) -> Result<Definition, Vec<IllFormed>> {
        let steps = (0..self.steps.len()).map(|i| self.step(i, policy)).collect();
        let deadline = (policy == Policy::SagaDeadline).then_some(Millis::secs(30));
        Definition::new("shape".into(), 1, deadline, steps)
    }

    fn step(&self, i: usize, policy: Policy) -> Step {
        let piece = self.steps[i];
        let share = |percent: u64| Millis(ATTEMPT_TIMEOUT.0 * percent / 100);
        let command = |name: &str| Command { service: "S".into(), name: name.into() };
        let signal: Arc<str> = format!("signal{i}").into();
        let work = match piece.role {
            Role::Judged => Work::Signal { signal, on_deadline: OnDeadline::Refuse, judged: true },
            Role::Waiting => Work::Signal {
                signal,
                on_deadline: OnDeadline::Continue(Payload::from("null")),
                judged: false,
            },
            role => Work::Command {
                action: command("Do"),
                compensation: (role == Role::Compensatable).then(|| command("Undo")),
            },
        };
        let backoff = Backoff {
            initial: share(50),
            factor_percent: 100,
            max: share(50),
            jitter: Jitter::None,
        };
        Step {
            name: format!("step{i}").into(),
            kind: piece.role.kind(),
            work,
            after: self.after[i].iter().map(|&before| StepIx(before)).collect::<StepSet>(),
            computed: Computed {
                when: piece.computed == Computation::When,
                for_each: piece.computed == Computation::ForEach,
                input: false,
            },
            timeout: ATTEMPT_TIMEOUT,
            accepted_timeout: None,
            deadline: if policy == Policy::OneTimeout { ATTEMPT_TIMEOUT } else { share(200) },
            retry: Retry { max_attempts: (policy == Policy::MaxAttempts).then_some(1), backoff },
            fence: piece.fence,
            undo: UndoPolicy {
                timeout: match policy {
                    Policy::OneTimeout => SLOW_UNDO_TIMEOUT,
                    _ => ATTEMPT_TIMEOUT,
                },
                max_attempts: if policy == Policy::MaxAttempts { 2 } else { 1 },
                backoff,
            },
        }
    }
}

impl Role {
    const fn kind(self) -> Kind {
        match self {
            Self::Compensatable | Self::ReadOnly | Self::Judged | Self::Waiting => {
                Kind::Compensatable
            }
            Self::Pivot => Kind::Pivot,
            Self::Retriable => Kind::Retriable,
            Self::BestEffort => Kind::BestEffort,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Compensatable => 'c',
            Self::ReadOnly => 'o',
            Self::Pivot => 'p',
            Self::Retriable => 'r',
            Self::BestEffort => 'b',
            Self::Judged => 'j',
            Self::Waiting => 'w',
        }
    }
}

fn fence_letter(fence: Option<Fence>) -> char {
    match fence {
        Some(Fence::Barrier) => 'B',
        Some(Fence::Settle) => 'S',
        None => 'U',
        Some(Fence::None) => 'N',
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, piece) in self.steps.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", piece.role.letter())?;
            if !matches!(piece.role, Role::Judged | Role::Waiting) {
                write!(f, "{}", fence_letter(piece.fence))?;
            }
            match piece.computed {
                Computation::None => {}
                Computation::When => f.write_str("?")?,
                Computation::ForEach => f.write_str("*")?,
            }
            if !self.after[i].is_empty() {
                f.write_str("<")?;
                for before in &self.after[i] {
                    write!(f, "{before}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut shape = Self { steps: Vec::new(), after: Vec::new() };
        for (i, step) in text.split(',').enumerate() {
            let (piece, before) = step.split_once('<').unwrap_or((step, ""));
            shape.steps.push(piece.parse()?);
            let digit = |c: char| c.to_digit(10).map(|d| d as u8).filter(|&d| usize::from(d) < i);
            let before: Option<Vec<u8>> = before.chars().map(digit).collect();
            let wrong = || format!("step {i} of `{text}` waits for what is no earlier step");
            shape.after.push(before.ok_or_else(wrong)?);
        }
        Ok(shape)
    }
}

impl FromStr for Piece {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use Role::{BestEffort, Compensatable, Judged, Pivot, ReadOnly, Retriable, Waiting};
        let wrong = || format!("`{text}` is no step: a role of copr bjw, a fence of BSUN, ? or *");
        let mut letters = text.chars().peekable();
        let letter = letters.next().ok_or_else(wrong)?;
        let roles = [Compensatable, ReadOnly, Pivot, Retriable, BestEffort, Judged, Waiting];
        let role = roles.into_iter().find(|role| role.letter() == letter).ok_or_else(wrong)?;
        let fence = match letters.next() {
            Some('B') => Some(Fence::Barrier),
            Some('S') => Some(Fence::Settle),
            Some('N') => Some(Fence::None),
            Some('U') => None,
            None if matches!(role, Judged | Waiting) => None,
            _ => return Err(wrong()),
        };
        let computed = match letters.next() {
            None => Computation::None,
            Some('?') => Computation::When,
            Some('*') => Computation::ForEach,
            Some(_) => return Err(wrong()),
        };
        Ok(Self { role, fence, computed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_reads_back_as_it_is_written() {
        for steps in 1..=3 {
            for shape in every(steps, &pieces(true)) {
                assert_eq!(shape.to_string().parse(), Ok(shape));
            }
        }
    }

    #[test]
    fn only_what_is_well_formed_is_explored() {
        let definable = |text: &str| {
            let shape: Shape = text.parse().unwrap_or_else(|e| panic!("{e}"));
            shape.define(Policy::Plain).is_ok()
        };
        assert!(definable("cB,pS<0,rU<1"));
        assert!(!definable("pS,cB<0"), "a compensatable step after the pivot");
        assert!(!definable("pS,cB"), "a compensatable step beside the pivot");
    }
}
