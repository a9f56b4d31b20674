//! A step's expressions, evaluated over what the saga knows. The machine gets the value as a fact.

use amends_core::definition::Work;
use amends_core::input::Evaluation;
use amends_core::saga::{Fault, Saga, Status, StepState};
use amends_core::{Payload, StepIx};
use amends_definition::{Compiled, Context, StepInputs};
use serde_json::{Map, Value as Json};

use crate::options::STEP_INPUTS_BYTES_MAX;

/// What the expressions of a step that is reached come to.
pub fn evaluate(compiled: &Compiled, saga: &Saga, step: StepIx) -> Evaluation {
    match evaluated(compiled, saga, step) {
        Ok(value) => value,
        Err(why) => Evaluation::Failed(Fault::new("EXPRESSION", &why)),
    }
}

fn evaluated(compiled: &Compiled, saga: &Saga, step: StepIx) -> Result<Evaluation, String> {
    let data = json(&saga.data)?;
    let result = results(compiled, saga)?;
    let saga_id = saga.id.to_string();
    let context = Context {
        data: &data,
        result: &result,
        saga_id: &saga_id,
        saga_type: &saga.pinned.saga_type,
    };
    let expressions = &compiled.expressions;
    if let Work::Signal { signal, .. } = &compiled.definition.step(step).work {
        let body = saga.signals.iter().find(|came| came.name == *signal).map(|came| &came.body);
        let body = body.map_or(Ok(Json::Null), json)?;
        let refused =
            expressions.judge_signal(step, &context, &body).map_err(|error| error.to_string())?;
        return Ok(Evaluation::Judged { refused });
    }
    let inputs = expressions.ready(step, &context).map_err(|error| error.to_string())?;
    Ok(match inputs {
        StepInputs::Skipped => Evaluation::Skip,
        StepInputs::Data => Evaluation::Data,
        StepInputs::Inputs(inputs) => {
            let payload = |input: Json| Payload::from(input.to_string().as_str());
            let inputs: Vec<Option<Payload>> =
                inputs.into_iter().map(|input| input.map(payload)).collect();
            let bytes: usize = inputs.iter().flatten().map(|input| input.bytes().len()).sum();
            if bytes > STEP_INPUTS_BYTES_MAX {
                return Err(format!(
                    "the inputs of all its runs have {bytes} bytes and may have \
                     {STEP_INPUTS_BYTES_MAX}: pass references instead of the content"
                ));
            }
            Evaluation::Inputs(inputs)
        }
    })
}

/// `result` as expressions see it: null for what was skipped, failed or has not run, a list in
/// order for `for_each`.
fn results(compiled: &Compiled, saga: &Saga) -> Result<Json, String> {
    let mut results = Map::new();
    for (step, state) in compiled.definition.steps().iter().zip(&saga.steps) {
        let value = match state {
            StepState::Waiting { .. } => continue,
            StepState::Skipped { for_each: true, .. } => Json::Array(Vec::new()),
            StepState::Skipped { for_each: false, .. } => Json::Null,
            StepState::Runs { for_each, runs } => {
                let of_run = |run: &amends_core::saga::Run| match &run.result {
                    // A late success of a step given up does not change what others saw.
                    Some(result) if run.status == Status::Completed => json(result),
                    _ => Ok(Json::Null),
                };
                if *for_each {
                    Json::Array(runs.iter().map(of_run).collect::<Result<_, _>>()?)
                } else {
                    runs.first().map_or(Ok(Json::Null), of_run)?
                }
            }
        };
        results.insert(step.name.to_string(), value);
    }
    Ok(Json::Object(results))
}

fn json(payload: &Payload) -> Result<Json, String> {
    serde_json::from_slice(payload.bytes()).map_err(|error| format!("its data is no JSON: {error}"))
}
