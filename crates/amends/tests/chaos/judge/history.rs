//! One saga's history against the rules: no gap, one end, every sending once, no undo before the
//! decision, no forward command whose first intent is after it, nothing sent while it is paused.

use std::collections::BTreeSet;

use amends_example_services::Call;
use serde_json::Value;

/// Sendings as their facts name them: saga, step, undo or not, round, attempt.
pub type Sendings = BTreeSet<(String, String, bool, u32, u32)>;

/// Was this call sent by a fact?
pub fn is_told_by(sent: &Sendings, call: &Call) -> bool {
    let round = call.key.rsplit_once('/').and_then(|(_, round)| round.parse().ok()).unwrap_or(1);
    let sending = (call.saga_id.clone(), call.step.clone(), call.is_undo, round, call.attempt);
    sent.contains(&sending)
}

/// What is wrong in a history. Its sendings are added to those of all.
pub fn judge(id: &str, saga: &Value, events: &[Value], sent: &mut Sendings) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut intents = BTreeSet::new();
    let (mut turned, mut paused, mut ends) = (false, false, 0);
    for (place, event) in (1_u64..).zip(events) {
        if event["seq"] != place {
            wrong.push(format!("the history of {id} has {event} in place {place}"));
        }
        match event["event"].as_str() {
            Some("turned") => turned = true,
            Some("paused") => paused = true,
            Some("resumed") => paused = false,
            Some("ended") => {
                ends += 1;
                if event["state"] != saga["state"] {
                    wrong.push(format!("{id} is {}, and its history: {event}", saga["state"]));
                }
            }
            Some("sent") => {
                let step = event["step"].as_str().unwrap_or_default().to_owned();
                let undo = event["direction"] == "compensation";
                let number =
                    |field: &str| event[field].as_u64().and_then(|n| u32::try_from(n).ok());
                let (round, attempt) =
                    (number("round").unwrap_or(0), number("attempt").unwrap_or(0));
                let first = intents.insert((step.clone(), undo, round));
                if first && !undo && turned {
                    wrong.push(format!("{id} was turned, and then {step} was begun"));
                }
                if undo && !turned {
                    wrong.push(format!("{id} undid {step} before it was turned"));
                }
                if paused {
                    wrong.push(format!("{id} was paused, and {step} was sent: {event}"));
                }
                if !sent.insert((id.to_owned(), step.clone(), undo, round, attempt)) {
                    wrong.push(format!("{id} sent one attempt of {step} twice: {event}"));
                }
            }
            _ => {}
        }
    }
    if saga["seq"] != events.len() as u64 {
        wrong.push(format!("{id} is at {}, its history has {}", saga["seq"], events.len()));
    }
    if ends != usize::from(!saga["ended_at"].is_null()) {
        wrong.push(format!("the history of {id} has {ends} ends"));
    }
    wrong
}
