//! The participants: what a service of each fence may answer, and what it remembers.
//!
//! Every one of them carries out an action and a compensation at most once for a step; without
//! that promise nobody could help. They differ in what they remember beyond it:
//!
//! * `barrier` stores its answers and leaves tombstones;
//! * `settle` stores its answers, and repeats the first also after the undo;
//! * a service that says nothing repeats a success, or refuses the repeat as "already there"; a
//!   refusal it forgets, so that another copy may be carried out;
//! * `none` repeats nothing: it refuses every repeat as "already there", and forgets refusals.

use amends_core::Direction;
use amends_core::definition::Fence;

use crate::cast::{Breach, Breaches, Role};
use crate::traps::{Trap, trapped};
use crate::world::{Ledger, Packet, Says};

/// What a participant does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Carries it out, or finds that it has; says so in full.
    Do,
    /// The same for an undo, without saying whether there was something to undo.
    DoSilently,
    /// Repeats the stored answer.
    Repeat,
    /// Refuses.
    Refuse,
    /// Refuses for now; this sending has no effect.
    Postpone,
    /// Accepts, to answer later.
    Accept,
    /// Answers an undo that found nothing by a 404 that may mean a wrong address as well.
    NotFound,
}

/// A participant, for one run of a step.
#[derive(Clone, Copy, Debug)]
pub struct Participant {
    /// What it promises.
    pub fence: Option<Fence>,
    /// What the step is.
    pub role: Role,
    /// Whether answers come in the exchange.
    pub exchange: bool,
    /// Whether it never says if there was something to undo.
    pub silent: bool,
    /// Which promises it does not keep.
    pub breaches: Breaches,
}

impl Participant {
    /// What it may do with a command now, each with how many faults that is. The first is what a
    /// participant does that answers as it should.
    pub fn choices(self, ledger: &Ledger, packet: &Packet) -> Vec<(Choice, u8)> {
        let key = key(packet);
        match packet.direction {
            Direction::Action => self.action_choices(ledger, packet, key),
            Direction::Compensation => self.undo_choices(ledger, packet, key),
        }
    }

    fn action_choices(self, ledger: &Ledger, packet: &Packet, key: u32) -> Vec<(Choice, u8)> {
        if ledger.answer(Direction::Action, key).is_some() {
            if self.breaks(Breach::Twice) && ledger.done > 0 && !ledger.tombstone {
                return vec![(Choice::Do, 0)];
            }
            let leaks = self.fence.is_none();
            let choices = [(Choice::Repeat, 0), (Choice::Refuse, 1)];
            return choices[..if leaks { 2 } else { 1 }].to_vec();
        }
        let repeats = self.fence != Some(Fence::None) && !self.breaks(Breach::ForgetsAnswers);
        let repeated = !repeats && !self.breaks(Breach::Twice) && ledger.done > 0;
        if ledger.tombstone || repeated {
            return vec![(Choice::Refuse, 0)];
        }
        // A retriable step is asked on for ever: that it is refused at all is a fault.
        let free = !ledger.refused && self.role != Role::Retriable;
        let mut choices = vec![(Choice::Do, 0), (Choice::Refuse, u8::from(!free))];
        if packet.leg == crate::world::Leg::Command {
            choices.push((Choice::Postpone, 1));
            if self.exchange {
                choices.push((Choice::Accept, 1));
            }
        }
        choices
    }

    fn undo_choices(self, ledger: &Ledger, packet: &Packet, key: u32) -> Vec<(Choice, u8)> {
        if self.breaks(Breach::RefusesUndo) {
            return vec![(Choice::Refuse, 0)];
        }
        if ledger.answer(Direction::Compensation, key).is_some() {
            return vec![(Choice::Repeat, 0)];
        }
        if self.silent {
            return vec![(Choice::DoSilently, 0), (Choice::Postpone, 1), (Choice::Refuse, 1)];
        }
        let mut choices = vec![(Choice::Do, 0), (Choice::DoSilently, 1)];
        if packet.leg == crate::world::Leg::Command {
            choices.push((Choice::Postpone, 1));
            if self.exchange {
                choices.push((Choice::Accept, 1));
            }
            let nothing = ledger.done == ledger.undone && self.fence != Some(Fence::Barrier);
            if nothing && self.exchange {
                choices.push((Choice::NotFound, 1));
            }
        }
        choices
    }

    /// Does it, and says what it answers.
    pub fn act(self, ledger: &mut Ledger, packet: &Packet, choice: Choice) -> Says {
        let key = key(packet);
        let says = match (choice, packet.direction) {
            (Choice::Repeat, direction) => {
                return ledger.answer(direction, key).unwrap_or(Says::Busy);
            }
            (Choice::Postpone, _) => return Says::Busy,
            (Choice::Accept, _) => return Says::Accepted,
            (Choice::NotFound, _) => return Says::NotFound,
            // Against the protocol: an undo cannot be refused. Nothing comes of it.
            (Choice::Refuse, Direction::Compensation) => return Says::Refused,
            (Choice::Refuse, Direction::Action) => {
                ledger.refused = true;
                Says::Refused
            }
            (_, Direction::Action) => {
                ledger.done += 1;
                Says::Done
            }
            (choice, Direction::Compensation) => {
                let there = ledger.done > 0 && ledger.undone == 0;
                let does = there && !self.breaks(Breach::IgnoresUndo);
                ledger.undone += u8::from(does || trapped(Trap::UndoOfNothing));
                ledger.tombstone |= ledger.done == 0
                    && self.fence == Some(Fence::Barrier)
                    && !self.breaks(Breach::NoTombstone)
                    && !trapped(Trap::BarrierWithoutTombstone);
                Says::Undone((choice == Choice::Do).then_some(there))
            }
        };
        let stores = match self.fence {
            _ if self.breaks(Breach::ForgetsAnswers) && says == Says::Done => false,
            _ if self.breaks(Breach::RefusalNotFinal) && says == Says::Refused => false,
            Some(Fence::Barrier | Fence::Settle) => true,
            None => says != Says::Refused,
            Some(Fence::None) => false,
        };
        if stores {
            ledger.store(packet.direction, key, says);
        }
        says
    }

    fn breaks(self, breach: Breach) -> bool {
        self.breaches.contains(breach)
    }
}

/// Under which number of (step, direction) the participant knows the command.
fn key(packet: &Packet) -> u32 {
    let first = trapped(Trap::SecondRoundUnderFirstKey);
    if first && packet.direction == Direction::Compensation { 1 } else { packet.round }
}
