//! An expression over data: compiled and evaluated within its bounds.
//!
//! The input is the expression's text up to the first line break, and after it the data as JSON.

use amends_core::StepIx;
use amends_definition::{Context, INPUT_BYTES_MAX, StepInputs, Surroundings, check};
use serde_json::{Value as Json, json};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "expression",
    what: "expression and data → a value, or an error, within bounds",
    run,
    seeds,
};

/// The most that one evaluation may hold at one time. The estimate that guards it counts to 64 MiB
/// of JSON; a value in memory takes a few times its text.
const HELD_BYTES_MAX: u64 = 512 * 1024 * 1024;

fn seeds() -> Vec<Vec<u8>> {
    let expressions = [
        "data.items.map(x, x + x)",
        "data.items.filter(x, x > 1).size() == 2",
        "data.text.startsWith('a') && has(data.items)",
        "result.before.id != null ? data.text : string(1.5)",
        "data.items",
        "[1, 2, 3].exists(x, x in data.items)",
        "{'a': data.text, 'b': data.items[0]}",
        "data.text.matches('^a+$') || data.total / 0 > 1",
        "int(data.text) + 9223372036854775807",
        "saga.id + saga.type",
    ];
    let data = r#"{"items": [1, 2, 3], "text": "aaa", "total": 9007199254740993}"#;
    expressions.iter().map(|text| format!("{text}\n{data}").into_bytes()).collect()
}

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (expression, data) = text.split_once('\n').unwrap_or((&text, "{}"));
    let data: Json = serde_json::from_str(data).unwrap_or_else(|_| json!({ "items": [1] }));
    let said = format!("${{ {expression} }}");
    for key in ["when", "for_each", "input"] {
        let value = if key == "input" {
            json!({ "value": said, "text": format!("<{said}>") })
        } else {
            json!(said)
        };
        let file = json!({
            "saga": "A",
            "steps": [
                { "name": "before", "action": "S.Do", "compensation": "none" },
                { "name": "step", "action": "S.Do", "compensation": "none", key: value },
            ],
        });
        let checked = check(file.to_string().as_bytes(), "fuzzed.json", &Surroundings::none());
        let Some(compiled) = checked.compiled else { continue };
        let result = json!({ "before": { "id": 7 } });
        let context = Context { data: &data, result: &result, saga_id: "s", saga_type: "A" };
        let mut ready = None;
        let held = allocation_counter::measure(|| {
            ready = Some(compiled.expressions.ready(StepIx(1), &context));
        });
        assert!(held.bytes_max <= HELD_BYTES_MAX, "{} bytes held", held.bytes_max);
        let again = compiled.expressions.ready(StepIx(1), &context);
        assert_eq!(ready.as_ref(), Some(&again), "the same expression came to two values");
        if let Ok(StepInputs::Inputs(inputs)) = again {
            for input in inputs.into_iter().flatten() {
                assert!(input.to_string().len() <= INPUT_BYTES_MAX, "an input over its limit");
            }
        }
    }
}
