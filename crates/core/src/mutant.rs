//! The traps of `semantics.md` section 6, and a mistake against each of its invariants, built in on
//! purpose for the explorer to catch.
//!
//! In every other build `mutated` is the constant `false` and the compiler removes them.

/// A mistake that breaks an invariant; each must be found by the exhaustive search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Undo only the steps known completed.
    UndoOnlyCompleted = 1,
    /// Trust a refusal that does not speak for every sending.
    TrustUnsettledRefusal,
    /// Undo at once although the service keeps no tombstone.
    NoTombstone,
    /// Send the next undo before the last one is acknowledged.
    UndoBeforeAcknowledgement,
    /// Take a cancel while the pivot is in flight.
    CancelInFlightPivot,
    /// Take a compensatable step beside or after the point of no return for well-formed.
    UndoAfterPivot,
    /// Turn the saga when the pivot's outcome is unknown.
    UnknownPivotTurns,
    /// Count answers to call a refusal settled.
    CountAnswers,
    /// Let an acknowledgement that names no round close the second round.
    UnnamedClosesSecond,
    /// Send a first command after the decision to compensate.
    ForwardAfterTurn,
    /// Never open a second round.
    NoSecondRound,
    /// Owe an undo no more, once it has begun, when its action is heard to be refused.
    RefusalDropsBegunUndo,
    /// Turn the saga for a step without a fence whose every answer was "not now", and tell nobody.
    UnfencedDoubtForgotten,
    /// Complete a saga whose steps may not have happened.
    UnknownIsDone,
    /// Draw the end once more after it.
    SecondEnd,
    /// Let a late success change the bytes of an undo that has its intent.
    OtherBytes,
    /// Count attempts from 1 again in a new round.
    AttemptsRestart,
    /// End clean although nobody said what an action came to.
    UnprovenUnsaid,
    /// Keep a step unproven when its success is heard.
    ProofUnheard,
    /// Undo what was refused for certain.
    UndoOfRefused,
    /// Tell nobody of a success that nobody may undo.
    StrandedUnsaid,
    /// Take an answer to what was never sent.
    ForgedTaken,
    /// Count an answer again that is heard again.
    AnswerCountsTwice,
    /// Change the state without a fact.
    FactUnwritten,
    /// Raise an attention twice.
    AttentionDoubled,
    /// Tell nobody of a dead letter.
    AttentionLost,
    /// Keep an attention whose cause is gone.
    AttentionStays,
    /// Count a deadline anew after an outage, also when that is earlier.
    DeadlineEarlier,
    /// Let an attempt's time be up a second before it is.
    TimerEarly,
    /// Have no timer for the saga's own deadline.
    TimerOverlooked,
    /// Never send an undo again.
    UndoTriedOnce,
    /// Ask a retriable step that was refused again under the key of the refusal.
    RefusedUnderSameKey,
    /// Send while the saga is paused.
    SendsWhilePaused,
    /// Make up for an outage once more for a command that was owed meanwhile.
    OutageTwice,
    /// In a choreography, undo before the arbiter has barred its step.
    ChoreographyWithoutArbiter,
    /// In a choreography, undo while a dependent may still stand.
    ChoreographyUndoesInAnyOrder,
    /// In a choreography, leave what did not run free to run after the failure.
    ChoreographyWithoutTombstone,
    /// In a choreography, bar what follows the decision, too.
    ChoreographyBarsWhatFollows,
    /// In a choreography, call what has begun and not answered never run.
    ChoreographyBarsWhatBegan,
    /// In a choreography, believe of an own step what another service says.
    ChoreographyBelievesOthersOfItself,
    /// In a choreography, run a step again that was done.
    ChoreographyRunsTwice,
    /// In a choreography, take a refused retriable step for done.
    ChoreographyRefusedIsDone,
    /// In a choreography, let a failure bar the arbiter's step after it ran.
    ChoreographyArbiterTwice,
    /// In a choreography, undo what was barred before it ran.
    ChoreographyUndoesWhatNeverRan,
    /// In a choreography, run what was barred.
    ChoreographyForgetsTombstone,
    /// In a choreography, say the failure again whenever it is heard again.
    ChoreographyEchoes,
    /// In a choreography, forget what became of steps that no own step waits for.
    ChoreographyDeafToOthers,
}

#[cfg(feature = "mutants")]
mod active {
    use core::sync::atomic::{AtomicU8, Ordering};

    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    /// Builds the mistake in, for the whole process, until `None` takes it out again.
    pub fn mutate(mutant: Option<super::Mutant>) {
        ACTIVE.store(mutant.map_or(0, |m| m as u8), Ordering::SeqCst);
    }

    pub(crate) fn mutated(mutant: super::Mutant) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(feature = "mutants")]
pub use active::mutate;
#[cfg(feature = "mutants")]
pub(crate) use active::mutated;

#[cfg(not(feature = "mutants"))]
pub(crate) const fn mutated(_: Mutant) -> bool {
    false
}
