//! What the engine asks: a step's inputs, a signal's verdict, a saga's business key.

use std::collections::BTreeMap;
use std::fmt;

use amends_core::StepIx;
use amends_core::definition::RUNS_MAX;
use serde_json::{Value as Json, json};

use super::path::Scope;
use super::{ExprError, INPUT_BYTES_MAX, Program, RefusedWhen, Template};

/// What an expression can see of a saga.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The saga's data.
    pub data: &'a Json,
    /// Results by step name, an object: null where a step was skipped or a best effort failed, a
    /// list in order for `for_each`.
    pub result: &'a Json,
    /// The saga's id, hyphenated.
    pub saga_id: &'a str,
    /// The saga type.
    pub saga_type: &'a str,
}

/// What a step that became ready is to send.
#[derive(Clone, Debug, PartialEq)]
pub enum StepInputs {
    /// Its condition is false.
    Skipped,
    /// The saga's whole data.
    Data,
    /// One input a run, `None` for the saga's data; more or fewer than one only with `for_each`,
    /// and no run at all means skipped with an empty list.
    Inputs(Vec<Option<Json>>),
}

/// The expressions of one step.
#[derive(Debug, Default)]
pub(crate) struct StepExpressions {
    pub(crate) name: String,
    pub(crate) when: Option<Program>,
    pub(crate) for_each: Option<Program>,
    pub(crate) input: Option<Template>,
    pub(crate) refuse_when: Option<Program>,
}

/// Every expression of a definition, compiled.
#[derive(Default)]
pub struct Expressions {
    pub(crate) steps: Vec<StepExpressions>,
    pub(crate) business_key: Option<Template>,
    pub(crate) refused_when: BTreeMap<String, RefusedWhen>,
    pub(crate) env: BTreeMap<String, String>,
}

/// Only the names of environment variables are shown: a value may be a credential
/// (`semantics.md` S24).
impl fmt::Debug for Expressions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("Expressions").field("steps", &self.steps.len()).field("env", &env).finish()
    }
}

impl Expressions {
    /// Does the step say itself what it sends?
    pub(crate) fn has_input(&self, step: StepIx) -> bool {
        self.steps.get(step.get()).is_some_and(|step| step.input.is_some())
    }

    /// What the step sends, now that it is ready. Evaluated once; the outcome is a fact.
    pub fn ready(&self, step: StepIx, context: &Context<'_>) -> Result<StepInputs, ExprError> {
        let Some(step) = self.steps.get(step.get()) else { return Ok(StepInputs::Data) };
        let env = json!(self.env);
        let saga = saga_value(context);
        let mut scope = vec![
            ("data", context.data),
            ("result", context.result),
            ("saga", &saga),
            ("env", &env),
        ];
        if let Some(when) = &step.when
            && !condition(&step.name, "when", when, &scope)?
        {
            return Ok(StepInputs::Skipped);
        }
        let Some(for_each) = &step.for_each else {
            return match &step.input {
                None => Ok(StepInputs::Data),
                Some(input) => Ok(StepInputs::Inputs(vec![Some(fill(&step.name, input, &scope)?)])),
            };
        };
        let items = evaluate(&step.name, "for_each", for_each, &scope)?;
        let Json::Array(items) = items else {
            return Err(error(&step.name, "for_each", for_each, "the value is no list"));
        };
        if items.len() > RUNS_MAX {
            let message =
                format!("the list has {} items, and at most {RUNS_MAX} can run", items.len());
            return Err(error(&step.name, "for_each", for_each, &message));
        }
        let mut inputs = Vec::with_capacity(items.len());
        for item in &items {
            match &step.input {
                None => inputs.push(None),
                Some(input) => {
                    scope.push(("item", item));
                    inputs.push(Some(fill(&step.name, input, &scope)?));
                    scope.pop();
                }
            }
        }
        Ok(StepInputs::Inputs(inputs))
    }

    /// Does the step send something else than the saga's data?
    pub fn has_own_input(&self, step: StepIx) -> bool {
        let step = self.steps.get(step.get());
        step.is_some_and(|step| step.input.is_some() || step.for_each.is_some())
    }

    /// Does the signal's body refuse? False for a step without `refuse_when`.
    pub fn judge_signal(
        &self,
        step: StepIx,
        context: &Context<'_>,
        signal: &Json,
    ) -> Result<bool, ExprError> {
        let Some(step) = self.steps.get(step.get()) else { return Ok(false) };
        let Some(refuse_when) = &step.refuse_when else { return Ok(false) };
        let (env, saga) = (json!(self.env), saga_value(context));
        let scope = [
            ("data", context.data),
            ("result", context.result),
            ("saga", &saga),
            ("env", &env),
            ("signal", signal),
        ];
        condition(&step.name, "refuse_when", refuse_when, &scope)
    }

    /// The saga's business key, as text; `None` when the definition has none.
    pub fn business_key(&self, data: &Json) -> Result<Option<String>, ExprError> {
        let Some(key) = &self.business_key else { return Ok(None) };
        let env = json!(self.env);
        let scope = [("data", data), ("env", &env)];
        // It is no step's, and has no key below it.
        let place = |error| ExprError { place: "business_key".to_owned(), ..error };
        let value = fill("business_key", key, &scope).map_err(place)?;
        match value {
            Json::String(text) if !text.is_empty() => Ok(Some(text)),
            Json::Number(number) => Ok(Some(number.to_string())),
            _ => Err(ExprError {
                place: "business_key".to_owned(),
                expression: first_expression(key).to_owned(),
                message: "a key is a text or a number, and not empty".to_owned(),
            }),
        }
    }
}

type Variables<'a> = [(&'static str, &'a Json)];

fn saga_value(context: &Context<'_>) -> Json {
    json!({ "id": context.saga_id, "type": context.saga_type })
}

fn evaluate(
    step: &str,
    key: &str,
    program: &Program,
    variables: &Variables<'_>,
) -> Result<Json, ExprError> {
    program.evaluate(Scope { variables }).map_err(|message| error(step, key, program, &message))
}

pub(super) fn condition(
    step: &str,
    key: &str,
    program: &Program,
    variables: &Variables<'_>,
) -> Result<bool, ExprError> {
    match evaluate(step, key, program, variables)? {
        Json::Bool(holds) => Ok(holds),
        _ => Err(error(step, key, program, "the value is neither true nor false")),
    }
}

fn fill(step: &str, input: &Template, variables: &Variables<'_>) -> Result<Json, ExprError> {
    let mut made = 0;
    let mut count = |program: &Program, value: &Json| {
        made += size(value);
        if made > INPUT_BYTES_MAX {
            let message = format!("the input has more than {INPUT_BYTES_MAX} bytes");
            return Err(error(step, "input", program, &message));
        }
        Ok(())
    };
    let value = input.fill(
        &mut |program| {
            let value = evaluate(step, "input", program, variables)?;
            count(program, &value)?;
            Ok(value)
        },
        &mut |program, value| match value {
            Json::String(text) => Ok(text),
            Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
            _ => Err(error(step, "input", program, "the value has no text form")),
        },
    )?;
    if size(&value) > INPUT_BYTES_MAX {
        return Err(ExprError {
            place: format!("{step}.input"),
            expression: first_expression(input).to_owned(),
            message: format!("the input has more than {INPUT_BYTES_MAX} bytes"),
        });
    }
    Ok(value)
}

/// The bytes of the value as JSON text, without making it.
fn size(value: &Json) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

fn error(step: &str, key: &str, program: &Program, message: &str) -> ExprError {
    ExprError {
        place: format!("{step}.{key}"),
        expression: program.text().to_owned(),
        message: message.to_owned(),
    }
}

fn first_expression(template: &Template) -> &str {
    use super::template::Piece;
    match template {
        Template::Constant(_) => "",
        Template::Value(program) => program.text(),
        Template::Text(pieces) => pieces
            .iter()
            .find_map(|piece| match piece {
                Piece::Expression(program) => Some(program.text()),
                Piece::Text(_) => None,
            })
            .unwrap_or_default(),
        Template::List(items) => {
            items.iter().map(first_expression).find(|t| !t.is_empty()).unwrap_or_default()
        }
        Template::Object(fields) => fields
            .iter()
            .map(|(_, t)| first_expression(t))
            .find(|t| !t.is_empty())
            .unwrap_or_default(),
    }
}
