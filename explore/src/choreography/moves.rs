//! What may happen next, and what comes of it.

use amends_core::choreography::{Happened, Outcome, Owed, Said, react};
use amends_core::definition::Kind;
use amends_core::{StepIx, StepSet};

use super::laws::{self, Law};
use super::scene::{Hands, Scene, World};

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A service reads a word.
    Read(u8, Said),
    /// An attempt begins at a step whose handler is another process.
    Begin(StepIx),
    /// The step runs, and how that ended is known.
    Run(StepIx, Outcome),
    /// The step runs, and nobody hears of it.
    RunUnheard(StepIx),
    /// The step is undone.
    Undo(StepIx),
    /// The step is undone, and nobody hears of it.
    UndoUnheard(StepIx),
    /// A service has waited long enough for a step.
    Overdue(u8, StepIx),
    /// A person cancels.
    Cancel,
}

/// Where a move led.
pub struct Moved {
    /// The state.
    pub world: World,
    /// The law that was broken on the way.
    pub broken: Option<Law>,
}

/// All that may happen. What is not paid for with a fault brings the saga on.
pub fn actions(scene: &Scene, world: &World) -> Vec<Action> {
    if let Some(action) = indifferent(scene, world) {
        return vec![action];
    }
    let mut actions = Vec::new();
    for service in 0..scene.services.len() {
        let unread = scene.words().filter(|&word| world.said.contains(word));
        actions.extend(unread.map(|word| Action::Read(service as u8, word)));
        for owed in world.owed(scene, service) {
            match owed {
                Owed::Run(step) => runs(scene, world, service, step, &mut actions),
                Owed::Undo(step) => {
                    actions.push(Action::Undo(step));
                    let unheard =
                        scene.hands == Hands::Sidecar && world.ledgers[step.get()].undone == 0;
                    if unheard && world.faults > 0 {
                        actions.push(Action::UndoUnheard(step));
                    }
                }
            }
        }
        if world.faults > 0 {
            let steps = scene.play.definition().indices();
            actions.extend(steps.map(|step| Action::Overdue(service as u8, step)));
        }
    }
    if world.cancels > 0 && !world.said.contains(Said::Failed) {
        actions.push(Action::Cancel);
    }
    actions
}

/// A word that is unread and does not matter to who reads it: where there are many services it is read
/// before all else, because read later it would lead to the same states. With three services and fewer
/// every order of these is tried, too.
fn indifferent(scene: &Scene, world: &World) -> Option<Action> {
    if scene.services.len() < 4 {
        return None;
    }
    let readers = (0u8..).zip(world.parts.iter().zip(&scene.services));
    readers.into_iter().find_map(|(service, (part, &mine))| {
        let unread = |word: &Said| world.said.contains(*word) && !laws::holds(part, *word);
        let mut words = scene.words().filter(unread);
        words.find(|&word| !matters(scene, mine, word)).map(|word| Action::Read(service, word))
    })
}

/// Does what a service owes depend on the word?
fn matters(scene: &Scene, mine: StepSet, word: Said) -> bool {
    let definition = scene.play.definition();
    match word {
        Said::Failed | Said::NeverRan(_) => true,
        Said::Started => mine.iter().any(|step| definition.ancestors(step) == StepSet::EMPTY),
        Said::Completed(of) | Said::Skipped(of) => {
            let waits = |step: StepIx| definition.ancestors(step).contains(of);
            of == scene.play.arbiter() || mine.iter().any(waits)
        }
        Said::Compensated(of) => mine.iter().any(|step| definition.descendants(step).contains(of)),
    }
}

fn runs(scene: &Scene, world: &World, service: usize, step: StepIx, actions: &mut Vec<Action>) {
    let begun = world.parts[service].begun.contains(step);
    let ran = world.ledgers[step.get()].done > 0;
    let definition = scene.play.definition().step(step);
    if definition.computed.when && !begun {
        actions.push(Action::Run(step, Outcome::Skipped));
    }
    if scene.hands == Hands::Sidecar && !begun {
        actions.push(Action::Begin(step));
        return;
    }
    actions.push(Action::Run(step, Outcome::Completed));
    // A handler answers what it has done with its stored answer, and refuses it no more.
    if world.faults > 0 && !ran {
        actions.push(Action::Run(step, Outcome::Refused));
        if begun {
            actions.push(Action::RunUnheard(step));
        }
    }
}

/// Is this something that goes wrong, and not on?
pub const fn is_fault(action: Action) -> bool {
    matches!(
        action,
        Action::Run(_, Outcome::Refused)
            | Action::RunUnheard(_)
            | Action::UndoUnheard(_)
            | Action::Overdue(..)
            | Action::Cancel
    )
}

/// Plays a move; `None` if it changes nothing.
pub fn play(scene: &Scene, world: &World, action: Action) -> Option<Moved> {
    let mut moved = Moved { world: world.clone(), broken: None };
    if let Some(law) = laws::before(scene, world, action) {
        moved.broken = Some(law);
        return Some(moved);
    }
    let next = &mut moved.world;
    if is_fault(action) {
        match action {
            Action::Cancel => next.cancels -= 1,
            _ => next.faults -= 1,
        }
    }
    match action {
        Action::Read(service, word) => {
            moved.broken = happened(scene, &mut moved.world, service.into(), Happened::Heard(word));
        }
        Action::Begin(step) => {
            let service = scene.service_of(step);
            moved.broken = happened(scene, &mut moved.world, service, Happened::Begun(step));
        }
        Action::Run(step, outcome) => {
            if outcome == Outcome::Completed {
                do_it(scene, next, step);
            }
            let service = scene.service_of(step);
            moved.broken = happened(scene, &mut moved.world, service, Happened::Ran(step, outcome));
        }
        Action::RunUnheard(step) => do_it(scene, next, step),
        Action::Undo(step) => {
            undo_it(scene, next, step);
            let service = scene.service_of(step);
            moved.broken = happened(scene, &mut moved.world, service, Happened::Undone(step));
        }
        Action::UndoUnheard(step) => undo_it(scene, next, step),
        Action::Overdue(service, step) => {
            moved.broken =
                happened(scene, &mut moved.world, service.into(), Happened::Overdue(step));
        }
        Action::Cancel => {
            next.said.insert(Said::Failed);
        }
    }
    let next = &moved.world;
    let same =
        next.parts == world.parts && next.said == world.said && next.ledgers == world.ledgers;
    if same && moved.broken.is_none() {
        return None;
    }
    Some(moved)
}

/// A handler of another process knows what it has done by the key, and does it once.
fn do_it(scene: &Scene, world: &mut World, step: StepIx) {
    let done = &mut world.ledgers[step.get()].done;
    *done = if scene.hands == Hands::Kit { *done + 1 } else { 1 };
}

fn undo_it(scene: &Scene, world: &mut World, step: StepIx) {
    let undone = &mut world.ledgers[step.get()].undone;
    *undone = if scene.hands == Hands::Kit { *undone + 1 } else { 1 };
}

/// Hands it to the shipped rules, twice where it is something that was heard.
fn happened(scene: &Scene, world: &mut World, service: usize, what: Happened) -> Option<Law> {
    let (play, mine) = (&scene.play, scene.services[service]);
    let part = &mut world.parts[service];
    let says = match react(play, mine, part, what) {
        Ok(says) => says,
        // All that is said here is true, and all that is done was owed.
        Err(_) => return Some(Law::S3),
    };
    if matches!(what, Happened::Heard(_)) {
        let once = *part;
        if react(play, mine, part, what) != Ok(Vec::new()) || *part != once {
            return Some(Law::S16);
        }
    }
    for word in says {
        world.said.insert(word);
    }
    None
}

/// Is the step one that the saga can do without?
pub(super) fn best_effort(scene: &Scene, step: StepIx) -> bool {
    scene.play.definition().step(step).kind == Kind::BestEffort
}
