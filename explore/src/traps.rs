//! The traps of `semantics.md` section 6: mistakes built in on purpose, to see that the search
//! finds what it is there to find.

use std::sync::atomic::{AtomicU8, Ordering};

use amends_core::mutant::{Mutant, mutate};

/// A mistake that must be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// One in the machine.
    Machine(Mutant),
    /// The engine sends before the fact is durable.
    SentBeforeDurable,
    /// The engine sends the second round of an undo under the first one's key.
    SecondRoundUnderFirstKey,
    /// A participant that says `barrier` leaves no tombstone.
    BarrierWithoutTombstone,
}

/// All of them, with what each is called.
pub const ALL: [(Trap, &str); 16] = [
    (Trap::Machine(Mutant::UndoOnlyCompleted), "undo only the steps known completed"),
    (Trap::Machine(Mutant::TrustUnsettledRefusal), "trust an unsettled refusal"),
    (Trap::Machine(Mutant::NoTombstone), "undo at once where there is no tombstone"),
    (Trap::BarrierWithoutTombstone, "a barrier that leaves no tombstone"),
    (Trap::SentBeforeDurable, "send before the intent is durable"),
    (
        Trap::Machine(Mutant::UndoBeforeAcknowledgement),
        "the next undo before the last acknowledgement",
    ),
    (Trap::Machine(Mutant::CancelInFlightPivot), "take a cancel while the pivot is in flight"),
    (Trap::Machine(Mutant::UndoAfterPivot), "a compensatable step beside or after the pivot"),
    (Trap::SecondRoundUnderFirstKey, "the second round under the first key"),
    (Trap::Machine(Mutant::UnknownPivotTurns), "a pivot whose unknown turns the saga"),
    (Trap::Machine(Mutant::CountAnswers), "count answers to call a refusal settled"),
    (Trap::Machine(Mutant::UnnamedClosesSecond), "an unnamed acknowledgement closes the second"),
    (Trap::Machine(Mutant::ForwardAfterTurn), "a first command after the decision"),
    (Trap::Machine(Mutant::NoSecondRound), "no second round"),
    (Trap::Machine(Mutant::RefusalDropsBegunUndo), "a refusal drops an undo that has begun"),
    (Trap::Machine(Mutant::UnfencedDoubtForgotten), "a doubt without a fence is forgotten"),
];

static OUTSIDE_MACHINE: AtomicU8 = AtomicU8::new(0);

impl Trap {
    const fn number(self) -> u8 {
        match self {
            Self::Machine(_) => 0,
            Self::SentBeforeDurable => 1,
            Self::SecondRoundUnderFirstKey => 2,
            Self::BarrierWithoutTombstone => 3,
        }
    }
}

/// Builds a mistake in, for the whole process, until `None` takes it out again.
pub fn set(trap: Option<Trap>) {
    mutate(match trap {
        Some(Trap::Machine(mutant)) => Some(mutant),
        _ => None,
    });
    OUTSIDE_MACHINE.store(trap.map_or(0, Trap::number), Ordering::SeqCst);
}

/// Is this mistake, which is none of the machine's, built in?
pub fn trapped(trap: Trap) -> bool {
    OUTSIDE_MACHINE.load(Ordering::Relaxed) == trap.number()
}
