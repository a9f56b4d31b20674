//! The laws of a choreography, judged by what was really done, and by nothing that a service believes.

use amends_core::choreography::{End, Happened, Outcome, Part, Said, react};
use amends_core::definition::Kind;
use amends_core::{StepIx, StepSet};

use super::moves::{Action, best_effort};
use super::scene::{Scene, World};
use crate::verify::finding;

crate::laws::laws! {
    S1: "failed: every effect is undone, once",
    S2: "completed: every effect stands, once",
    S3: "one end, the same to all, and no two services contradict each other",
    S4: "one effect each way",
    S8: "a step runs after all that it waits for, and is undone before any of it",
    S9: "nothing is undone that never ran",
    S10: "no step runs once its service has barred it",
    S11: "no undo before the arbiter has barred its step",
    S15: "what others say of a service's own steps changes nothing",
    S16: "anything read twice is read once, and in whatever order",
    L1: "with nothing left to do, the saga has ended",
    L3: "and every service knows it",
}

/// What a move must not be.
pub fn before(scene: &Scene, world: &World, action: Action) -> Option<Law> {
    match action {
        Action::Run(step, Outcome::Completed) | Action::RunUnheard(step) => run(scene, world, step),
        Action::Undo(step) | Action::UndoUnheard(step) => undo(scene, world, step),
        _ => None,
    }
}

/// A step runs after all that it waits for, and never once its service has barred it.
fn run(scene: &Scene, world: &World, step: StepIx) -> Option<Law> {
    if world.said.contains(Said::NeverRan(step)) {
        return Some(Law::S10);
    }
    let stands = |before: StepIx| {
        let ledger = world.ledgers[before.get()];
        (ledger.done > 0 && ledger.undone == 0) || world.said.contains(Said::Skipped(before))
    };
    let mut before = scene.play.definition().ancestors(step).iter();
    // What is never undone holds up no undo, and may still run beside it.
    let beside = !changes(scene, step);
    let in_order = before.all(|before| best_effort(scene, before) || stands(before) || beside);
    (!in_order).then_some(Law::S8)
}

/// Is the step one that is undone, or that must not be, and not one that only reads or may fail?
fn changes(scene: &Scene, step: StepIx) -> bool {
    let definition = scene.play.definition().step(step);
    match definition.kind {
        Kind::Compensatable => definition.compensation().is_some(),
        Kind::Pivot | Kind::Retriable => true,
        Kind::BestEffort => false,
    }
}

/// An undo undoes what was done, once the arbiter has barred its own step, and after every dependent.
fn undo(scene: &Scene, world: &World, step: StepIx) -> Option<Law> {
    let arbiter = scene.play.arbiter();
    if world.ledgers[step.get()].done == 0 {
        return Some(Law::S9);
    }
    if world.ledgers[arbiter.get()].done > 0 || !barred(scene, world, arbiter) {
        return Some(Law::S11);
    }
    let definition = scene.play.definition();
    let settled = |after: StepIx| {
        let ledger = world.ledgers[after.get()];
        definition.step(after).compensation().is_none()
            || (ledger.done == ledger.undone && (ledger.done > 0 || barred(scene, world, after)))
    };
    (!definition.descendants(step).iter().all(settled)).then_some(Law::S8)
}

/// Has the step's own service put it out of reach for ever?
fn barred(scene: &Scene, world: &World, step: StepIx) -> bool {
    let part = world.parts[scene.service_of(step)];
    part.never_ran.union(part.skipped).contains(step)
}

/// What no state may be.
pub fn of_state(scene: &Scene, world: &World) -> Option<Law> {
    if world.ledgers.iter().any(|ledger| ledger.done > 1 || ledger.undone > 1) {
        return Some(Law::S4);
    }
    let arbiter = scene.play.arbiter();
    let said = |word| world.said.contains(word);
    let forward = said(Said::Completed(arbiter)) || said(Said::Skipped(arbiter));
    if forward && said(Said::NeverRan(arbiter)) {
        return Some(Law::S3);
    }
    if listened(scene, world, false).is_none() {
        return Some(Law::S3);
    }
    made_up(scene, world)
}

/// A word about a service's own step that it has not said changes nothing; nor does one about no step.
fn made_up(scene: &Scene, world: &World) -> Option<Law> {
    for (part, &mine) in world.parts.iter().zip(&scene.services) {
        let steps = scene.play.definition().steps().len() as u8;
        let nowhere = [Said::Completed(StepIx(steps)), Said::NeverRan(StepIx(63))];
        let of_others = scene.words().filter(|&word| own(mine, word) && !holds(part, word));
        for word in of_others.chain(nowhere) {
            let mut heard = *part;
            let taken = react(&scene.play, mine, &mut heard, Happened::Heard(word));
            if taken.is_ok() || heard != *part {
                return Some(Law::S15);
            }
        }
    }
    None
}

fn own(mine: StepSet, word: Said) -> bool {
    match word {
        Said::Started | Said::Failed => false,
        Said::Completed(step)
        | Said::Skipped(step)
        | Said::NeverRan(step)
        | Said::Compensated(step) => mine.contains(step),
    }
}

/// Has this been taken in?
pub(super) fn holds(part: &Part, word: Said) -> bool {
    match word {
        Said::Started => part.started,
        Said::Failed => part.failed,
        Said::Completed(step) => part.completed.contains(step),
        Said::Skipped(step) => part.skipped.contains(step),
        Said::NeverRan(step) => part.never_ran.contains(step),
        Said::Compensated(step) => part.compensated.contains(step),
    }
}

/// What somebody knows who only listens, and heard all that was said: in one order or in the other.
/// `None` if that contradicts itself.
pub fn listened(scene: &Scene, world: &World, backwards: bool) -> Option<Part> {
    let mut words: Vec<Said> = scene.words().filter(|&word| world.said.contains(word)).collect();
    if backwards {
        words.reverse();
    }
    let mut part = Part::default();
    for word in words {
        react(&scene.play, StepSet::EMPTY, &mut part, Happened::Heard(word)).ok()?;
    }
    Some(part)
}

/// What a state must be in which nothing is left to do: an end, the same to all, that holds what it
/// says.
pub fn of_rest(scene: &Scene, world: &World) -> Option<Law> {
    let heard = [false, true].map(|backwards| listened(scene, world, backwards));
    let [Some(part), Some(other)] = heard else { return Some(Law::S3) };
    if part != other {
        return Some(Law::S16);
    }
    // Who gave a best effort up knows so by its own clock, and by nobody's word.
    let end = |part: &Part| {
        let mut part = *part;
        part.waived = scene.play.definition().indices().collect();
        part.end(&scene.play)
    };
    let Some(end_heard) = end(&part) else { return Some(Law::L1) };
    if world.parts.iter().any(|part| end(part) != Some(end_heard)) {
        return Some(Law::L3);
    }
    let definition = scene.play.definition();
    let mut steps = definition.indices();
    match end_heard {
        End::Completed => {
            let stands = |step: StepIx| {
                let ledger = world.ledgers[step.get()];
                let skipped = world.said.contains(Said::Skipped(step));
                let whole = ledger.undone == 0 && (ledger.done == 1) != skipped;
                whole || (best_effort(scene, step) && ledger.undone == 0)
            };
            (!steps.all(stands)).then_some(Law::S2)
        }
        End::Failed => {
            let gone = |step: StepIx| {
                let ledger = world.ledgers[step.get()];
                definition.step(step).compensation().is_none() || ledger.done == ledger.undone
            };
            (!steps.all(gone)).then_some(Law::S1)
        }
    }
}

/// How it ended, where nothing is left to do.
pub fn end(scene: &Scene, world: &World) -> Option<finding::End> {
    let mut part = listened(scene, world, false)?;
    part.waived = scene.play.definition().indices().collect();
    Some(match part.end(&scene.play)? {
        End::Completed => finding::End::Completed,
        End::Failed if world.ledgers.iter().any(|ledger| ledger.undone > 0) => {
            finding::End::RolledBack
        }
        End::Failed => finding::End::NothingDone,
    })
}
