//! A saga's history as a Mermaid sequence diagram: who said what to whom, and what is expected next.

use std::fmt::Write as _;

use super::get::Event;
use super::saga_view::{SagaView, reason_words};
use super::times::minute;

/// The engine's own line, or that of the events of a saga without a coordinator.
const ENGINE: &str = "amends";
const EVENTS: &str = "events";

/// Draws it, in a fenced block.
pub fn mermaid(saga: &SagaView, events: &[Event]) -> String {
    let drawing = Drawing { saga };
    let mut text = String::from("```mermaid\nsequenceDiagram\n");
    for lane in drawing.lanes(events) {
        let _ = writeln!(text, "    participant {lane}");
    }
    for event in events {
        if let Some(line) = drawing.line(event) {
            let _ = writeln!(text, "    {line}");
        }
    }
    drawing.expected(&mut text);
    text + "```\n"
}

struct Drawing<'a> {
    saga: &'a SagaView,
}

impl Drawing<'_> {
    /// Between whom it goes.
    fn middle(&self) -> &'static str {
        if self.saga.choreographed { EVENTS } else { ENGINE }
    }

    /// The middle, the services in the order of their steps, and whoever else spoke.
    fn lanes(&self, events: &[Event]) -> Vec<String> {
        let mut lanes = vec![self.middle().to_owned()];
        let services = self.saga.steps.iter().filter_map(|step| step.service.as_deref());
        let heard = events.iter().filter(|event| event.event.as_deref() == Some("heard"));
        for lane in services.chain(heard.filter_map(|event| event.text("by"))) {
            let lane = name(lane);
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes
    }

    fn service(&self, step: &str) -> Option<String> {
        let named = |known: &str| known == step || known.split('.').next() == Some(step);
        let step = self.saga.steps.iter().find(|known| named(&known.name))?;
        step.service.as_deref().map(name)
    }

    fn line(&self, event: &Event) -> Option<String> {
        let middle = self.middle();
        let step = event.step.as_deref().unwrap_or_default();
        let undo = if event.direction.as_deref() == Some("compensation") { "undo " } else { "" };
        let fault =
            event.error.as_ref().map(|why| format!(": {}", why.words())).unwrap_or_default();
        let note = |words: &str| Some(format!("Note over {middle}: {}", plain(words)));
        let from = |arrow: &str, words: String| {
            let service = self.service(step)?;
            Some(format!("{service}{arrow}{middle}: {}", plain(&words)))
        };
        match event.event.as_deref()? {
            "heard" => {
                let said = event.text("what").unwrap_or_default().replace('_', " ");
                let bad = matches!(&*said, "failed" | "never ran");
                let arrow = if bad { "-x" } else { "->>" };
                let by = name(event.text("by")?);
                let about = if step.is_empty() { "the saga" } else { step };
                Some(format!("{by}{arrow}{middle}: {}", plain(&format!("{about} {said}{fault}"))))
            }
            "end_asked" => note("asks for the end"),
            "sent" => {
                let again = event.attempt.filter(|attempt| *attempt > 1);
                let again = again.map(|n| format!(" (attempt {n})")).unwrap_or_default();
                let service = self.service(step)?;
                Some(format!("{middle}->>{service}: {}", plain(&format!("{undo}{step}{again}"))))
            }
            "completed" => from("-->>", format!("{step} completed")),
            "undo_acknowledged" => from("-->>", format!("{step} undone")),
            "refused" => from("--x", format!("{step} refused{fault}")),
            "attempt_ended" => {
                let what = event.text("what").unwrap_or("no answer").replace('_', " ");
                from("--x", format!("{undo}{step}: {what}{fault}"))
            }
            "given_up" => note(&format!("{step} is given up")),
            "dead_lettered" => note(&format!("the undo of {step} has used up its retries")),
            "turned" => note("turns: what was done is undone"),
            "signal_received" => {
                note(&format!("signal {}", event.text("what").unwrap_or_default()))
            }
            "attention_raised" => note(&reason_words(event.text("attention")?)),
            "paused" => note("paused"),
            "resumed" => note("resumed"),
            "ended" => note(event.text("state")?),
            _ => None,
        }
    }

    /// What is to come, and in red what should have.
    fn expected(&self, text: &mut String) {
        for step in self.saga.steps.iter().filter(|_| !self.saga.ended()) {
            let is_awaited =
                matches!(step.waiting_for.as_deref(), Some("event" | "reply" | "accepted"));
            let Some(service) = step.service.as_deref().map(name).filter(|_| is_awaited) else {
                continue;
            };
            let of_it = |item: &super::saga_view::Attention| item.step.as_ref() == Some(&step.name);
            let is_late = self.saga.attention.iter().any(of_it);
            let until = match &step.deadline {
                Some(at) if step.status != "completed" => format!(" by {}", minute(at)),
                _ => String::new(),
            };
            let what = if step.status == "completed" { "the undo of " } else { "" };
            let words = plain(&format!("{what}{} is expected{until}", step.name));
            if is_late {
                let _ = writeln!(
                    text,
                    "    rect rgb(255, 214, 214)\n        Note over {service}: {words}, and was not heard\n    end"
                );
            } else {
                let _ = writeln!(text, "    Note over {service}: {words}");
            }
        }
    }
}

/// As the name of a line: whoever speaks may call itself anything.
fn name(whose: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = whose.chars().filter(is_kept).take(64).collect();
    if name.is_empty() || name.eq_ignore_ascii_case("end") { format!("_{name}") } else { name }
}

/// A `;` ends a statement, a `#` begins an escape, a line break ends a line.
fn plain(words: &str) -> String {
    words.replace([';', '\n', '\r'], ",").replace('#', "no. ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn saga(choreographed: bool, more: Value) -> SagaView {
        let step = |name: &str, service: &str, status: &str, waiting: Value| {
            json!({
                "name": name, "service": service, "status": status, "waiting_for": waiting,
                "attempts": 0, "next_attempt_at": null, "error": null, "compensation_attempts": 0,
                "deadline": "2026-01-31T12:02:00Z", "by": null,
            })
        };
        let mut saga = json!({
            "saga_id": "01a219ab-b374-70d1-b06b-f5dfd978e516", "saga_type": "Order", "version": 1,
            "choreographed": choreographed, "state": "pending", "paused": false, "exceptions": [],
            "business_key": null, "attention": [], "error": null, "seq": 9, "ended_at": null,
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:30Z",
            "steps": [
                step("reserve", "Stock", "completed", Value::Null),
                step("charge", "Payment", "pending", json!("event")),
            ],
        });
        for (key, value) in more.as_object().unwrap() {
            saga[key] = value.clone();
        }
        serde_json::from_value(saga).unwrap()
    }

    fn event(seq: u64, more: Value) -> Event {
        let mut event = json!({ "seq": seq, "at": "2026-01-31T12:00:00Z" });
        for (key, value) in more.as_object().unwrap() {
            event[key] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn what_was_said_is_drawn_with_what_is_expected_and_what_is_missing() {
        let events = [
            event(1, json!({ "event": "started" })),
            event(2, json!({ "event": "heard", "what": "started", "by": "Shop" })),
            event(
                3,
                json!({ "event": "heard", "what": "completed", "by": "Stock", "step": "reserve" }),
            ),
        ];
        let begun = "```mermaid\nsequenceDiagram\n    participant events\n    participant Stock\n    \
                     participant Payment\n    participant Shop\n    Shop->>events: the saga started\n    \
                     Stock->>events: reserve completed\n";
        let expected = "    Note over Payment: charge is expected by 2026-01-31 12:02 UTC\n```\n";
        assert_eq!(mermaid(&saga(true, json!({})), &events), format!("{begun}{expected}"));
        let late = json!([{ "step": "charge", "direction": "action", "reason": "unheard" }]);
        let missing = "    rect rgb(255, 214, 214)\n        Note over Payment: charge is expected by \
                       2026-01-31 12:02 UTC, and was not heard\n    end\n```\n";
        let drawn = mermaid(&saga(true, json!({ "attention": late })), &events);
        assert_eq!(drawn, format!("{begun}{missing}"));
    }

    #[test]
    fn whoever_speaks_breaks_no_drawing() {
        let names = ["Stock", "end", "a->>b: c", ""].map(name);
        assert_eq!(names, ["Stock", "_end", "a-bc", "_"]);
    }

    #[test]
    fn commands_and_answers_are_drawn_and_nothing_ends_a_statement_early() {
        let events = [
            event(1, json!({ "event": "sent", "step": "reserve", "attempt": 1 })),
            event(
                2,
                json!({
                    "event": "refused", "step": "reserve",
                    "error": { "code": "NO", "message": "none; left #1\nnow" },
                }),
            ),
            event(3, json!({ "event": "turned", "what": "step" })),
            event(4, json!({ "event": "ended", "state": "failed" })),
        ];
        let drawn = mermaid(&saga(false, json!({ "state": "failed" })), &events);
        let lines: Vec<&str> = drawn.lines().skip(5).collect();
        assert_eq!(
            lines,
            [
                "    amends->>Stock: reserve",
                "    Stock--xamends: reserve refused: NO: none, left no. 1,now",
                "    Note over amends: turns: what was done is undone",
                "    Note over amends: failed",
                "```",
            ]
        );
    }
}
