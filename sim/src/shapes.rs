//! Saga types, drawn: sequences and groups side by side, a pivot and what follows it, signals, lists,
//! conditions, and policies for all of it. Each is written as a file and goes through the checker.

use amends_core::definition::Fence;
use amends_definition::{Surroundings, check};
use serde_json::{Map, Value as Json, json};

use crate::chance::Chance;
use crate::plan::{SagaType, Service};

/// Draws a saga type with two versions.
///
/// # Panics
/// When the checker refuses what was drawn, which is a mistake of this file.
pub fn saga_type(chance: &mut Chance, number: u64, services: &[Service]) -> SagaType {
    let name = format!("T{number}");
    let mut draft = Draft { chance, services, steps: 0, after_pivot: false };
    let steps = draft.layers();
    let mut file = Map::new();
    file.insert("saga".to_owned(), json!(name));
    if draft.chance.permille(500) {
        file.insert("business_key".to_owned(), json!("${ data.key }"));
    }
    if draft.chance.permille(250) {
        file.insert("deadline".to_owned(), json!(format!("{}s", draft.chance.between(10, 90))));
    }
    file.insert("defaults".to_owned(), defaults(draft.chance));
    file.insert(
        "services".to_owned(),
        services.iter().map(described).collect::<Map<_, _>>().into(),
    );
    file.insert("steps".to_owned(), steps.into());
    let versions = (1..=2).map(|version| compiled(file.clone(), version)).collect();
    SagaType { name: name.into(), versions }
}

fn described(service: &Service) -> (String, Json) {
    let fence = match service.fence {
        Some(Fence::Barrier) => json!({ "fence": "barrier" }),
        Some(Fence::Settle) => json!({ "fence": "settle" }),
        Some(Fence::None) => json!({ "fence": "none" }),
        None => json!({}),
    };
    (service.name.to_string(), fence)
}

fn defaults(chance: &mut Chance) -> Json {
    let attempts = chance.between(2, 4);
    json!({
        "timeout": "2s",
        "undo_policy": {
            "timeout": format!("{}s", chance.between(1, 4)),
            "retry": {
                "max_attempts": attempts,
                "backoff": { "initial": "300ms", "factor": 2, "max": "3s", "jitter": "full" },
            },
        },
    })
}

/// The file of a version, whose commands are named after it: a saga that is sent those of another
/// version than its own is seen.
fn compiled(mut file: Map<String, Json>, version: u32) -> amends_definition::Compiled {
    file.insert("version".to_owned(), json!(version));
    let text = Json::Object(file).to_string().replace("_V", &format!("_v{version}"));
    let checked = check(text.as_bytes(), "drawn.yaml", &Surroundings::none());
    match checked.compiled {
        Some(compiled) => compiled,
        None => panic!("the checker refuses what was drawn: {:?}\n{text}", checked.findings),
    }
}

struct Draft<'a> {
    chance: &'a mut Chance,
    services: &'a [Service],
    steps: u64,
    after_pivot: bool,
}

impl Draft<'_> {
    fn layers(&mut self) -> Vec<Json> {
        let mut layers = Vec::new();
        for _ in 0..self.chance.between(1, 4) {
            let layer = match self.chance.below(10) {
                0 => self.signal(),
                1 => self.step("best_effort"),
                2..=4 => self.group("compensatable"),
                _ => self.step("compensatable"),
            };
            layers.push(layer);
        }
        let pivot = self.chance.permille(500);
        if pivot {
            layers.push(self.step("pivot"));
        }
        if pivot || self.chance.permille(200) {
            self.after_pivot = true;
            for _ in 0..self.chance.below(3) {
                let layer = match self.chance.below(4) {
                    0 => self.step("best_effort"),
                    1 => self.group("retriable"),
                    _ => self.step("retriable"),
                };
                layers.push(layer);
            }
        }
        layers
    }

    fn group(&mut self, kind: &str) -> Json {
        let steps: Vec<Json> = (0..self.chance.between(2, 3)).map(|_| self.step(kind)).collect();
        json!({ "parallel": steps })
    }

    fn name(&mut self) -> String {
        self.steps += 1;
        format!("s{}", self.steps)
    }

    fn step(&mut self, kind: &str) -> Json {
        let name = self.name();
        let service = &self.chance.pick(self.services).name;
        let mut step = Map::new();
        step.insert("action".to_owned(), json!(format!("{service}.do_{name}_V")));
        if kind == "compensatable" {
            // Its undo may be another service's business, yet mostly it is the same one's.
            let compensation = match self.chance.below(10) {
                0 => "none".to_owned(),
                _ => format!("{service}.undo_{name}_V"),
            };
            step.insert("compensation".to_owned(), json!(compensation));
        } else {
            step.insert("kind".to_owned(), json!(kind));
        }
        if kind != "pivot" {
            match self.chance.below(10) {
                0 => {
                    step.insert("when".to_owned(), json!("${ data.wanted }"));
                }
                1 => {
                    step.insert("for_each".to_owned(), json!("${ data.items }"));
                    step.insert("input".to_owned(), json!({ "item": "${ item }" }));
                }
                2 => {
                    step.insert("input".to_owned(), json!({ "n": "${ data.n }" }));
                }
                _ => {}
            }
        }
        step.insert("name".to_owned(), json!(name));
        self.times(&mut step);
        step.into()
    }

    fn times(&mut self, step: &mut Map<String, Json>) {
        let timeout_ms = *self.chance.pick(&[500, 1000, 2000, 5000]);
        step.insert("timeout".to_owned(), json!(format!("{timeout_ms}ms")));
        let attempts = *self.chance.pick(&[1, 3, 6, 12]);
        if attempts > 1 {
            let deadline_ms = timeout_ms * attempts;
            step.insert("deadline".to_owned(), json!(format!("{deadline_ms}ms")));
        }
        let jitter = *self.chance.pick(&["full", "none"]);
        let mut retry = json!({
            "backoff": { "initial": "200ms", "factor": 2, "max": "2s", "jitter": jitter },
        });
        if self.chance.permille(200) {
            retry["max_attempts"] = json!(self.chance.between(1, 4));
        }
        step.insert("retry".to_owned(), retry);
        if self.chance.permille(300) {
            let accepted_ms = self.chance.between(1_000, 20_000);
            step.insert("accepted_timeout".to_owned(), json!(format!("{accepted_ms}ms")));
        }
    }

    fn signal(&mut self) -> Json {
        let name = self.name();
        let deadline = format!("{}s", self.chance.between(2, 30));
        let on_deadline = *self.chance.pick(&["refuse", "continue"]);
        json!({
            "name": name,
            "signal": format!("go_{name}"),
            "deadline": deadline,
            "on_deadline": on_deadline,
            "refuse_when": "${ signal.go == false }",
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    #[test]
    fn what_is_drawn_passes_the_checker() {
        for seed in 0..200 {
            assert!(!Plan::of(seed).types.is_empty());
        }
    }
}
