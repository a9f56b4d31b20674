//! A run in words.

use super::advice::work_words;
use super::model::{Reactions, Work};
use super::set::Set;
use super::state::{Move, Outcome, State};

/// The events of a run in their order, and what is undone without a word.
pub(super) fn way(of: &Reactions, run: &[Move]) -> String {
    let mut at = State::opening(of);
    let mut way = vec![of.event(of.start).to_owned()];
    for step in run {
        let next = at.after(of, *step);
        let new = next.said.but(at.said);
        way.extend(new.iter().map(|event| of.event(event).to_owned()));
        let silent = new.is_empty() && step.outcome != Outcome::Barred;
        if silent && matches!(of.reactions[step.reaction].work, Work::Undo(_)) {
            way.push(work_words(of, step.reaction));
        }
        if step.outcome == Outcome::Barred {
            way.push(format!("{} (after its undo)", of.action(step.reaction)));
        }
        at = next;
    }
    way.join(" → ")
}

/// The run step by step, in sentences.
pub(super) fn of_run(of: &Reactions, run: &[Move]) -> Vec<String> {
    let mut at = State::opening(of);
    let mut lines = vec![format!("{} is said", of.event(of.start))];
    for step in run {
        let next = at.after(of, *step);
        lines.push(told(of, *step, &at, next.said.but(at.said)));
        at = next;
    }
    lines
}

fn told(of: &Reactions, step: Move, at: &State, new: Set) -> String {
    let service = of.service(step.reaction).unwrap_or("somebody");
    let new: Vec<_> = new.iter().map(|event| of.event(event)).collect();
    let says = match new.as_slice() {
        [] => String::new(),
        many => format!(", and says {}", many.join(" and ")),
    };
    match (&of.reactions[step.reaction].work, step.outcome) {
        (Work::Act(act), Outcome::Done) => format!("{service} does {}{says}", act.command.name),
        (Work::Act(act), Outcome::Failed) => {
            format!("{service} fails at {}{says}", act.command.name)
        }
        (Work::Act(act), Outcome::Barred) => {
            format!("{service} meets {} after its undo", act.command.name)
        }
        (Work::Undo(action), _) => {
            let name = of.command(*action);
            if at.effects(of).but(at.undone).has(*action) {
                format!("{service} undoes {name}{says}")
            } else {
                format!("{service} finds nothing of {name} to undo{says}")
            }
        }
        (Work::Say(_), _) => {
            let on: Vec<_> = of.reactions[step.reaction]
                .on
                .events()
                .iter()
                .filter(|event| at.said.has(**event))
                .map(|event| of.event(*event))
                .collect();
            format!("{service} hears {}{says}", on.join(" and "))
        }
    }
}
