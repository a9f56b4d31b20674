//! A reaction as it would stand in the file.

use std::fmt::Write as _;

use amends_core::definition::Kind;

use super::model::{Reactions, Trigger, Work, written};

/// A reaction in words of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) on: Vec<String>,
    /// The first of `on` is enough.
    pub(crate) any: bool,
    pub(crate) action: Option<String>,
    pub(crate) compensation: Option<String>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) undo: Option<String>,
    pub(crate) reads: Vec<String>,
    pub(crate) then: Vec<String>,
    pub(crate) on_failure: Option<String>,
    pub(crate) by: Option<String>,
}

impl Draft {
    /// As it stands there; a failure that nobody is told of has its event.
    pub(crate) fn of(of: &Reactions, reaction: usize) -> Self {
        let it = &of.reactions[reaction];
        let names = |events: &[usize]| events.iter().map(|e| of.event(*e).to_owned()).collect();
        let mut draft = Self {
            on: names(it.on.events()),
            any: matches!(it.on, Trigger::Any(_)),
            reads: it.reads.clone(),
            then: names(&it.then),
            ..Self::default()
        };
        match &it.work {
            Work::Act(act) => {
                draft.action = Some(written(&act.command));
                draft.compensation = act.compensation.as_ref().map(written);
                if act.reads_only {
                    draft.compensation = Some("none".to_owned());
                }
                draft.kind = kind_word(act.kind);
                draft.on_failure = act.on_failure.map(|event| of.event(event).to_owned());
            }
            Work::Undo(action) => draft.undo = Some(of.action(*action)),
            Work::Say(by) => draft.by.clone_from(by),
        }
        draft
    }

    /// The lines of it, as an entry of `reactions`.
    pub(crate) fn lines(&self) -> String {
        let mut text = String::from("  - on: ");
        match self.on.as_slice() {
            [one] => text.push_str(one),
            many if self.any => {
                let _ = write!(text, "{{ any_of: [{}] }}", many.join(", "));
            }
            many => {
                let _ = write!(text, "[{}]", many.join(", "));
            }
        }
        let mut key = |key: &str, value: &str| {
            let _ = write!(text, "\n    {key}: {value}");
        };
        for (word, value) in [
            ("action", self.action.as_deref()),
            ("compensation", self.compensation.as_deref()),
            ("kind", self.kind),
            ("undo", self.undo.as_deref()),
        ] {
            if let Some(value) = value {
                key(word, value);
            }
        }
        if !self.reads.is_empty() {
            key("reads", &format!("[{}]", self.reads.join(", ")));
        }
        match self.then.as_slice() {
            [] => {}
            [one] => key("then", one),
            many => key("then", &format!("[{}]", many.join(", "))),
        }
        for (word, value) in [("on_failure", &self.on_failure), ("by", &self.by)] {
            if let Some(value) = value {
                key(word, value);
            }
        }
        text
    }

    /// Waits for this event where it waited for those.
    pub(crate) fn waits_instead(&mut self, of: &[String], event: &str) {
        let single = self.on.len() == 1;
        if self.any || single {
            self.on.retain(|on| !of.contains(on));
        }
        if !self.on.iter().any(|on| on == event) {
            self.on.push(event.to_owned());
        }
    }
}

/// The word of a kind, where it must be said.
pub(crate) fn kind_word(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Compensatable => None,
        Kind::Pivot => Some("pivot"),
        Kind::Retriable => Some("retriable"),
        Kind::BestEffort => Some("best_effort"),
    }
}
