//! An expression that gave no value in a rehearsal: which, of which step, why, and where the file has it.

use std::sync::Arc;

use amends_core::StepIx;
use amends_core::saga::{Saga, StepState};
use amends_definition::{Compiled, Source};
use serde_json::Value;

/// The code of the machine's own errors for it.
const CODE: &str = "EXPRESSION";

/// The business key of a saga that would start with this data, where that cannot be evaluated.
pub fn of_start(compiled: &Compiled, data: &Value) -> Option<String> {
    let error = compiled.expressions.business_key(data).err()?;
    let source = source(compiled);
    let from = source.text().find("business_key").unwrap_or_default();
    Some(told(&source, from..source.text().len(), &error.to_string()))
}

/// The first that failed in a saga.
pub fn of_saga(compiled: &Compiled, saga: &Saga) -> Option<String> {
    let failed = saga.steps.iter().zip(0u8..).find_map(|(state, step)| {
        let fault = match state {
            StepState::Waiting { expression_error } => expression_error.as_ref(),
            // What a participant says has been sent for.
            StepState::Runs { runs, .. } => {
                runs.iter().filter(|run| run.action.is_none()).find_map(|run| run.error.as_ref())
            }
            StepState::Skipped { .. } => None,
        };
        fault
            .filter(|fault| fault.code.as_deref() == Some(CODE))
            .map(|fault| (step, Arc::clone(&fault.message)))
    });
    let (step, why) = failed?;
    let source = source(compiled);
    let named = |step: StepIx| compiled.places.steps.get(step.get()).map(|span| span.start);
    let from = named(StepIx(step)).unwrap_or_default();
    let to = named(StepIx(step + 1)).unwrap_or(source.text().len());
    Some(told(&source, from..to, &why))
}

fn source(compiled: &Compiled) -> Source {
    Source::new("", &compiled.source)
}

/// `pay.input: ${ data.card.no }: there is no field `card` (line 7)`. The line is the expression's,
/// where it stands in that part of the file as it was read, else the one that the part begins with.
fn told(source: &Source, part: std::ops::Range<usize>, why: &str) -> String {
    let written = why.split_once("${ ").and_then(|(_, rest)| rest.rsplit_once(" }: "));
    let text = source.text().get(part.clone()).unwrap_or_default();
    let inside = written.and_then(|(expression, _)| text.find(expression.trim())).unwrap_or(0);
    format!("{why} (line {})", source.place(part.start + inside).line)
}

#[cfg(test)]
mod tests {
    use amends_definition::{Surroundings, check};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_the_data_does_not_give_is_told_with_its_line() {
        let text = "saga: S\nsteps:\n  - { name: a, action: X.A, compensation: none }\nservices:\n  \
                    X: { http: { url: \"http://127.0.0.1:1\" } }\n\
                    business_key: \"${ data.order.id }\"\n";
        let checked = check(text.as_bytes(), "s.yaml", &Surroundings::none());
        let compiled = checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let told = of_start(&compiled, &json!({"order": {}})).expect("there is no id");
        assert!(told.starts_with("business_key: ${ data.order.id }: there is no"), "{told}");
        assert!(told.ends_with("(line 6)"), "{told}");
        assert_eq!(of_start(&compiled, &json!({"order": {"id": "o"}})), None);
    }
}
