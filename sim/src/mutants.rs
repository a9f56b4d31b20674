//! Mistakes built in on purpose, to see that the judge notices: in the machine, in the engine around
//! it, in the disk, and in the participants.

use std::sync::atomic::{AtomicU8, Ordering};

use amends_core::mutant::Mutant as Core;
use amends_engine::mutant::Mutant as Around;

use crate::disk::Flaws;
use crate::judge::Law;

/// A mistake outside of what is shipped: in what the simulator itself plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mistake {
    /// An undo that finds nothing changes something.
    UndoOfNothing = 1,
    /// A service that says `barrier` leaves no tombstone.
    NoTombstoneLeft,
    /// The store lets an owner write that has been replaced.
    StaleWrites,
    /// The store lets a checkpoint leave facts behind: without it the engine's mistake does no harm.
    PartsTaken,
}

/// Where a mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In the machine.
    Machine(Core),
    /// In the engine around it.
    Engine(Around),
    /// In what the simulator plays.
    Played(Mistake),
}

/// A mistake, in words, with the laws that it breaks: each of them must be seen broken.
pub struct Mutant {
    /// Where it is.
    pub at: Where,
    /// What it is.
    pub words: &'static str,
    /// Which laws it breaks.
    pub laws: &'static [Law],
}

const fn mutant(at: Where, words: &'static str, laws: &'static [Law]) -> Mutant {
    Mutant { at, words, laws }
}

use Law::{
    L1, L2, L3, L4, L5, L6, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15, S16,
    S17, S18, S19, S20, S21, S22, S23,
};
use Where::{Engine, Machine, Played};

/// All of them.
pub const ALL: &[Mutant] = &[
    mutant(Machine(Core::UndoOnlyCompleted), "undo only the steps known completed", &[S1]),
    mutant(Machine(Core::TrustUnsettledRefusal), "trust an unsettled refusal", &[S1]),
    mutant(Machine(Core::NoTombstone), "undo at once where there is no tombstone", &[S7]),
    mutant(
        Machine(Core::UndoBeforeAcknowledgement),
        "the next undo before the last acknowledgement",
        &[S8],
    ),
    mutant(
        Machine(Core::CancelInFlightPivot),
        "take a cancel while the pivot is in flight",
        &[S11],
    ),
    mutant(Machine(Core::UnknownPivotTurns), "a pivot whose unknown turns the saga", &[S13]),
    mutant(Machine(Core::CountAnswers), "count answers to call a refusal settled", &[S1]),
    mutant(Machine(Core::ForwardAfterTurn), "a first command after the decision", &[S12]),
    mutant(Machine(Core::NoSecondRound), "no second round", &[S1]),
    mutant(Machine(Core::RefusalDropsBegunUndo), "a refusal drops an undo that has begun", &[S7]),
    mutant(Machine(Core::OutageTwice), "make up for an outage twice", &[L2]),
    mutant(Engine(Around::AnswerBeforeSync), "answer a start before it is synced", &[S18]),
    mutant(Engine(Around::SendBeforeSync), "send a command before its fact is synced", &[S5]),
    mutant(Engine(Around::PublishBeforeSync), "publish a transition before it is synced", &[S23]),
    mutant(Engine(Around::PublishNothing), "publish no end", &[S23]),
    mutant(Engine(Around::ForgetTimers), "forget the timers at recovery", &[L1, L2, L4]),
    mutant(Engine(Around::StarveParked), "never bring a parked saga back", &[L4]),
    mutant(Engine(Around::LoseTail), "forget the journal's tail at recovery", &[S17]),
    mutant(Engine(Around::SendAgain), "send again at recovery what was out", &[S17]),
    mutant(Engine(Around::IgnoreStaleOwner), "take a refused append for done", &[S18]),
    mutant(Engine(Around::ForgetClaims), "start without claiming the key", &[S16]),
    mutant(Engine(Around::FullIsDone), "take a full disk for done", &[L6, S18]),
    mutant(
        Engine(Around::BelieveForeigners),
        "take a reply from a service whose step it is not",
        &[S15],
    ),
    mutant(Engine(Around::PassOverHoles), "take a hole in the journal for its end", &[S20]),
    mutant(Engine(Around::EarlyTimers), "fire timers before their time", &[S22]),
    mutant(Engine(Around::RecoverAtOnce), "send everything at once after a start", &[L5]),
    mutant(Engine(Around::CurrentVersion), "go on with the current version", &[S19]),
    mutant(Engine(Around::OneKeyForAllRounds), "every round under the first key", &[S4]),
    mutant(Engine(Around::EndTwice), "end a saga twice", &[S3]),
    mutant(Engine(Around::AttentionTwice), "raise attention twice", &[S21]),
    mutant(Engine(Around::UnprovenForEver), "never take a proof in", &[S6]),
    mutant(Engine(Around::CompleteEarly), "call a saga completed with a step to come", &[S2]),
    mutant(Engine(Around::NeverSendUndos), "never send an undo", &[L3]),
    mutant(Engine(Around::HideContradictions), "tell nobody of a contradiction", &[S13]),
    mutant(Engine(Around::TellHistoryEarly), "tell a history before it is synced", &[S18]),
    mutant(
        Engine(Around::TellWaitersEarly),
        "tell an end with what is not synced after it",
        &[S18],
    ),
    mutant(
        Engine(Around::CheckpointInPart),
        "move the catalog's place without what a lost shard knew",
        &[S18],
    ),
    mutant(Engine(Around::PaceFirstOnly), "pace only what is sent first after a start", &[L5]),
    mutant(Engine(Around::HoldPlaces), "hold a place for what nobody waits for", &[L4]),
    mutant(Engine(Around::OutageUntold), "tell no saga of an outage", &[S22]),
    mutant(
        Engine(Around::OutageUntoldOnceTurned),
        "tell only sagas that go forward of an outage",
        &[S22],
    ),
    mutant(Engine(Around::LastOutageOnly), "tell only of the last of several outages", &[S22]),
    mutant(Engine(Around::ForgetOutages), "keep outages in memory alone", &[S22]),
    mutant(
        Engine(Around::SignBeforeOutages),
        "leave a sign of life before the outages before it are kept",
        &[S22],
    ),
    mutant(
        Engine(Around::CheckpointUnsigned),
        "let the time go back behind the catalog's last facts",
        &[S22],
    ),
    mutant(Played(Mistake::UndoOfNothing), "an undo of nothing changes something", &[S9]),
    mutant(Played(Mistake::NoTombstoneLeft), "a barrier that leaves no tombstone", &[S10]),
    mutant(Played(Mistake::StaleWrites), "let a replaced owner write", &[S14]),
];

static PLAYED: AtomicU8 = AtomicU8::new(0);

/// Builds a mistake in, for the whole process, until `None` takes it out again.
pub fn mutate(at: Option<Where>) {
    let (mut machine, mut engine, mut played) = (None, None, 0);
    match at {
        Some(Where::Machine(mutant)) => machine = Some(mutant),
        Some(Where::Engine(mutant)) => {
            engine = Some(mutant);
            // The store, too, would refuse it.
            let in_part = mutant == Around::CheckpointInPart;
            played = if in_part { Mistake::PartsTaken as u8 } else { 0 };
        }
        Some(Where::Played(mistake)) => played = mistake as u8,
        None => {}
    }
    amends_core::mutant::mutate(machine);
    amends_engine::mutant::mutate(engine);
    PLAYED.store(played, Ordering::SeqCst);
}

/// Is this mistake, which the simulator plays, built in?
pub fn mistaken(mistake: Mistake) -> bool {
    PLAYED.load(Ordering::Relaxed) == mistake as u8
}

/// The mistakes of the disk.
pub fn flaws() -> Flaws {
    Flaws {
        stale_writes: mistaken(Mistake::StaleWrites),
        parts_taken: mistaken(Mistake::PartsTaken),
    }
}
