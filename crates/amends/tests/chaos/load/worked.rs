//! The worked sagas as the load and the judge see them: their steps, and what may go wrong in them.

use amends_example_services::Worked;
use amends_example_services::judge::{Ending, Promise, SagaFacts, StepFacts};
use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// The states that are ends.
pub const END_STATES: [&str; 2] = ["completed", "failed"];

/// The worked saga of this type.
pub fn of_type(name: &str) -> Option<Worked> {
    Worked::ALL.into_iter().find(|worked| saga_type(*worked) == name)
}

/// A saga's type.
pub fn saga_type(worked: Worked) -> &'static str {
    let named = worked.definition().lines().find_map(|line| line.strip_prefix("saga: "));
    named.expect("a definition names its saga")
}

/// The steps that are commands, in their order, each with what it promises. They follow each other.
pub fn steps(worked: Worked) -> Vec<(&'static str, Promise)> {
    let mut steps = Vec::new();
    for line in worked.definition().lines() {
        if let Some(name) = line.strip_prefix("  - name: ") {
            steps.push((name, Promise::Compensatable));
        } else if line.starts_with("    signal: ") {
            steps.pop();
        } else if let (Some(kind), Some(last)) = (line.strip_prefix("    kind: "), steps.last_mut())
        {
            last.1 = match kind {
                "pivot" => Promise::Pivot,
                "retriable" => Promise::Retriable,
                "best_effort" => Promise::BestEffort,
                other => panic!("{other} is no kind"),
            };
        }
    }
    steps
}

/// What the judge is told of one that stands so. Also where an exception says `unproven`: these
/// participants keep tombstones, so nothing is left.
pub fn facts(worked: Worked, saga_id: &str, ending: Ending) -> SagaFacts {
    let steps = steps(worked);
    let step = |(place, &(name, promise)): (usize, &(&str, Promise))| StepFacts {
        name: name.to_owned(),
        promise,
        dependents: steps[place + 1..].iter().map(|(later, _)| (*later).to_owned()).collect(),
        wanted: true,
        decided_by_hand: false,
    };
    SagaFacts {
        saga_id: saga_id.to_owned(),
        ending,
        clean: true,
        steps: steps.iter().enumerate().map(step).collect(),
    }
}

/// Data of the `n`th saga, in a third of them without any fault to order.
pub fn data(worked: Worked, n: u64, dice: &mut Dice) -> Value {
    let mut data = worked.sample(n);
    if worked == Worked::Approval {
        data["department"] = json!(format!("department-{n}")); // one budget is soon spent
    }
    data["faults"] = faults(worked, dice);
    data
}

fn faults(worked: Worked, dice: &mut Dice) -> Value {
    // What is late is late by our clock: the server's may be wrong.
    const ACTION: [&str; 12] = [
        "refuse",
        "refuse",
        "refuse",
        "refuse",
        "lost_reply",
        "lost_reply:99",
        "timeout:1",
        "timeout",
        "late_success:700ms",
        "late_success:100ms",
        "duplicate",
        "accepted",
    ];
    const PIVOT: [&str; 7] = [
        "refuse",
        "lost_reply",
        "lost_reply:3",
        "timeout:1",
        "late_success:700ms",
        "duplicate",
        "accepted",
    ];
    // A refusal after the pivot waits for a person.
    const LATER: [&str; 5] =
        ["lost_reply", "timeout:1", "late_success:700ms", "duplicate", "accepted"];
    const UNDO: [&str; 6] =
        ["lost_reply", "transient", "timeout:1", "duplicate", "accepted", "late_success:100ms"];
    let steps = steps(worked);
    let mut faults = Map::new();
    if dice.percent(65) {
        let (step, promise) = dice.pick(&steps);
        let fault = match promise {
            Promise::Compensatable | Promise::ReadOnly => dice.pick(&ACTION),
            Promise::Pivot => dice.pick(&PIVOT),
            Promise::Retriable | Promise::BestEffort => dice.pick(&LATER),
        };
        faults.insert(step.to_owned(), json!(fault));
    }
    if dice.percent(20) {
        faults.insert(dice.pick(&steps).0.to_owned(), json!("transient:1"));
    }
    if dice.percent(20) {
        faults.insert(format!("{}/compensation", dice.pick(&steps).0), json!(dice.pick(&UNDO)));
    }
    if dice.below(300) == 0 {
        faults.insert(dice.pick(&steps).0.to_owned(), json!("crash"));
    }
    Value::Object(faults)
}
