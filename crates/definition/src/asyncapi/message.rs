//! The messages, as JSON Schema.

use amends_core::definition::{Command, Step};
use serde_json::{Map, Value as Json, json};

use crate::compile::Compiled;

/// How CloudEvents are carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// Attributes in headers with this prefix.
    Headers(&'static str),
    /// Attributes and body in one JSON text.
    Structured,
}

/// A message without its envelope.
pub(super) struct Shape {
    /// Its name within whatever it belongs to.
    pub(super) name: String,
    /// The event's type.
    ce_type: String,
    summary: String,
    /// CloudEvents attributes beside those that every event has.
    attributes: &'static [(&'static str, &'static str)],
    /// Is a message without any envelope taken, too?
    plain: bool,
    payload: Json,
}

const SAGA: (&str, &str) = ("correlationid", "the saga");
const CAUSE: (&str, &str) = ("causationid", "the id of what it answers");
const DEADLINE: (&str, &str) = ("expirytime", "when the step's deadline passes, RFC 3339");
const TRACE: (&str, &str) = ("traceparent", "the W3C trace context");

impl Shape {
    pub(super) fn written(self, envelope: Envelope) -> Json {
        let required = ["specversion", "id", "source", "type"];
        let mut attributes = Map::new();
        attributes.insert("specversion".to_owned(), json!({ "const": "1.0" }));
        attributes.insert("id".to_owned(), json!({ "type": "string" }));
        attributes
            .insert("source".to_owned(), json!({ "type": "string", "format": "uri-reference" }));
        attributes.insert("type".to_owned(), json!({ "const": self.ce_type }));
        for (name, what) in self.attributes {
            attributes.insert((*name).to_owned(), json!({ "type": "string", "description": what }));
        }
        let correlated = self.attributes.contains(&SAGA);
        let mut message = json!({
            "name": self.ce_type,
            "summary": self.summary,
        });
        match envelope {
            Envelope::Headers(prefix) => {
                // The trace context stands under its own name.
                let header = |name: &str| match name {
                    "traceparent" => name.to_owned(),
                    name => format!("{prefix}{name}"),
                };
                let headers: Map<_, _> =
                    attributes.into_iter().map(|(name, schema)| (header(&name), schema)).collect();
                let mut schema = json!({ "type": "object", "properties": headers });
                if !self.plain {
                    schema["required"] = required.map(header).as_slice().into();
                }
                message["contentType"] = "application/json".into();
                message["headers"] = schema;
                message["payload"] = self.payload;
                if correlated {
                    let location = format!("$message.header#/{prefix}correlationid");
                    message["correlationId"] = json!({ "location": location });
                }
            }
            Envelope::Structured => {
                attributes
                    .insert("datacontenttype".to_owned(), json!({ "const": "application/json" }));
                attributes.insert("data".to_owned(), self.payload.clone());
                let mut needed = required.to_vec();
                needed.push("data");
                let event =
                    json!({ "type": "object", "properties": attributes, "required": needed });
                message["contentType"] = "application/cloudevents+json".into();
                message["payload"] = match self.plain {
                    true => json!({ "anyOf": [event, self.payload] }),
                    false => event,
                };
                if correlated {
                    message["correlationId"] =
                        json!({ "location": "$message.payload#/correlationid" });
                }
            }
        }
        message
    }
}

/// A command of a step. Its `data` looks like this.
pub(super) fn command(
    compiled: &Compiled,
    step: &Step,
    command: &Command,
    direction: &'static str,
    data: Json,
    flat: bool,
) -> Shape {
    let full = format!("{}.{}", command.service, command.name);
    let mut properties = json!({
        "saga_id": saga_id(),
        "saga_type": { "const": &**compiled.definition.saga_type() },
        "step_name": { "type": "string", "description": format!("{}, or {0}.<i> of a for_each step", step.name) },
        "direction": { "const": direction },
        "command": { "const": full },
        "idempotency_key": { "type": "string", "description": "the same at every sending" },
        "data": data,
    });
    let mut required = vec![
        "saga_id",
        "saga_type",
        "step_name",
        "direction",
        "command",
        "idempotency_key",
        "data",
    ];
    if direction == "compensation" {
        properties["action_key"] =
            json!({ "type": "string", "description": "the action's idempotency key" });
        properties["outcome"] = json!({ "enum": ["completed", "unknown"] });
        properties["original_result"] =
            json!({ "description": "the action's result; null when unknown" });
        required.extend(["action_key", "outcome", "original_result"]);
    }
    let also = if flat { "; the fields of `data` also stand at the top level" } else { "" };
    Shape {
        name: command.name.to_string(),
        ce_type: full,
        summary: format!("The {direction} of {}{also}.", step.name),
        attributes: &[SAGA, CAUSE, DEADLINE, TRACE],
        plain: false,
        payload: json!({ "type": "object", "properties": properties, "required": required }),
    }
}

/// The replies to actions or compensations.
pub(super) fn replies(direction: &'static str) -> Vec<Shape> {
    let reply = |name: &str, summary: &str, own: &[(&str, Json)], needs: &[&str]| {
        let mut properties = json!({
            "type": { "const": name },
            "saga_id": saga_id(),
            "step_name": { "type": "string" },
            "attempt": { "type": "integer", "minimum": 1 },
            "idempotency_key": { "type": "string" },
        });
        for (name, schema) in own {
            properties[*name] = schema.clone();
        }
        let mut required = vec!["saga_id", "step_name"];
        required.extend(needs);
        Shape {
            name: name.to_owned(),
            ce_type: name.to_owned(),
            summary: summary.to_owned(),
            attributes: &[SAGA, CAUSE, TRACE],
            plain: true,
            payload: json!({ "type": "object", "properties": properties, "required": required }),
        }
    };
    let error = ("error", error());
    if direction == "action" {
        let retryable = ("retryable", json!({ "type": "boolean" }));
        return vec![
            reply("SagaStepCompleted", "The step is done.", &[("result", json!({}))], &[]),
            reply("SagaStepFailed", "Refused, or not now.", &[error, retryable], &["error"]),
        ];
    }
    let undone =
        ("undone", json!({ "type": "boolean", "description": "was there something to undo?" }));
    vec![
        reply("SagaCompensationCompleted", "The step is undone.", &[undone], &[]),
        reply("SagaCompensationFailed", "Not undone yet; it is asked again.", &[error], &["error"]),
    ]
}

/// What a saga type is asked.
pub(super) fn requests(saga_type: &str, data: Json) -> Vec<Shape> {
    let request = |verb: &str, summary: &str, attributes, payload| Shape {
        name: format!("{saga_type}.{verb}"),
        ce_type: format!("{saga_type}.{verb}"),
        summary: summary.to_owned(),
        attributes,
        plain: false,
        payload,
    };
    let of_saga = |own: Json, required: Json| {
        let mut properties = json!({ "saga_id": saga_id(), "business_key": { "type": "string" } });
        for (name, schema) in own.as_object().into_iter().flatten() {
            properties[name] = schema.clone();
        }
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let cancel = of_saga(json!({ "reason": { "type": "string" } }), json!([]));
    let signal = of_saga(json!({ "signal": { "type": "string" }, "value": {} }), json!(["signal"]));
    vec![
        request("Start", "Starts a saga with this data, once by source and id.", &[TRACE], data),
        request("Cancel", "Cancels a saga, by its id or its business key.", &[SAGA, TRACE], cancel),
        request("Signal", "Signals a saga, by its id or its business key.", &[SAGA, TRACE], signal),
    ]
}

/// What came of that.
pub(super) fn answers() -> Vec<Shape> {
    let answer = |name: &str, summary: &str, own: &str, schema: Json| {
        let properties = json!({
            "type": { "const": name },
            "saga_type": { "type": "string" },
            "saga_id": { "type": ["string", "null"], "format": "uuid" },
            "request": {
                "type": "object",
                "properties": { "source": { "type": "string" }, "id": { "type": "string" } },
                "required": ["source", "id"],
            },
            own: schema,
        });
        let required = ["type", "saga_type", "saga_id", "request", own];
        Shape {
            name: name.to_owned(),
            ce_type: name.to_owned(),
            summary: summary.to_owned(),
            attributes: &[SAGA, CAUSE],
            plain: false,
            payload: json!({ "type": "object", "properties": properties, "required": required }),
        }
    };
    vec![
        answer("SagaRequestAccepted", "It is done, durably.", "state", state()),
        answer("SagaRequestRefused", "It cannot be done.", "error", error()),
    ]
}

/// What is told of sagas.
pub(super) fn events(saga_type: &str, transitions: bool) -> Vec<Shape> {
    let mut properties = json!({
        "type": { "type": "string" },
        "saga_id": saga_id(),
        "saga_type": { "const": saga_type },
        "version": { "type": "integer" },
        "seq": { "type": "integer", "description": "the fact that it tells of" },
        "at": { "type": "string", "format": "date-time" },
        "state": state(),
        "business_key": { "type": ["string", "null"] },
    });
    if transitions {
        properties["changes"] = json!({ "type": "array", "items": { "type": "object" } });
    }
    let required =
        ["type", "saga_id", "saga_type", "version", "seq", "at", "state", "business_key"];
    let event = |what: &str, summary: &str, ended: bool| {
        let mut properties = properties.clone();
        if ended {
            properties["error"] = json!({ "type": ["object", "null"] });
            properties["clean"] = json!({ "type": "boolean" });
        }
        Shape {
            name: format!("{saga_type}{what}"),
            ce_type: format!("{saga_type}{what}"),
            summary: summary.to_owned(),
            attributes: &[SAGA],
            plain: false,
            payload: json!({ "type": "object", "properties": properties, "required": required }),
        }
    };
    let mut events = vec![
        event("Completed", "All of it is done.", true),
        event("Failed", "All of it is undone.", true),
    ];
    if transitions {
        events.push(event("Transition", "Something changed.", false));
    }
    events
}

fn saga_id() -> Json {
    json!({ "type": "string", "format": "uuid" })
}

fn state() -> Json {
    json!({ "enum": ["started", "pending", "compensating", "completed", "failed"] })
}

fn error() -> Json {
    json!({
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "code": { "type": "string" }, "message": { "type": "string" } },
            },
        ],
    })
}
