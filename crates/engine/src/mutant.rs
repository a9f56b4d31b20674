//! Mistakes in what is around the machine, built in on purpose for the simulator to catch.
//!
//! In every other build `mutated` is the constant `false` and the compiler removes them.

use amends_core::Event;
use amends_core::saga::{Reason, State};

/// A mistake that breaks a law of `semantics.md` section 6; each must be found by the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Answer a start before it is synced.
    AnswerBeforeSync = 1,
    /// Send a command before its fact is synced.
    SendBeforeSync,
    /// Publish a transition before it is synced.
    PublishBeforeSync,
    /// Publish no end.
    PublishNothing,
    /// Set no timer for a saga that was read back.
    ForgetTimers,
    /// Never bring a parked saga back.
    StarveParked,
    /// Forget the journal's tail at recovery.
    LoseTail,
    /// Send again at recovery what was out.
    SendAgain,
    /// Take an append that was refused to a replaced owner for done.
    IgnoreStaleOwner,
    /// Start a saga without claiming its keys.
    ForgetClaims,
    /// Take a full disk for done.
    FullIsDone,
    /// Take a reply from a service whose step it is not.
    BelieveForeigners,
    /// Take a hole in the journal for its end.
    PassOverHoles,
    /// Fire timers before their time.
    EarlyTimers,
    /// Pace nothing after a start.
    RecoverAtOnce,
    /// Go on with the current version of the definition.
    CurrentVersion,
    /// Give every round the key of the first.
    OneKeyForAllRounds,
    /// Write the end of a saga twice.
    EndTwice,
    /// Raise attention twice.
    AttentionTwice,
    /// Leave out the fact that something is proven.
    UnprovenForEver,
    /// Write that a saga is completed when its first step is.
    CompleteEarly,
    /// Never send an undo.
    NeverSendUndos,
    /// Tell a saga's history before all of it is synced.
    TellHistoryEarly,
    /// Tell whoever waits for an end also what came after it and is not synced.
    TellWaitersEarly,
    /// Tell nobody that an answer contradicts what was decided.
    HideContradictions,
    /// Move the catalog's place without what a shard knew that is gone.
    CheckpointInPart,
    /// Pace only what is sent at the first look after a start.
    PaceFirstOnly,
    /// Hold the place in a lane of an attempt that nobody waits for any more.
    HoldPlaces,
    /// Tell no saga of an outage.
    OutageUntold,
    /// Tell only sagas that go forward of an outage.
    OutageUntoldOnceTurned,
    /// Tell a saga of the last outage that it slept through, and of none before it.
    LastOutageOnly,
    /// Keep outages in memory alone.
    ForgetOutages,
    /// Leave a sign of life before the outages before it are kept.
    SignBeforeOutages,
    /// Write a checkpoint that is later than the last sign of life.
    CheckpointUnsigned,
}

/// The facts that a mistake makes of these, where it makes others of them.
pub(crate) fn falsified(facts: &[Event]) -> Option<Vec<Event>> {
    let one_more = |of: fn(&Event) -> bool| {
        let again = facts.iter().filter(|fact| of(fact));
        Some(facts.iter().chain(again).cloned().collect())
    };
    let other = |made: fn(&Event) -> Option<Event>| {
        Some(facts.iter().map(|fact| made(fact).unwrap_or_else(|| fact.clone())).collect())
    };
    if mutated(Mutant::EndTwice) {
        one_more(|fact| matches!(fact, Event::Ended { .. }))
    } else if mutated(Mutant::AttentionTwice) {
        one_more(|fact| matches!(fact, Event::AttentionRaised { .. }))
    } else if mutated(Mutant::UnprovenForEver) {
        other(|fact| match fact {
            Event::Proven { run, .. } => {
                Some(Event::ContractBroken { run: *run, note: "a mistake".into() })
            }
            _ => None,
        })
    } else if mutated(Mutant::HideContradictions) {
        other(|fact| match fact {
            Event::AttentionRaised { run: Some(run), reason: Reason::Contradicted, .. } => {
                Some(Event::ContractBroken { run: *run, note: "a mistake".into() })
            }
            _ => None,
        })
    } else if mutated(Mutant::CompleteEarly) {
        other(|fact| match fact {
            Event::Readied { step, .. } if step.0 > 0 => {
                Some(Event::Ended { state: State::Completed })
            }
            _ => None,
        })
    } else {
        None
    }
}

#[cfg(feature = "mutants")]
mod active {
    use std::sync::atomic::{AtomicU8, Ordering};

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
