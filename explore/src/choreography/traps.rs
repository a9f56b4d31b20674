//! Mistakes in the rules of a choreography, built in on purpose, each with the law it breaks first.

use amends_core::mutant::{Mutant, mutate};

use super::laws::Law;
use super::plan::{Broken, explore, hunting_ground};
use crate::groups::Tally;

/// All of them.
pub const ALL: [(Mutant, Law, &str); 13] = [
    (Mutant::ChoreographyWithoutArbiter, Law::S11, "services undo before the arbiter decided"),
    (Mutant::ChoreographyUndoesInAnyOrder, Law::S8, "services undo in any order"),
    (Mutant::ChoreographyWithoutTombstone, Law::L1, "services bar nothing after a failure"),
    (Mutant::ChoreographyBarsWhatFollows, Law::S3, "services bar what follows the decision"),
    (Mutant::ChoreographyBarsWhatBegan, Law::S1, "services call never run what has begun"),
    (
        Mutant::ChoreographyBelievesOthersOfItself,
        Law::S15,
        "services believe others of their own steps",
    ),
    (Mutant::ChoreographyRunsTwice, Law::S4, "services run a step again that was done"),
    (Mutant::ChoreographyRefusedIsDone, Law::S2, "services take a refused step for done"),
    (Mutant::ChoreographyArbiterTwice, Law::S3, "a failure bars the arbiter's step after it ran"),
    (Mutant::ChoreographyUndoesWhatNeverRan, Law::S9, "services undo what they have barred"),
    (Mutant::ChoreographyForgetsTombstone, Law::S10, "services run what they have barred"),
    (Mutant::ChoreographyEchoes, Law::S16, "services say a failure again that they hear again"),
    (Mutant::ChoreographyDeafToOthers, Law::L3, "services forget what they do not wait for"),
];

/// Builds a mistake in, and looks for what it breaks.
pub fn spring(mutant: Mutant) -> (Tally, Option<Broken>) {
    mutate(Some(mutant));
    let found = explore(&hunting_ground());
    mutate(None);
    match found {
        Ok(tally) => (tally, None),
        Err(found) => (found.1, Some(found.0)),
    }
}
