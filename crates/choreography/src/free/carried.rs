//! What events carry from one service to the next: fields that become more on the way.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Fields, each with its JSON as it came.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(BTreeMap<String, Box<RawValue>>);

/// What an event carries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Carried {
    /// The fields that it, and the events before it on its way, have added.
    pub data: Data,
    /// The actions on its way that are done and not undone, in that order.
    #[serde(default)]
    pub completed_steps: Vec<String>,
}

impl Data {
    /// Of a JSON object.
    ///
    /// # Errors
    ///
    /// The text is none.
    pub fn of(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The JSON object.
    pub fn to_json(&self) -> String {
        // Names, and JSON that was read as such.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The names of its fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The JSON of a field.
    pub fn get(&self, field: &str) -> Option<&RawValue> {
        self.0.get(field).map(|value| &**value)
    }

    pub(super) fn set(&mut self, field: &str, value: Box<RawValue>) {
        self.0.insert(field.to_owned(), value);
    }
}

impl Carried {
    /// What comes together of two ways: of a field that both have, the later one's counts.
    pub(super) fn join(&mut self, other: &Self) {
        let Data(fields) = other.data.clone();
        self.data.0.extend(fields);
        for step in &other.completed_steps {
            self.completes(step);
        }
    }

    pub(super) fn completes(&mut self, step: &str) {
        if !self.completed_steps.iter().any(|known| known == step) {
            self.completed_steps.push(step.to_owned());
        }
    }

    pub(super) fn undoes(&mut self, step: &str) {
        self.completed_steps.retain(|known| known != step);
    }
}

/// What it holds may be what must not be logged (S24).
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
