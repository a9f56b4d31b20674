//! The traps of `semantics.md` section 6: mistakes built in on purpose, to see that the search
//! finds what it is there to find, by the law that speaks about it.

#[cfg(feature = "traps")]
use std::sync::atomic::{AtomicU8, Ordering};

use amends_core::mutant::Mutant;
#[cfg(feature = "traps")]
use amends_core::mutant::mutate;

#[cfg(feature = "traps")]
use crate::groups::{self, Broken, Tally};
use crate::laws::Law;
#[cfg(feature = "traps")]
use crate::plan;

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
    /// A participant whose undo has an effect although there is nothing to undo.
    UndoOfNothing,
}

/// All of them: each with the law that it breaks first, and what it is called.
pub const ALL: [(Trap, Law, &str); 37] = [
    (Trap::Machine(Mutant::UndoOnlyCompleted), Law::S8, "undo only the steps known completed"),
    (Trap::Machine(Mutant::TrustUnsettledRefusal), Law::S1, "trust an unsettled refusal"),
    (Trap::Machine(Mutant::NoTombstone), Law::S7, "undo at once where there is no tombstone"),
    (Trap::BarrierWithoutTombstone, Law::S1, "a barrier that leaves no tombstone"),
    (Trap::SentBeforeDurable, Law::S5, "send before the intent is durable"),
    (
        Trap::Machine(Mutant::UndoBeforeAcknowledgement),
        Law::S8,
        "the next undo before the last acknowledgement",
    ),
    (
        Trap::Machine(Mutant::CancelInFlightPivot),
        Law::S11,
        "take a cancel while the pivot is in flight",
    ),
    (
        Trap::Machine(Mutant::UndoAfterPivot),
        Law::L1,
        "a compensatable step beside or after the pivot",
    ),
    (Trap::SecondRoundUnderFirstKey, Law::S1, "the second round under the first key"),
    (Trap::Machine(Mutant::UnknownPivotTurns), Law::S13, "a pivot whose unknown turns the saga"),
    (Trap::Machine(Mutant::CountAnswers), Law::S1, "count answers to call a refusal settled"),
    (
        Trap::Machine(Mutant::UnnamedClosesSecond),
        Law::S1,
        "an unnamed acknowledgement closes the second",
    ),
    (Trap::Machine(Mutant::ForwardAfterTurn), Law::S12, "a first command after the decision"),
    (Trap::Machine(Mutant::NoSecondRound), Law::S1, "no second round"),
    (
        Trap::Machine(Mutant::RefusalDropsBegunUndo),
        Law::S3,
        "a refusal drops an undo that has begun",
    ),
    (
        Trap::Machine(Mutant::UnfencedDoubtForgotten),
        Law::S21,
        "a doubt without a fence is forgotten",
    ),
    (Trap::Machine(Mutant::UnknownIsDone), Law::S2, "complete what may not have happened"),
    (Trap::Machine(Mutant::SecondEnd), Law::S3, "a second end"),
    (Trap::Machine(Mutant::OtherBytes), Law::S4, "a late success changes the bytes of an undo"),
    (Trap::Machine(Mutant::AttemptsRestart), Law::S4, "attempts counted from 1 in a new round"),
    (Trap::Machine(Mutant::UnprovenUnsaid), Law::S6, "clean, though nobody said what happened"),
    (Trap::Machine(Mutant::ProofUnheard), Law::S6, "unproven, though the success was heard"),
    (Trap::Machine(Mutant::UndoOfRefused), Law::S7, "undo what was refused for certain"),
    (Trap::UndoOfNothing, Law::S9, "an undo of nothing that has an effect"),
    (Trap::Machine(Mutant::StrandedUnsaid), Law::S13, "nobody is told of a stranded success"),
    (Trap::Machine(Mutant::ForgedTaken), Law::S15, "an answer to what was never sent is taken"),
    (Trap::Machine(Mutant::AnswerCountsTwice), Law::S16, "an answer heard twice counts twice"),
    (Trap::Machine(Mutant::FactUnwritten), Law::S17, "a change without its fact"),
    (Trap::Machine(Mutant::AttentionDoubled), Law::S21, "an attention doubled"),
    (Trap::Machine(Mutant::AttentionLost), Law::S21, "nobody is told of a dead letter"),
    (Trap::Machine(Mutant::AttentionStays), Law::S21, "an attention stays when its cause is gone"),
    (Trap::Machine(Mutant::DeadlineEarlier), Law::S22, "an outage moves a deadline earlier"),
    (Trap::Machine(Mutant::TimerEarly), Law::S22, "a timer a second early"),
    (Trap::Machine(Mutant::TimerOverlooked), Law::S22, "no timer for the saga's own deadline"),
    (Trap::Machine(Mutant::UndoTriedOnce), Law::L1, "an undo is never sent again"),
    (
        Trap::Machine(Mutant::RefusedUnderSameKey),
        Law::L3,
        "a refused step asked again under the same key",
    ),
    (Trap::Machine(Mutant::SendsWhilePaused), Law::Pause, "send while the saga is paused"),
];

#[cfg(feature = "traps")]
static OUTSIDE_MACHINE: AtomicU8 = AtomicU8::new(0);

#[cfg(feature = "traps")]
impl Trap {
    const fn number(self) -> u8 {
        match self {
            Self::Machine(_) => 0,
            Self::SentBeforeDurable => 1,
            Self::SecondRoundUnderFirstKey => 2,
            Self::BarrierWithoutTombstone => 3,
            Self::UndoOfNothing => 4,
        }
    }
}

/// Builds a mistake in, for the whole process, until `None` takes it out again.
#[cfg(feature = "traps")]
pub fn set(trap: Option<Trap>) {
    mutate(match trap {
        Some(Trap::Machine(mutant)) => Some(mutant),
        _ => None,
    });
    OUTSIDE_MACHINE.store(trap.map_or(0, Trap::number), Ordering::SeqCst);
}

/// Is this mistake, which is none of the machine's, built in?
#[cfg(feature = "traps")]
pub fn trapped(trap: Trap) -> bool {
    OUTSIDE_MACHINE.load(Ordering::Relaxed) == trap.number()
}

/// In a build without traps none is.
#[cfg(not(feature = "traps"))]
pub const fn trapped(_: Trap) -> bool {
    false
}

/// Builds a mistake in, and looks for what it breaks, where that is to be found the soonest.
#[cfg(feature = "traps")]
pub fn spring(trap: Trap) -> (Tally, Option<Broken>) {
    set(Some(trap));
    let found = groups::explore(&plan::hunting_ground(trap));
    set(None);
    match found {
        Ok(tally) => (tally, None),
        Err(found) => (found.1, Some(found.0)),
    }
}
