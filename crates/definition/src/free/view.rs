//! A free choreography as whoever carries it out needs it: by names.

use amends_core::definition::{Command, Kind};

use super::model::{Reactions, Trigger, Work};

/// What one service does at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// The events that set it off.
    pub on: Vec<String>,
    /// Is the first of them enough? Else all of them have to come.
    pub any: bool,
    /// Whose it is; `None` where nothing is done, and nobody is named.
    pub service: Option<String>,
    /// What is done.
    pub does: Does,
    /// The events that are said when that is done.
    pub then: Vec<String>,
}

/// What a reaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// It carries out a command.
    Act {
        /// Which.
        command: Command,
        /// The command that undoes it.
        compensation: Option<Command>,
        /// What its failure means.
        kind: Kind,
        /// The event that is said then, if it can fail.
        on_failure: Option<String>,
    },
    /// It undoes what the reaction of this number did, which has a command.
    Undo(usize),
    /// Nothing: an event follows from another.
    Say,
}

impl Reactions {
    /// The event that starts it.
    pub fn starts_with(&self) -> &str {
        self.event(self.start)
    }

    /// The events that are said in it, each with the fields that it adds.
    pub fn events(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let told = self.events.iter().filter(|event| !event.implied);
        told.map(|event| (event.name.as_str(), event.fields.iter().map(String::as_str)))
    }

    /// The reactions, in the order of the file.
    pub fn reactions(&self) -> Vec<Reaction> {
        (0..self.len()).map(|ix| self.by_names(ix)).collect()
    }

    fn by_names(&self, ix: usize) -> Reaction {
        let of = &self.reactions[ix];
        let names = |events: &[usize]| events.iter().map(|e| self.event(*e).to_owned()).collect();
        let does = match &of.work {
            Work::Act(act) => Does::Act {
                command: act.command.clone(),
                compensation: act.compensation.clone(),
                kind: act.kind,
                on_failure: act.on_failure.map(|event| self.event(event).to_owned()),
            },
            Work::Undo(action) => Does::Undo(*action),
            Work::Say(_) => Does::Say,
        };
        Reaction {
            on: names(of.on.events()),
            any: matches!(of.on, Trigger::Any(_)),
            service: self.service(ix).map(str::to_owned),
            does,
            then: names(&of.then),
        }
    }
}
