//! What the judge found, for people.

use std::fmt;

/// A promise of `semantics.md` section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Failed and clean: what was done is undone.
    S1,
    /// Completed: everything is done once, and nothing undone.
    S2,
    /// Nothing twice, and the same bytes under one key.
    S4,
    /// No command without a saga that sent it.
    S5,
    /// No undo while a dependent may still run.
    S7,
    /// No undo before every dependent's undo is acknowledged.
    S8,
    /// Undoing what never ran changes nothing, and leaves a tombstone.
    S9,
    /// After a tombstone no action.
    S10,
    /// After the pivot no undo.
    S11,
}

impl Rule {
    const fn says(self) -> &'static str {
        match self {
            Self::S1 => "a failed, clean saga leaves no effect",
            Self::S2 => "a completed saga has each effect once and none undone",
            Self::S4 => "no effect twice, no key with two bodies",
            Self::S5 => "no command of a saga that nobody started",
            Self::S7 => "no undo while a step that depends on it may still run",
            Self::S8 => "no undo before its dependents' undos are acknowledged",
            Self::S9 => "undoing what never ran changes nothing and leaves a tombstone",
            Self::S10 => "after a tombstone the action is refused",
            Self::S11 => "after the point of no return nothing is undone",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// In which saga.
    pub saga_id: String,
    /// Of which step.
    pub step: String,
    /// What the ledgers show.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, saga_id, step, what } = self;
        write!(f, "{rule} ({}): saga {saga_id}, step {step}: {what}", rule.says())
    }
}

/// What the judge says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many sagas were judged.
    pub sagas: usize,
    /// By how many effects, actions and undos.
    pub effects: u64,
    /// By how many calls.
    pub calls: usize,
    /// What was broken, by rule, saga and step.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Was nothing broken?
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let Self { sagas, effects, calls, violations } = self;
        let found = match violations.len() {
            0 => "no violation".to_owned(),
            1 => "1 violation".to_owned(),
            n => format!("{n} violations"),
        };
        write!(f, "{sagas} sagas, {effects} effects, {calls} calls: {found}")
    }
}
