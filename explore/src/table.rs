//! Which law was checked, by what, over how many states, and which mistakes it caught.

use std::fmt::Write;

use crate::groups::{Group, Tally};
use crate::laws::Law;
use crate::model::Menu;

/// What a run has shown so far.
#[derive(Clone, Debug, Default)]
pub struct Table {
    states: usize,
    /// Of scenes in which a person may act.
    with_verbs: usize,
    /// Of scenes in which the engine may crash or be away.
    with_crashes: usize,
    caught: Vec<(Law, &'static str)>,
}

impl Table {
    /// A group was explored.
    pub fn explored(&mut self, group: &Group, tally: &Tally) {
        self.states += tally.states;
        let any = |test: fn(&crate::groups::Spec) -> bool| group.scenes.iter().any(test);
        if any(|spec| spec.left.verbs > 0) {
            self.with_verbs += tally.states;
        }
        if any(|spec| spec.left.crashes > 0 && spec.menu != Menu::UndoPostponed) {
            self.with_crashes += tally.states;
        }
    }

    /// A law caught a mistake.
    pub fn caught(&mut self, law: Law, mistake: &'static str) {
        self.caught.push((law, mistake));
    }

    /// A law that caught no mistake may be one that cannot be broken, and so says nothing.
    pub fn complete(&self) -> Result<(), String> {
        let idle = |law: &&Law| self.mistakes(**law).is_empty();
        let idle: Vec<&str> = Law::ALL.iter().filter(idle).map(|law| law.name()).collect();
        if idle.is_empty() { Ok(()) } else { Err(format!("caught nothing: {}", idle.join("; "))) }
    }

    /// One line for each law, its columns separated by tabs: the law, what checks it, over how many
    /// states, and the mistakes that it caught.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for &law in Law::ALL {
            let states = match law {
                Law::S5 => self.with_crashes,
                Law::Pause => self.with_verbs,
                _ => self.states,
            };
            let mistakes = self.mistakes(law).join("; ");
            let _ = writeln!(text, "{}\t{}\t{states}\t{mistakes}", law.name(), checked_by(law));
        }
        text
    }

    fn mistakes(&self, law: Law) -> Vec<&'static str> {
        self.caught.iter().filter(|(by, _)| *by == law).map(|&(_, mistake)| mistake).collect()
    }
}

/// By what a law is judged.
const fn checked_by(law: Law) -> &'static str {
    use Law::{L1, L3, S5, S6, S7, S8, S11, S12, S15, S16, S17, S21, S22};
    match law {
        S5 => "every arrival at a participant",
        S7 | S8 | S11 => "every sending of an undo, against what the participants did",
        S12 | S17 | Law::Pause => "every decision, replayed",
        S15 => "forged answers in every state, and every refused input",
        S16 => "every answer, heard twice",
        S22 => "every tick twice, and one short of the next due time in every state",
        S6 | S21 => "every state, by the causes stated anew",
        L1 => "backwards from every end and attention",
        L3 => "backwards from every rest, in every order of what is under way",
        _ => "every state, by what the participants did",
    }
}
