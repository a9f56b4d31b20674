//! What a service does about one thing that happened.

use alloc::vec::Vec;

use super::{Choreography, Owed, Part, Said};
use crate::definition::Kind;
use crate::ids::{StepIx, StepSet};
use crate::mutant::{Mutant, mutated};

/// Something that happened at a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happened {
    /// This was read.
    Heard(Said),
    /// An attempt at an own step begins that may outlive the service's knowing of it, because its
    /// handler is another process. One that runs in the service's own transaction needs no such note.
    Begun(StepIx),
    /// An own step was run.
    Ran(StepIx, Outcome),
    /// An own step was undone.
    Undone(StepIx),
    /// A step has not been done in its time.
    Overdue(StepIx),
}

/// How an own step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is done.
    Completed,
    /// Its condition does not hold.
    Skipped,
    /// It is refused, and had no effect.
    Refused,
}

/// Why something is not taken in; the part is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotTaken {
    /// There is no such step.
    NoStep,
    /// It contradicts what is known, or says of an own step what the service does not.
    Contradicts,
    /// The service owed nothing of the kind.
    NotOwed,
}

/// Takes in what happened at the service whose steps are `mine`; gives what it is to say, which is
/// published in the transaction that keeps the part.
pub fn react(
    of: &Choreography,
    mine: StepSet,
    part: &mut Part,
    happened: Happened,
) -> Result<Vec<Said>, NotTaken> {
    let mut says = Vec::new();
    match happened {
        Happened::Heard(said) => {
            if mutated(Mutant::ChoreographyEchoes) && part.failed && said == Said::Failed {
                says.push(said);
            }
            hear(of, mine, part, said)?;
        }
        Happened::Begun(step) => {
            owes(of, mine, part, Owed::Run(step))?;
            part.begun.insert(step);
        }
        Happened::Ran(step, outcome) => {
            owes(of, mine, part, Owed::Run(step))?;
            ran(of, part, step, outcome, &mut says);
        }
        Happened::Undone(step) => {
            owes(of, mine, part, Owed::Undo(step))?;
            part.compensated.insert(step);
            says.push(Said::Compensated(step));
        }
        Happened::Overdue(step) => {
            if step.get() >= of.definition().steps().len() {
                return Err(NotTaken::NoStep);
            }
            overdue(of, mine, part, step, &mut says);
        }
    }
    settle(of, mine, part, &mut says);
    Ok(says)
}

fn owes(of: &Choreography, mine: StepSet, part: &Part, owed: Owed) -> Result<(), NotTaken> {
    part.owed(of, mine).any(|one| one == owed).then_some(()).ok_or(NotTaken::NotOwed)
}

fn hear(of: &Choreography, mine: StepSet, part: &mut Part, said: Said) -> Result<(), NotTaken> {
    let about = said.step();
    if about.is_some_and(|step| step.get() >= of.definition().steps().len()) {
        return Err(NotTaken::NoStep);
    }
    if part.holds(said) {
        return Ok(());
    }
    // Of its own steps a service knows itself what became of them.
    let own = about.is_some_and(|step| mine.contains(step));
    if (own && !mutated(Mutant::ChoreographyBelievesOthersOfItself)) || part.contradicts(of, said) {
        return Err(NotTaken::Contradicts);
    }
    let deaf = about.is_some_and(|step| {
        let waits = |own: StepIx| of.definition().ancestors(own).contains(step);
        mine != StepSet::EMPTY && step != of.arbiter() && !mine.iter().any(waits)
    });
    if mutated(Mutant::ChoreographyDeafToOthers) && deaf {
        return Ok(());
    }
    part.note(said);
    match said {
        // Nothing but a failure bars a step, even where that is heard later.
        Said::NeverRan(step) => part.failed |= !of.best_effort(step),
        Said::Compensated(_) => part.failed = true,
        _ => {}
    }
    Ok(())
}

fn ran(of: &Choreography, part: &mut Part, step: StepIx, outcome: Outcome, says: &mut Vec<Said>) {
    match (outcome, of.definition().step(step).kind) {
        (Outcome::Completed, _) => {
            part.completed.insert(step);
            says.push(Said::Completed(step));
        }
        (Outcome::Skipped, _) => {
            part.skipped.insert(step);
            says.push(Said::Skipped(step));
        }
        // After the decision it is tried until it succeeds, or a person resolves it.
        (Outcome::Refused, Kind::Retriable) => {
            if mutated(Mutant::ChoreographyRefusedIsDone) {
                part.completed.insert(step);
                says.push(Said::Completed(step));
            }
        }
        (Outcome::Refused, kind) => {
            part.never_ran.insert(step);
            if kind != Kind::BestEffort {
                part.failed = true;
                says.push(Said::Failed);
            }
            says.push(Said::NeverRan(step));
        }
    }
    part.begun.remove(step);
}

fn overdue(of: &Choreography, mine: StepSet, part: &mut Part, step: StepIx, says: &mut Vec<Said>) {
    if part.known(step) || part.failed {
        return;
    }
    match of.definition().step(step).kind {
        // Nobody waits for ever for what the saga can do without.
        Kind::BestEffort if !mine.contains(step) => part.waived.insert(step),
        Kind::BestEffort if part.begun.contains(step) => {}
        Kind::BestEffort => {
            part.never_ran.insert(step);
            says.push(Said::NeverRan(step));
        }
        Kind::Retriable => {}
        Kind::Compensatable | Kind::Pivot => {
            if !part.decided(of) {
                part.failed = true;
                says.push(Said::Failed);
            }
        }
    }
}

/// Once the saga is to be undone, each own step that has not begun is barred for ever.
fn settle(of: &Choreography, mine: StepSet, part: &mut Part, says: &mut Vec<Said>) {
    let tombstones = !mutated(Mutant::ChoreographyWithoutTombstone);
    let twice = part.failed && mine.contains(of.arbiter()) && part.completed.contains(of.arbiter());
    if mutated(Mutant::ChoreographyArbiterTwice) && twice && !part.never_ran.contains(of.arbiter())
    {
        part.never_ran.insert(of.arbiter());
        says.push(Said::NeverRan(of.arbiter()));
    }
    if !part.failed || part.decided(of) || !tombstones {
        return;
    }
    for step in mine.iter() {
        let behind = of.behind(step) && !mutated(Mutant::ChoreographyBarsWhatFollows);
        let begun = part.begun.contains(step) && !mutated(Mutant::ChoreographyBarsWhatBegan);
        if !part.known(step) && !behind && !begun {
            part.never_ran.insert(step);
            says.push(Said::NeverRan(step));
        }
    }
}
