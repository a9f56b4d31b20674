//! A free choreography: what starts it, how it ends, and what each service does at which event.

use schemars::JsonSchema;
use serde_json::{Value as Json, json};

use crate::file::decode::{entries, record, wrong_shape};
use crate::file::{Canonical, Decode, Field, KindWord, Named, OneOrMany, ServiceFile};
use crate::finding::Findings;
use crate::tree::{Node, Value};

record! {
    /// A free choreography: services that react to each other's events.
    #[schemars(
        title = "amends free choreography",
        extend("required" = ["choreography", "starts_with", "ends_with", "reactions"])
    )]
    ChoreographyFile("a mapping with `choreography` and `reactions`") {
        /// The name of the choreography.
        choreography: String,
        /// The event that starts it.
        starts_with: String,
        /// The events that end it, one way or the other.
        ends_with: EndsFile,
        /// Who reacts, and what each service promises.
        services: Named<ServiceFile>,
        /// The fields that an event adds to what those before it carry.
        events: Named<Vec<Field<String>>>,
        /// What is done at which event.
        #[schemars(length(min = 1, max = 64))]
        reactions: Vec<ReactionFile>,
    }
}

record! {
    /// The events that end a choreography.
    #[schemars(extend("required" = ["done", "undone"]))]
    EndsFile("a mapping with `done` and `undone`") {
        /// All that was wanted is done.
        done: String,
        /// It failed, and all that had been done is undone.
        undone: String,
    }
}

record! {
    /// What one service does when an event comes.
    #[schemars(extend("required" = ["on"]))]
    ReactionFile("a reaction: a mapping with `on` and `action`, `undo` or `then`") {
        /// The event that it waits for; of a list all, of `any_of` the first that comes.
        on: TriggerFile,
        /// The command that does it: `Service.Command`.
        #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}\\.[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
        action: String,
        /// The command that undoes the action, or `none` for one that only reads.
        compensation: String,
        /// Atomic or eventual; compensatable when not said.
        kind: KindWord,
        /// The action that it undoes, by its compensation.
        #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}\\.[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
        undo: String,
        /// The fields that it needs of what the event carries.
        reads: Vec<Field<String>>,
        /// The events that it says when that is done.
        then: OneOrMany,
        /// The event that it says when the action fails.
        on_failure: String,
        /// The service that says it, where no command names one.
        by: String,
    }
}

/// Which event, or which of several.
#[derive(Clone, Debug)]
pub(crate) enum TriggerFile {
    /// All of them, in whatever order.
    All(Vec<Field<String>>),
    /// The first that comes.
    Any(Vec<Field<String>>),
}

impl TriggerFile {
    pub(crate) fn events(&self) -> &[Field<String>] {
        match self {
            Self::All(events) | Self::Any(events) => events,
        }
    }
}

impl Decode for TriggerFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(_) => Vec::decode(node, findings).map(Self::All),
            Value::Map(_) => {
                let of = entries(node, "a mapping with `any_of`", &["any_of"], findings)?;
                let Some(any) = of.iter().find(|entry| entry.key == "any_of") else {
                    // A key with another name has its finding.
                    if of.is_empty() {
                        wrong_shape(node, "an event, a list of events, or `any_of`", findings);
                    }
                    return None;
                };
                Vec::decode(&any.value, findings).map(Self::Any)
            }
            Value::Scalar { .. } => {
                if node.is_null() {
                    wrong_shape(node, "an event, a list of events, or `any_of`", findings);
                    return None;
                }
                Field::decode(node, findings).map(|one| Self::All(vec![one]))
            }
        }
    }
}

impl Canonical for TriggerFile {
    fn canonical(&self) -> Json {
        let names: Vec<_> = self.events().iter().map(Canonical::canonical).collect();
        match self {
            Self::All(_) => Json::Array(names),
            Self::Any(_) => json!({ "any_of": names }),
        }
    }
}

impl JsonSchema for TriggerFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Trigger".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        schemars::json_schema!({
            "description": "An event; a list, of which all must have come; or `any_of` a list, of which the first counts.",
            "anyOf": [
                { "type": "string" },
                names,
                {
                    "type": "object",
                    "properties": {
                        "any_of": {
                            "description": "The first of these that comes sets it off.",
                            "type": "array",
                            "items": { "type": "string" },
                            "minItems": 1,
                        },
                    },
                    "required": ["any_of"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
