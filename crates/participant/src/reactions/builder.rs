//! Reactions written down as in the choreography: at this event, this is done.

use std::fmt;

use amends_choreography::free::{Does, FreeChoreography, Reaction, Service};
use amends_wire::Direction;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reactions;
use super::fit::{Misfit, fit};
use crate::database::Database;
use crate::handler::{ActionFn, CompensationFn};
use crate::participant::Builder;

/// A participant's reactions in the making.
#[must_use]
pub struct ReactionsBuilder<D: Database> {
    builder: Builder<D>,
    services: Vec<Service>,
    /// Handlers of what is no reaction here.
    unknown: Vec<String>,
}

impl<D: Database> Builder<D> {
    /// Begins its reactions in this choreography: each has its handler by [`on`](ReactionsBuilder::on) and
    /// [`undo`](ReactionsBuilder::undo), or has it already, by its command's name. What is said of the
    /// participant itself, a secret say, is said before.
    pub fn reactions(self, of: FreeChoreography) -> ReactionsBuilder<D> {
        let services = vec![of.service(self.service())];
        ReactionsBuilder { builder: self, services, unknown: Vec::new() }
    }
}

impl<D: Database> ReactionsBuilder<D> {
    /// Another choreography in which the service takes part; what is said from here on is of this one.
    pub fn and(mut self, of: FreeChoreography) -> Self {
        self.services.push(of.service(self.builder.service()));
        self
    }

    /// What is done when this event comes: the action of the reaction that waits for it, by this
    /// `async fn(&mut Tx<D>, I, &About) -> Outcome<O>`. `I` is what the event carries; the fields that the
    /// next one adds are those of `O`.
    pub fn on<I, O, F>(self, event: &str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> ActionFn<'a, D, I, O>,
    {
        self.at(&[event], false, handler)
    }

    /// What is done when all of these have come: [`on`](Self::on) for a reaction with `on: [A, B]`.
    pub fn on_all<I, O, F>(self, events: &[&str], handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> ActionFn<'a, D, I, O>,
    {
        self.at(events, false, handler)
    }

    /// What is done when the first of these comes: [`on`](Self::on) for one with `on: { any_of: [A, B] }`.
    pub fn on_any<I, O, F>(self, events: &[&str], handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> ActionFn<'a, D, I, O>,
    {
        self.at(events, true, handler)
    }

    /// How an action (`InventoryService.ReserveInventory`) is undone, by this
    /// `async fn(&mut Tx<D>, R, &About) -> Undoing`, where `R` is what the action returned. What the event
    /// carries at which it is undone is in [`About::data_as`](crate::About::data_as).
    pub fn undo<R, F>(mut self, action: &str, handler: F) -> Self
    where
        R: DeserializeOwned + Send + 'static,
        F: for<'a> CompensationFn<'a, D, R>,
    {
        let name = |command: &amends_core::definition::Command| {
            format!("{}.{}", command.service, command.name)
        };
        let found = self.reactions().find_map(|reaction| match &reaction.does {
            Does::Act { command, compensation: Some(undo), .. } if name(command) == action => {
                Some(undo.name.to_string())
            }
            _ => None,
        });
        match found {
            Some(undo) if self.builder.has(Direction::Compensation, &undo) => {
                self.unknown.push(format!("the undo of {action}, twice"));
            }
            Some(undo) => self.builder = self.builder.compensation(&undo, handler),
            None => self.unknown.push(format!("the undo of {action}, which it has none of")),
        }
        self
    }

    /// The reactions.
    ///
    /// # Errors
    ///
    /// One of this service has no handler, or a handler is of none.
    pub fn build(self) -> Result<Reactions<D>, Misfit> {
        let participant = self.builder.build();
        let mut services = Vec::new();
        for service in self.services {
            services.push(fit(&participant, service, &self.unknown)?);
        }
        Ok(Reactions::of(participant, services))
    }

    fn at<I, O, F>(mut self, events: &[&str], any: bool, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: for<'a> ActionFn<'a, D, I, O>,
    {
        let is_it = |reaction: &&Reaction| {
            let same = reaction.on.len() == events.len()
                && reaction.on.iter().all(|on| events.contains(&&**on));
            same && (reaction.any == any || events.len() == 1)
        };
        let command = |reaction: &Reaction| match &reaction.does {
            Does::Act { command, .. } => Some(command.name.to_string()),
            Does::Undo(_) | Does::Say => None,
        };
        let found: Vec<String> = self.reactions().filter(is_it).filter_map(command).collect();
        let on = events.join(if any { " or " } else { " and " });
        match found.as_slice() {
            [action] if self.builder.has(Direction::Action, action) => {
                self.unknown.push(format!("{action} on {on}, twice"));
            }
            [action] => self.builder = self.builder.action(action, handler),
            [] => self.unknown.push(format!("an action on {on}, at which it has none")),
            several => self.unknown.push(format!(
                "one of {} on {on}: give each by its name, with `action` before `reactions`",
                several.join(" and ")
            )),
        }
        self
    }

    /// Of the choreography that was named last.
    fn reactions(&self) -> impl Iterator<Item = &Reaction> {
        self.services.last().into_iter().flat_map(Service::reactions)
    }
}

impl<D: Database> fmt::Debug for ReactionsBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReactionsBuilder").field("builder", &self.builder).finish_non_exhaustive()
    }
}
