//! The participants: what a service does with a command that arrives, by what it promises.
//!
//! Every one of them carries out an action and its undo at most once for a step; they differ in what
//! they remember beyond it, as `semantics.md` section 5 says:
//!
//! * `barrier` stores its answers and leaves tombstones;
//! * `settle` stores its answers, and repeats the first also after the undo;
//! * one that says nothing repeats a success or refuses the repeat, and forgets what it refused;
//! * `none` refuses every repeat as "already there", and forgets what it refused.

use amends_core::Direction;
use amends_core::definition::{Fence, Kind};

use crate::chance::Chance;
use crate::judge::{Call, Deed, Said, StepLedger};
use crate::mutants::{Mistake, mistaken};
use crate::plan::Service;

/// A participant at a moment.
pub struct Participant<'a> {
    /// The service that it is.
    pub service: &'a Service,
    /// What the step is.
    pub kind: Kind,
    /// Whether things may go wrong.
    pub troubled: bool,
    /// Whether it undoes anything now.
    pub undoes: bool,
    /// Whether this call comes back to work that was accepted before.
    pub accepted: bool,
    /// What is left to chance.
    pub chance: &'a mut Chance,
}

impl Participant<'_> {
    /// Does it, or does not.
    pub fn act(&mut self, ledger: &mut StepLedger, call: &Call) -> Deed {
        let lied = self.troubled && self.service.lies && self.chance.permille(250);
        let says = if lied { self.lie(ledger, call) } else { self.says(ledger, call) };
        let stores = match (self.service.fence, says) {
            (_, Said::Busy | Said::Accepted | Said::Garbage | Said::NotFound) => false,
            (Some(Fence::Barrier | Fence::Settle), _) => true,
            (None, says) => !matches!(says, Said::Refused | Said::Already),
            (Some(Fence::None), _) => false,
        };
        if stores {
            ledger.stored.entry(call.key.clone()).or_insert(says);
        }
        Deed { says, lied }
    }

    fn says(&mut self, ledger: &mut StepLedger, call: &Call) -> Said {
        let habits = self.service.habits;
        if let Some(stored) = ledger.stored.get(&call.key) {
            let leaks = self.service.fence.is_none() && call.direction == Direction::Action;
            return if leaks && self.troubled && self.chance.permille(300) {
                Said::Already
            } else {
                *stored
            };
        }
        if call.direction == Direction::Compensation && self.troubled && !self.undoes {
            return Said::Busy;
        }
        if self.troubled && self.chance.permille(habits.postpones) {
            return Said::Busy;
        }
        if self.troubled && !self.accepted && self.chance.permille(habits.accepts) {
            return Said::Accepted;
        }
        match call.direction {
            Direction::Action => self.does(ledger),
            Direction::Compensation => self.undoes(ledger),
        }
    }

    fn does(&mut self, ledger: &mut StepLedger) -> Said {
        if ledger.tombstone {
            return Said::Refused;
        }
        if ledger.done > 0 {
            return match self.service.fence {
                Some(Fence::None) => Said::Already,
                _ => Said::Done,
            };
        }
        let seldom = if self.kind == Kind::Retriable { 3 } else { 1 };
        if self.troubled && self.chance.permille(self.service.habits.refuses / seldom) {
            return Said::Refused;
        }
        ledger.done += 1;
        Said::Done
    }

    fn undoes(&mut self, ledger: &mut StepLedger) -> Said {
        let there = ledger.done > ledger.undone;
        ledger.found_nothing |= ledger.done == 0;
        ledger.undone += u32::from(there || mistaken(Mistake::UndoOfNothing));
        let barrier = self.service.fence == Some(Fence::Barrier);
        ledger.tombstone |= ledger.done == 0 && barrier && !mistaken(Mistake::NoTombstoneLeft);
        let quiet = self.troubled && self.chance.permille(self.service.habits.says_little);
        match (quiet, there) {
            (true, false) if !barrier && self.chance.permille(500) => Said::NotFound,
            (true, _) => Said::Undone(None),
            (false, there) => Said::Undone(Some(there)),
        }
    }

    /// Something else than what it did.
    fn lie(&mut self, ledger: &mut StepLedger, call: &Call) -> Said {
        match (call.direction, self.chance.below(4)) {
            (_, 0) => Said::Garbage,
            (Direction::Action, 1) => Said::Done,
            (Direction::Action, _) => {
                ledger.done += u32::from(ledger.done == 0);
                Said::Refused
            }
            (Direction::Compensation, 1) => Said::Undone(Some(true)),
            (Direction::Compensation, _) => Said::Undone(Some(false)),
        }
    }
}
