//! A step, a group of steps, and what belongs to them.

use amends_core::Millis;
use schemars::JsonSchema;
use serde_json::{Value as Json, json};

use crate::file::decode::{DurationSchema, record, wrong_shape};
use crate::file::word::bad_word;
use crate::file::{Canonical, Decode, FenceWord, Field, KindWord, OneOrMany, RetryFile, Template};
use crate::finding::Findings;
use crate::tree::{Node, Value};

/// An entry of `steps`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum ItemFile {
    Parallel(ParallelFile),
    Step(Box<StepFile>),
}

impl Decode for ItemFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let parallel = match &node.value {
            Value::Map(entries) => entries.iter().any(|e| e.key == "parallel"),
            _ => false,
        };
        if parallel {
            ParallelFile::decode(node, findings).map(Self::Parallel)
        } else {
            StepFile::decode(node, findings).map(|step| Self::Step(Box::new(step)))
        }
    }
}

impl Canonical for ItemFile {
    fn canonical(&self) -> Json {
        match self {
            Self::Parallel(group) => group.canonical(),
            Self::Step(step) => step.canonical(),
        }
    }
}

record! {
    /// Steps that run side by side.
    #[schemars(extend("required" = ["parallel"]))]
    ParallelFile("a mapping with `parallel`") {
        /// The steps of the group.
        #[schemars(length(min = 1, max = 64))]
        parallel: Vec<StepFile>,
    }
}

record! {
    /// A unit of work, owned by one service.
    #[schemars(extend("required" = ["name"]))]
    StepFile("a step: a mapping with `name` and `action`, or with `parallel`") {
        /// Unique in the definition; letters, digits, `_` and `-`.
        #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
        name: String,
        /// Atomic or eventual; compensatable when not said.
        kind: KindWord,
        /// The command that does it: `Service.Command`.
        #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}\\.[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
        action: String,
        /// The command that undoes it, or `none` for a step that only reads.
        compensation: CompensationFile,
        /// What the command carries instead of the saga's whole data; may hold `${ … }` at any depth.
        input: Template,
        /// Fields of the input (or of data) that appear in no log, trace, event or answer.
        redact: Vec<Field<String>>,
        /// A condition in `${ … }`; the step is skipped when it is false.
        when: String,
        /// A list in `${ … }`, at most 64 items: each is one run of the step, with `item` in `input`.
        for_each: String,
        /// The steps it waits for, instead of the one before it.
        after: OneOrMany,
        /// How long one attempt is waited for.
        #[schemars(with = "Option<DurationSchema>")]
        timeout: Millis,
        /// How long the step may take over all its attempts.
        #[schemars(with = "Option<DurationSchema>")]
        deadline: Millis,
        /// How long an attempt answered with "accepted" is waited for; the deadline when not said.
        #[schemars(with = "Option<DurationSchema>")]
        accepted_timeout: Millis,
        /// How attempts are repeated.
        retry: RetryFile,
        /// The step's own fence; its service's when not said.
        fence: FenceWord,
        /// Which failure codes are final and which pass.
        failures: FailuresFile,
        /// When the step is slow, and when too slow.
        sla: SlaFile,
        /// The signal it waits for, instead of an action.
        #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
        signal: String,
        /// What follows when the signal has not come by the deadline.
        on_deadline: OnDeadlineFile,
        /// A condition in `${ … }` over `signal`: true turns the saga.
        refuse_when: String,
    }
}

record! {
    /// Which failure codes are final and which pass.
    FailuresFile("a mapping with `permanent` and `transient`") {
        /// Codes that are a refusal.
        permanent: Vec<Field<String>>,
        /// Codes that are worth another attempt.
        transient: Vec<Field<String>>,
    }
}

record! {
    /// When the step is slow, and when too slow.
    SlaFile("a mapping with `warn` and `breach`") {
        /// When somebody is warned.
        #[schemars(with = "Option<DurationSchema>")]
        warn: Millis,
        /// When the promise is broken.
        #[schemars(with = "Option<DurationSchema>")]
        breach: Millis,
    }
}

/// How a step is undone.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum CompensationFile {
    /// `none` for a step that only reads, else `Service.Command`.
    Word(String),
    /// With its own policy.
    Policy(Box<UndoingFile>),
}

record! {
    /// A compensation with its own policy.
    #[schemars(extend("required" = ["command"]))]
    UndoingFile("`none`, `Service.Command`, or a mapping with `command`") {
        /// `Service.Command`.
        command: String,
        /// How long one attempt is waited for.
        #[schemars(with = "Option<DurationSchema>")]
        timeout: Millis,
        /// How attempts are repeated; `max_attempts` makes a dead letter.
        retry: RetryFile,
    }
}

impl Decode for CompensationFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some(text) => Some(Self::Word(text.to_owned())),
            None => UndoingFile::decode(node, findings).map(|p| Self::Policy(Box::new(p))),
        }
    }
}

/// A command alone is the same however it is written.
impl Canonical for CompensationFile {
    fn canonical(&self) -> Json {
        match self {
            Self::Word(word) => json!(word),
            Self::Policy(policy) => match (&policy.command, &policy.timeout, &policy.retry) {
                (Some(command), None, None) => json!(command.value),
                _ => policy.canonical(),
            },
        }
    }
}

/// What follows when a signal has not come in time.
#[derive(Clone, Debug)]
pub(crate) enum OnDeadlineFile {
    Refuse,
    Continue(Json),
}

impl Decode for OnDeadlineFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match (&node.value, node.text()) {
            (_, Some("refuse")) => Some(Self::Refuse),
            (_, Some("continue")) => Some(Self::Continue(Json::Null)),
            (_, Some(other)) => {
                bad_word(node, Some(other), &["refuse", "continue"], findings);
                None
            }
            (Value::Map(entries), None) => match entries.as_slice() {
                [value] if value.key == "value" => {
                    Some(Self::Continue(Template::decode(&value.value, findings)?.json))
                }
                [inner] if inner.key == "continue" => match &inner.value.value {
                    Value::Map(value) if value.len() == 1 && value[0].key == "value" => {
                        Some(Self::Continue(Template::decode(&value[0].value, findings)?.json))
                    }
                    _ => {
                        wrong_shape(&inner.value, "`{ value: … }`", findings);
                        None
                    }
                },
                _ => {
                    wrong_shape(
                        node,
                        "`refuse`, `continue` or `{ continue: { value: … } }`",
                        findings,
                    );
                    None
                }
            },
            _ => {
                wrong_shape(node, "`refuse`, `continue` or `{ continue: { value: … } }`", findings);
                None
            }
        }
    }
}

impl Canonical for OnDeadlineFile {
    fn canonical(&self) -> Json {
        match self {
            Self::Refuse => json!("refuse"),
            Self::Continue(value) => json!({ "continue": { "value": value } }),
        }
    }
}

impl JsonSchema for OnDeadlineFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OnDeadline".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = json!({
            "type": "object",
            "properties": { "value": {} },
            "required": ["value"],
            "additionalProperties": false,
        });
        schemars::json_schema!({
            "description": "What follows when the signal has not come in time: the step fails, or the saga goes on, with this value as the step's result.",
            "anyOf": [
                { "enum": ["refuse", "continue"] },
                value,
                {
                    "type": "object",
                    "properties": { "continue": value },
                    "required": ["continue"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
