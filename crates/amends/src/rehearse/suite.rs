//! What is tried: a saga under faults, or one service by itself under all that the protocol asks of it.

use super::drill::Drill;
use super::rule::Rule;
use super::talk::Talk;

/// A set of rules, and of what they are tried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// A definition with all its services: what its engine relies on.
    Rehearsal,
    /// One service by itself.
    Conformance,
}

impl Suite {
    /// The rules, in the order of the table.
    pub fn rules(self) -> &'static [Rule] {
        match self {
            Self::Rehearsal => &Rule::ALL[..Rule::OF_REHEARSALS],
            Self::Conformance => &Rule::ALL,
        }
    }

    /// The talks that are had with a service.
    pub fn talks(self) -> &'static [Talk] {
        match self {
            Self::Rehearsal => &Talk::ALL[..Talk::OF_REHEARSALS],
            Self::Conformance => &Talk::ALL,
        }
    }
}

/// Which part of a suite is wanted.
pub struct Wanted<'w> {
    /// Whether it is a part: then what was not tried may be what was not wanted.
    pub is_part: bool,
    /// Which drills.
    pub drills: &'w dyn Fn(&Drill) -> bool,
    /// Which talks.
    pub talks: &'w dyn Fn(Talk) -> bool,
}
