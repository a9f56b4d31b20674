//! What follows from what a service hears, and from what became of its own actions.

use amends_core::Time;
use amends_core::definition::Kind;
use amends_definition::{Does, INPUT_BYTES_MAX, Reaction};
use amends_wire::SagaId;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::carried::{Carried, Data};
use super::definition::FreeChoreography;
use super::event::Event;
use super::record::{Outcome, Record};
use super::say::Adds;
use super::tasks::{ATTEMPTS_MAX, Task};
use crate::event::Reason;
use crate::record::State;
use crate::service::Moment;

/// One service's reactions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    pub(super) of: FreeChoreography,
    pub(super) name: String,
    pub(super) mine: Vec<usize>,
    pub(super) attempts_max: u32,
}

/// What follows by itself.
#[derive(Clone, Debug, Default)]
pub struct Advance {
    /// What is to be said.
    pub events: Vec<Event>,
    /// What is to be asked of the service's handlers now, each with the command's body.
    pub asks: Vec<(Task, Bytes)>,
}

/// What became of an action or an undo.
#[derive(Clone, Debug)]
pub enum Answered {
    /// The action is done; its result, JSON.
    Completed(Box<RawValue>),
    /// The action is refused, and had no effect.
    Refused(Reason),
    /// Its undo was there first, by the guard's word.
    Barred,
    /// The undo is done; or there was nothing to undo.
    Undone {
        /// Which.
        anything: bool,
    },
}

/// Why something is not taken in. The record is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is of another run, or another choreography.
    #[error("it is of another run, or of another choreography")]
    Foreign,
    /// The choreography has no such event.
    #[error("the choreography has no event `{0}`")]
    NoEvent(String),
    /// Nothing of the kind is owed (any more).
    #[error("nothing of the kind is owed")]
    NotOwed,
    /// An event's fields come of the action's result.
    #[error(
        "the result of `{action}` has no `{field}`, which `{event}` adds: return it, or take it out of \
         `events` in the choreography"
    )]
    NotWhole {
        /// `Service.Command`.
        action: String,
        /// The event that was to be said.
        event: String,
        /// The field.
        field: String,
    },
    /// What is carried has grown too large.
    #[error(
        "with what `{0}` adds, the data has over {INPUT_BYTES_MAX} bytes: keep it elsewhere, and have the \
         event carry a reference to it"
    )]
    TooLarge(String),
}

impl Service {
    pub(super) fn new(of: FreeChoreography, name: &str) -> Self {
        let is_mine =
            |(ix, it): (usize, &Reaction)| (it.service.as_deref() == Some(name)).then_some(ix);
        let mine = of.reactions().iter().enumerate().filter_map(is_mine).collect();
        Self { of, name: name.to_owned(), mine, attempts_max: ATTEMPTS_MAX }
    }

    /// Gives an action up after so many attempts that came to nothing, where its kind lets it.
    #[must_use]
    pub fn with_attempts_max(self, attempts_max: u32) -> Self {
        Self { attempts_max: attempts_max.max(1), ..self }
    }

    /// The choreography.
    pub fn of(&self) -> &FreeChoreography {
        &self.of
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The service's reactions, as the file has them.
    pub fn reactions(&self) -> impl Iterator<Item = &Reaction> {
        self.mine.iter().map(|&ix| self.reaction(ix))
    }

    /// The commands that it carries out: each action, with the undo that some reaction asks for.
    pub fn commands(&self) -> Vec<(&str, Option<&str>)> {
        let command = |&ix: &usize| match &self.reaction(ix).does {
            Does::Act { command, compensation, .. } => {
                let undo = compensation.as_ref().filter(|_| self.undos(ix).next().is_some());
                Some((&*command.name, undo.map(|undo| &*undo.name)))
            }
            Does::Undo(_) | Does::Say => None,
        };
        self.mine.iter().filter_map(command).collect()
    }

    /// The event that starts a run with this data, a JSON object.
    ///
    /// # Errors
    ///
    /// What is wrong with the data: it has exactly the fields that the choreography's `events` lists.
    pub fn start(&self, saga_id: SagaId, data: &str, now: Time) -> Result<Event, Vec<String>> {
        let name = self.of.starts_with();
        let data = Data::of(data).map_err(|_| vec!["it is no JSON object".to_owned()])?;
        if data.to_json().len() > INPUT_BYTES_MAX {
            return Err(vec![format!("it has over {INPUT_BYTES_MAX} bytes")]);
        }
        let listed: Vec<&str> =
            self.of.fields(name).into_iter().flatten().map(String::as_str).collect();
        let missing = listed.iter().filter(|field| data.get(field).is_none());
        let mut wrong: Vec<String> =
            missing.map(|field| format!("it has no `{field}`, which `{name}` carries")).collect();
        let more = data.fields().filter(|field| !listed.contains(field));
        wrong.extend(
            more.map(|field| format!("`{name}` carries no `{field}`: list it in `events`")),
        );
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let carried = Carried { data, ..Carried::default() };
        Ok(self.event(saga_id, name, 0, carried, now))
    }

    /// Does this service wait for an event, or tell by it how a run ends? `None`: there is no such event.
    pub fn is_of_interest(&self, event: &str) -> Option<bool> {
        self.of.fields(event)?;
        let is_end = event == self.of.done() || event == self.of.undone();
        Some(
            !self.mine.is_empty()
                && (is_end || self.mine.iter().any(|&ix| self.waits_for(ix, event))),
        )
    }

    /// Takes an event in: new or not, and whatever came before it.
    ///
    /// # Errors
    ///
    /// It is of something else.
    pub fn hear(&self, record: &mut Record, event: &Event) -> Result<(), NotTaken> {
        if event.saga_id != record.saga_id || event.choreography != self.of.name() {
            return Err(NotTaken::Foreign);
        }
        let is_of_interest = self.is_of_interest(&event.name);
        if !is_of_interest.ok_or_else(|| NotTaken::NoEvent(event.name.clone()))? {
            return Ok(());
        }
        if record.traceparent.is_none() {
            record.traceparent.clone_from(&event.traceparent);
        }
        if !record.has_heard(&event.name) {
            let mut carried = event.carried.clone();
            // Whoever says it may be anybody: what is no action here is of no use, and has no bound.
            carried.completed_steps.retain(|step| self.of.has_action(step));
            record.heard.push((event.name.clone(), Some(carried)));
            self.forget(record);
        }
        Ok(())
    }

    /// Has all take place that needs no handler, and prepares what is to be asked.
    pub fn advance(&self, record: &mut Record, now: Moment) -> Advance {
        let mut advance = Advance::default();
        for &ix in &self.mine {
            if !self.is_set_off(record, ix) {
                continue;
            }
            let outcome = match self.reaction(ix).does {
                Does::Say => Outcome::Said,
                Does::Act { .. } if self.is_undone(record, ix) => Outcome::Barred,
                // Another reaction has undone it.
                Does::Undo(action) if self.is_undone(record, action) => Outcome::NothingToUndo,
                Does::Act { .. } | Does::Undo(_) => continue,
            };
            let said = self.take_place(record, ix, outcome, Adds::Nothing, now.at);
            advance.events.extend(said.unwrap_or_default());
        }
        for task in self.tasks(record, now.at) {
            match self.body(record, task) {
                Ok(body) => advance.asks.push((task, body)),
                Err(why) => advance.events.extend(self.unprepared(record, task, why, now)),
            }
        }
        advance
    }

    /// Takes in what became of an action, or of an undo, and gives what is to be said of it.
    ///
    /// # Errors
    ///
    /// It is not owed any more, or its result is not what the choreography says that it is.
    pub fn answered(
        &self,
        record: &mut Record,
        task: Task,
        answered: Answered,
        now: Moment,
    ) -> Result<Vec<Event>, NotTaken> {
        let ix = task.reaction;
        if !self.owes(record, ix) {
            return Err(NotTaken::NotOwed);
        }
        let kind = match &self.reaction(ix).does {
            Does::Act { kind, .. } => Some(*kind),
            Does::Undo(_) | Does::Say => None,
        };
        let (outcome, adds) = match (answered, kind) {
            (Answered::Completed(result), Some(_)) => (Outcome::Done, Adds::Result(result)),
            (Answered::Barred, Some(_)) => (Outcome::Barred, Adds::Nothing),
            (Answered::Refused(_), Some(Kind::Retriable)) => {
                self.ask_anew(record, ix, now);
                return Ok(Vec::new());
            }
            (Answered::Refused(why), Some(Kind::BestEffort)) => (Outcome::WentOn, Adds::Nulls(why)),
            (Answered::Refused(why), Some(_)) => (Outcome::Failed, Adds::Reason(why)),
            (Answered::Undone { anything: true }, None) => (Outcome::Undone, Adds::Nothing),
            (Answered::Undone { anything: false }, None) => (Outcome::NothingToUndo, Adds::Nothing),
            _ => return Err(NotTaken::NotOwed),
        };
        self.take_place(record, ix, outcome, adds, now.at)
    }

    /// How far the run is, as far as this service knows. It has ended when that was heard, and nothing is
    /// left to do here.
    pub fn state(&self, record: &Record) -> State {
        let is_busy = self.mine.iter().any(|&ix| self.is_set_off(record, ix));
        let end = record.heard().find_map(|event| match event {
            event if event == self.of.done() => Some(State::Completed),
            event if event == self.of.undone() => Some(State::Failed),
            _ => None,
        });
        let is_undo = |&ix: &usize| matches!(self.reaction(ix).does, Does::Undo(_));
        let has_undone = |ix: &usize| record.taken.contains_key(self.of.key(*ix));
        match end.filter(|_| !is_busy) {
            Some(end) => end,
            None if self.mine.iter().filter(|ix| is_undo(ix)).any(has_undone) => {
                State::Compensating
            }
            None => State::Running,
        }
    }

    pub(super) fn reaction(&self, ix: usize) -> &Reaction {
        &self.of.reactions()[ix]
    }

    pub(super) fn waits_for(&self, ix: usize, event: &str) -> bool {
        self.reaction(ix).on.iter().any(|on| on == event)
    }

    pub(super) fn has_taken_place(&self, record: &Record, ix: usize) -> bool {
        record.taken.contains_key(self.of.key(ix))
    }

    /// Has come what it waits for, and has it not taken place yet?
    pub(super) fn is_set_off(&self, record: &Record, ix: usize) -> bool {
        let Reaction { on, any, .. } = self.reaction(ix);
        // What was heard when nothing waited for it, under an earlier file, sets off nothing: what it carried
        // is gone.
        let has_come = |event: &String| {
            record.heard.iter().any(|(heard, carried)| heard == event && carried.is_some())
        };
        let is_set_off = if *any { on.iter().any(has_come) } else { on.iter().all(has_come) };
        is_set_off && !self.has_taken_place(record, ix)
    }

    /// The reactions that undo an action.
    pub(super) fn undos(&self, action: usize) -> impl Iterator<Item = usize> {
        let of = move |ix: &usize| self.reaction(*ix).does == Does::Undo(action);
        self.mine.iter().copied().filter(of)
    }

    /// Has an undo of it taken place, whether there was something to undo or not?
    pub(super) fn is_undone(&self, record: &Record, action: usize) -> bool {
        self.undos(action).any(|ix| self.has_taken_place(record, ix))
    }
}
