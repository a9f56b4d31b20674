//! A free choreography as it is analysed: events and reactions by number, names beside them.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::definition::{Command, Fence, Kind};

use super::set::Set;
use crate::source::Span;

/// The most reactions: about twenty steps with their undos. What may happen in any order grows with
/// every one of them, and nobody overlooks more.
pub const REACTIONS_MAX: usize = 64;

/// The most events: two a reaction, which is one for either way that an action can go. Sets of them
/// are one machine word.
pub const EVENTS_MAX: usize = 128;

/// The reactions of a free choreography, well-formed: every event and every action that one of them
/// names is there.
#[derive(Clone, Debug)]
pub struct Reactions {
    pub(crate) name: String,
    pub(crate) events: Vec<Event>,
    pub(crate) start: usize,
    pub(crate) done: usize,
    pub(crate) undone: usize,
    pub(crate) reactions: Vec<Reaction>,
    /// Where the file says what.
    pub(crate) places: Places,
}

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// What it adds to the context.
    pub(crate) fields: BTreeSet<String>,
    /// Nobody has named it: it stands for a failure that is not told.
    pub(crate) implied: bool,
}

/// What one service does at an event.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) on: Trigger,
    pub(crate) work: Work,
    pub(crate) reads: Vec<String>,
    /// The events that it says when that is done.
    pub(crate) then: Vec<usize>,
}

/// What sets a reaction off. None is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// All of them have come.
    All(Vec<usize>),
    /// The first of them has.
    Any(Vec<usize>),
}

/// What is done.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A command is carried out.
    Act(Act),
    /// What that reaction did is undone.
    Undo(usize),
    /// Nothing: an event follows from another. By this service, where that is said.
    Say(Option<String>),
}

/// A command that is carried out, once a saga.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) command: Command,
    pub(crate) compensation: Option<Command>,
    pub(crate) kind: Kind,
    /// Of a command that only reads, nothing is ever undone.
    pub(crate) reads_only: bool,
    /// The event of its failure, if it can fail.
    pub(crate) on_failure: Option<usize>,
    /// What its service promises; `None` when that is not said.
    pub(crate) fence: Option<Fence>,
}

/// Where the file says what, a reaction by its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) reactions: Vec<ReactionPlaces>,
    pub(crate) ends: Span,
    pub(crate) services: BTreeMap<String, Span>,
    /// Events that `events` lists and nobody says, with what they are called.
    pub(crate) listed: Vec<(String, Span)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ReactionPlaces {
    /// The key it begins with.
    pub(crate) start: Span,
    /// Each event of `on`.
    pub(crate) on: Vec<Span>,
    /// `action` or `undo`; else the first event.
    pub(crate) work: Span,
    pub(crate) then: Vec<Span>,
    pub(crate) on_failure: Option<Span>,
    pub(crate) reads: Vec<Span>,
}

impl Trigger {
    pub(crate) fn events(&self) -> &[usize] {
        match self {
            Self::All(events) | Self::Any(events) => events,
        }
    }

    /// Is it set off when these events have been said?
    pub(crate) fn is_set_off(&self, said: Set) -> bool {
        match self {
            Self::All(events) => events.iter().all(|event| said.has(*event)),
            Self::Any(events) => events.iter().any(|event| said.has(*event)),
        }
    }
}

impl Act {
    /// Must a saga that fails not leave it done? A command that only reads leaves nothing; what is
    /// retriable or a best effort is never undone.
    pub(crate) fn counts(&self) -> bool {
        !self.reads_only && matches!(self.kind, Kind::Compensatable | Kind::Pivot)
    }
}

impl Reaction {
    pub(crate) fn act(&self) -> Option<&Act> {
        match &self.work {
            Work::Act(act) => Some(act),
            Work::Undo(_) | Work::Say(_) => None,
        }
    }

    /// Every event it may say.
    pub(crate) fn says(&self) -> impl Iterator<Item = usize> + '_ {
        let failure = self.act().and_then(|act| act.on_failure);
        self.then.iter().copied().chain(failure)
    }
}

impl Reactions {
    /// The choreography's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many reactions it has.
    pub fn len(&self) -> usize {
        self.reactions.len()
    }

    /// Never: a choreography has reactions.
    pub fn is_empty(&self) -> bool {
        self.reactions.is_empty()
    }

    /// How many services have a part in it.
    pub fn services(&self) -> usize {
        let mut names: Vec<_> = (0..self.len()).filter_map(|ix| self.service(ix)).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }

    /// The event that says that all is done.
    pub fn done(&self) -> &str {
        self.event(self.done)
    }

    /// The event that says that all is undone.
    pub fn undone(&self) -> &str {
        self.event(self.undone)
    }

    pub(crate) fn event(&self, event: usize) -> &str {
        &self.events[event].name
    }

    /// Whose reaction it is.
    pub(crate) fn service(&self, reaction: usize) -> Option<&str> {
        match &self.reactions[reaction].work {
            Work::Act(act) => Some(&act.command.service),
            Work::Undo(of) => {
                let act = self.reactions[*of].act()?;
                let command = act.compensation.as_ref().unwrap_or(&act.command);
                Some(&command.service)
            }
            Work::Say(by) => by.as_deref(),
        }
    }

    /// The act of a reaction that has one.
    pub(crate) fn act(&self, reaction: usize) -> Option<&Act> {
        self.reactions[reaction].act()
    }

    /// An action as it is written: `Service.Command`.
    pub(crate) fn action(&self, reaction: usize) -> String {
        self.act(reaction).map(|act| written(&act.command)).unwrap_or_default()
    }

    /// The name of its command alone.
    pub(crate) fn command(&self, reaction: usize) -> &str {
        self.act(reaction).map_or("", |act| &act.command.name)
    }

    /// The reactions that undo it.
    pub(crate) fn undos(&self, action: usize) -> impl Iterator<Item = usize> + '_ {
        let undoes =
            move |ix: &usize| matches!(self.reactions[*ix].work, Work::Undo(of) if of == action);
        (0..self.len()).filter(undoes)
    }

    /// The reactions that wait for an event.
    pub(crate) fn readers(&self, event: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |ix| self.reactions[*ix].on.events().contains(&event))
    }

    /// The reactions that may say an event.
    pub(crate) fn writers(&self, event: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(move |ix| self.reactions[*ix].says().any(|said| said == event))
    }

    /// For each action, the actions that may be built on it: its success leads there, the way back
    /// left aside.
    pub(crate) fn built_on(&self) -> Vec<Set> {
        (0..self.len()).map(|ix| self.built_on_one(ix)).collect()
    }

    fn built_on_one(&self, action: usize) -> Set {
        if self.act(action).is_none() {
            return Set::EMPTY;
        }
        let mut events: Vec<usize> = self.reactions[action].then.clone();
        let mut reached = Set::EMPTY;
        while let Some(event) = events.pop() {
            for ix in self.readers(event) {
                let back = matches!(self.reactions[ix].work, Work::Undo(_));
                if !back && !reached.has(ix) {
                    reached = reached.with(ix);
                    events.extend(self.reactions[ix].says());
                }
            }
        }
        let counts = |ix: &usize| self.act(*ix).is_some_and(Act::counts);
        reached.iter().filter(counts).filter(|ix| *ix != action).collect()
    }
}

/// `Service.Command`.
pub(crate) fn written(command: &Command) -> String {
    format!("{}.{}", command.service, command.name)
}
