//! A free choreography that services run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use amends_definition::{Document, Does, Reaction, Reactions, Severity, Surroundings};

use super::service::Service;

/// The longest name of an action, `Service.Command`, in characters: it is the step's in the guard's key.
const ACTION_CHARS_MAX: usize = 80;

/// The field by which a failure's event carries why: a refusal's code and message.
pub(super) const REASON: &str = "reason";

/// A free choreography that has no errors, by names. Cheap to clone.
#[derive(Clone)]
pub struct FreeChoreography(Arc<Inner>);

struct Inner {
    name: String,
    starts_with: String,
    done: String,
    undone: String,
    /// Every event, with the fields that it adds.
    events: BTreeMap<String, BTreeSet<String>>,
    reactions: Vec<Reaction>,
    /// What each is called in a record: the same however the file is changed around it.
    keys: Vec<String>,
}

/// Why services cannot run a file as a free choreography.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// `amends check` says the same, in more words.
    #[error("the choreography has errors; `amends check` explains them: {0}")]
    Errors(String),
    /// It is a saga's definition.
    #[error("it is no free choreography but a saga; see `Choreographed` for one that services run")]
    Saga,
    /// No service is named that says an event.
    #[error(
        "nobody says `{0}`: write `by: Service` into the reaction that says it and does nothing else"
    )]
    NobodySays(String),
    /// A field that an event adds, and that no action's result has when it is said.
    #[error(
        "`{event}` adds `{field}`, and is said where there is no result to take that from: a start and what \
         an action says when it is done add fields, and a failure adds `reason`"
    )]
    NotFilled {
        /// The event.
        event: String,
        /// The field.
        field: String,
    },
    /// An action that another service is to undo. That one would not know whether it was done.
    #[error(
        "`{action}` is undone by `{compensation}`, and only its own service knows what to undo"
    )]
    UndoneElsewhere {
        /// `Service.Command`.
        action: String,
        /// The same.
        compensation: String,
    },
    /// A name that the guard has no room for.
    #[error(
        "`{0}` has over {ACTION_CHARS_MAX} characters, which is the longest that a service keeps"
    )]
    LongName(String),
}

impl FreeChoreography {
    /// Reads the file, in YAML or JSON, as `amends check` does.
    ///
    /// # Errors
    ///
    /// It has errors, is a saga's, or does not say all that is needed to run it.
    pub fn read(file: &[u8], path: &str) -> Result<Self, Unfit> {
        let Document::Free(checked) = Document::check(file, path, &Surroundings::none()) else {
            return Err(Unfit::Saga);
        };
        let errors: Vec<String> = checked
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| format!("{}: {}", finding.id.id(), finding.message))
            .collect();
        match checked.compiled {
            Some(reactions) if errors.is_empty() => Self::new(&reactions),
            _ => Err(Unfit::Errors(errors.join("; "))),
        }
    }

    /// Takes one that was checked, as `amends_definition::FreeChoreography::build` gives it.
    ///
    /// # Errors
    ///
    /// It does not say all that is needed to run it.
    pub fn new(of: &Reactions) -> Result<Self, Unfit> {
        let events = of.events();
        let events =
            events.map(|(name, fields)| (name.to_owned(), fields.map(str::to_owned).collect()));
        let reactions = of.reactions();
        let inner = Inner {
            name: of.name().to_owned(),
            starts_with: of.starts_with().to_owned(),
            done: of.done().to_owned(),
            undone: of.undone().to_owned(),
            events: events.collect(),
            keys: reactions.iter().map(|reaction| key(reaction, &reactions)).collect(),
            reactions,
        };
        inner.check()?;
        Ok(Self(Arc::new(inner)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The event that starts a run.
    pub fn starts_with(&self) -> &str {
        &self.0.starts_with
    }

    /// The event that says that all is done.
    pub fn done(&self) -> &str {
        &self.0.done
    }

    /// The event that says that all is undone.
    pub fn undone(&self) -> &str {
        &self.0.undone
    }

    /// The services that have reactions in it, in the order of their first ones.
    pub fn services(&self) -> Vec<&str> {
        let mut services = Vec::new();
        for service in self.0.reactions.iter().filter_map(|reaction| reaction.service.as_deref()) {
            if !services.contains(&service) {
                services.push(service);
            }
        }
        services
    }

    /// One service's reactions in it; none is a service that only starts runs.
    pub fn service(&self, name: &str) -> Service {
        Service::new(self.clone(), name)
    }

    pub(super) fn reactions(&self) -> &[Reaction] {
        &self.0.reactions
    }

    pub(super) fn key(&self, reaction: usize) -> &str {
        &self.0.keys[reaction]
    }

    /// The fields that an event adds; `None` where there is no such event.
    pub(super) fn fields(&self, event: &str) -> Option<&BTreeSet<String>> {
        self.0.events.get(event)
    }

    pub(super) fn has_action(&self, name: &str) -> bool {
        let is_act = |it: &Reaction| matches!(it.does, Does::Act { .. });
        let mut keys = self.0.reactions.iter().zip(&self.0.keys);
        keys.any(|(reaction, key)| is_act(reaction) && key == name)
    }

    /// The action that this reaction carries out, or undoes: `Service.Command`.
    pub(super) fn action(&self, reaction: usize) -> Option<String> {
        action(&self.0.reactions[reaction], &self.0.reactions)
    }
}

impl Inner {
    fn check(&self) -> Result<(), Unfit> {
        for reaction in &self.reactions {
            if reaction.service.is_none() {
                return Err(Unfit::NobodySays(reaction.then.first().cloned().unwrap_or_default()));
            }
            // Where there is a result, what is said takes its fields from it.
            let Does::Act { command, compensation, on_failure, .. } = &reaction.does else {
                self.adds_only(&reaction.then, &[])?;
                continue;
            };
            self.adds_only(on_failure.as_slice(), &[REASON])?;
            let name = format!("{}.{}", command.service, command.name);
            if let Some(other) =
                compensation.as_ref().filter(|undo| undo.service != command.service)
            {
                let compensation = format!("{}.{}", other.service, other.name);
                return Err(Unfit::UndoneElsewhere { action: name, compensation });
            }
            if name.chars().count() > ACTION_CHARS_MAX {
                return Err(Unfit::LongName(name));
            }
        }
        Ok(())
    }

    /// Do these events add no other fields?
    fn adds_only(&self, events: &[String], fields: &[&str]) -> Result<(), Unfit> {
        for event in events {
            let mut added = self.events.get(event).into_iter().flatten();
            if let Some(field) = added.find(|field| !fields.contains(&field.as_str())) {
                return Err(Unfit::NotFilled { event: event.clone(), field: field.clone() });
            }
        }
        Ok(())
    }
}

fn action(reaction: &Reaction, all: &[Reaction]) -> Option<String> {
    match &reaction.does {
        Does::Act { command, .. } => Some(format!("{}.{}", command.service, command.name)),
        Does::Undo(of) => action(all.get(*of)?, all),
        Does::Say => None,
    }
}

fn key(reaction: &Reaction, all: &[Reaction]) -> String {
    let on = || reaction.on.join(if reaction.any { " or " } else { " and " });
    let action = action(reaction, all).unwrap_or_default();
    match &reaction.does {
        Does::Act { .. } => action,
        Does::Undo(_) => format!("undo {action} on {}", on()),
        Does::Say => format!("say {} on {}", reaction.then.join(" and "), on()),
    }
}

impl fmt::Debug for FreeChoreography {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FreeChoreography").field(&self.name()).finish()
    }
}
