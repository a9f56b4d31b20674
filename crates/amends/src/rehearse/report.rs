//! What a rehearsal came to: which service keeps which rule, and every broken rule with the exchange
//! that shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::callbacks::Callback;
use super::exchange::Exchange;
use super::rule::Rule;
use super::stopped::Stopped;
use super::suite::Suite;

/// The whole of it.
#[derive(Debug)]
pub struct Report {
    /// What was tried.
    pub suite: Suite,
    /// The saga type.
    pub saga_type: String,
    /// The services, in the definition's order.
    pub services: Vec<String>,
    /// What each service does about each rule.
    pub cells: BTreeMap<(Rule, String), Cell>,
    /// Every broken rule, once a service.
    pub broken: Vec<Broken>,
    /// Drills whose saga did not come to its end although no rule was seen to be broken.
    pub unfinished: Vec<Unfinished>,
    /// Drills whose fault could not be made: the saga never came to the command with this data.
    pub unmade: Vec<String>,
    /// Participants that were there and are no longer.
    pub stopped: Vec<Stopped>,
    /// How many drills were played.
    pub drills: usize,
    /// How many were not, because a participant was gone.
    pub not_played: usize,
    /// How long it took.
    pub took: Duration,
}

/// What a service does about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It keeps it, as often as it was tried.
    Kept(usize),
    /// It broke it, so often of so many times.
    Broken(usize, usize),
    /// It was not tried, or nothing was to be seen of it, and why.
    NotTried(&'static str),
}

/// A broken rule.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// Who breaks it.
    pub service: String,
    /// The drill that shows it first.
    pub drill: String,
    /// What was wrong.
    pub what: String,
    /// What was asked and said: the exchange before, where there is one, and the one that shows it.
    pub exchanges: Vec<Shown>,
}

/// An exchange, for people: no header of it, which may hold credentials.
#[derive(Debug)]
pub struct Shown {
    /// `POST <path>`.
    pub request: String,
    /// The idempotency key.
    pub key: String,
    /// The start of the body.
    pub body: String,
    /// The answer.
    pub answer: String,
    /// What came by callback: `callback <the start of its body>`.
    pub callbacks: Vec<String>,
}

/// A drill whose saga did not come to its end, or came to another than the definition says, because an
/// expression gave no value.
#[derive(Debug)]
pub struct Unfinished {
    /// Which.
    pub drill: String,
    /// Where it rests; or the expression that sent it another way than it was to go.
    pub why: String,
    /// Whether an expression of the definition gave no value.
    pub is_expression: bool,
}

/// How much of a body is shown.
const BODY_CHARS_MAX: usize = 200;

impl Shown {
    /// An exchange as people see it.
    pub fn of(exchange: &Exchange) -> Self {
        Self {
            request: exchange.request.clone(),
            key: exchange.key.clone(),
            body: start_of(&exchange.body),
            answer: start_of(&exchange.answer()),
            callbacks: exchange.callbacks.iter().map(shown).collect(),
        }
    }
}

impl Shown {
    fn json(&self) -> Value {
        json!({
            "request": self.request, "idempotency_key": self.key, "body": self.body,
            "answer": self.answer, "callbacks": self.callbacks,
        })
    }
}

fn shown(callback: &Callback) -> String {
    let to = if callback.to_copy { " to the other copy's address" } else { "" };
    let refused = match &callback.says {
        Ok(_) => String::new(),
        Err(why) => format!(" (refused: {})", start_of(why)),
    };
    format!("callback{to} {}{refused}", start_of(callback.body.trim()))
}

fn start_of(text: &str) -> String {
    let mut start: String = text.chars().filter(|c| !c.is_control()).take(BODY_CHARS_MAX).collect();
    if text.chars().count() > BODY_CHARS_MAX {
        start.push('…');
    }
    start
}

impl Report {
    /// Was every rule kept that was tried?
    pub fn all_kept(&self) -> bool {
        self.broken.is_empty() && self.unfinished.is_empty() && self.stopped.is_empty()
    }

    /// Did the saga ask anybody for anything? One none of whose steps was commanded says nothing of
    /// its services, whatever else they were asked.
    pub fn commanded_any(&self) -> bool {
        let tried = |(_, cell): &(_, &Cell)| !matches!(cell, Cell::NotTried(_));
        let mut tried = self.cells.iter().filter(tried);
        match self.unmade.is_empty() {
            true => tried.next().is_some(),
            false => tried.any(|((rule, _), _)| *rule == Rule::Answers),
        }
    }

    /// What a service does about a rule.
    pub fn cell(&self, rule: Rule, service: &str) -> Cell {
        let cell = self.cells.get(&(rule, service.to_owned()));
        cell.cloned().unwrap_or(Cell::NotTried("nothing of the saga tries it"))
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rows = self.services.iter().map(|service| {
            let rules = self.suite.rules().iter().map(|&rule| {
                let (verdict, more) = match self.cell(rule, service) {
                    Cell::Kept(times) => ("kept", json!({"times": times})),
                    Cell::Broken(times, of) => ("broken", json!({"times": times, "of": of})),
                    Cell::NotTried(why) => ("not_tried", json!({"why": why})),
                };
                let mut row = json!({"rule": rule.words().id, "verdict": verdict});
                if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
                    row.extend(more);
                }
                row
            });
            json!({"service": service, "rules": rules.collect::<Vec<_>>()})
        });
        let broken = self.broken.iter().map(|broken| {
            let words = broken.rule.words();
            let exchanges = broken.exchanges.iter().map(Shown::json);
            json!({
                "rule": words.id, "service": broken.service, "scenario": broken.drill,
                "words": words.rule, "place": words.place, "what": broken.what,
                "exchanges": exchanges.collect::<Vec<_>>(),
                "in_production": words.consequence, "fix": words.fix,
            })
        });
        let stopped = self.stopped.iter().map(|stopped| {
            let unanswered = stopped
                .unanswered
                .iter()
                .map(|(scenario, shown)| json!({"scenario": scenario, "exchange": shown.json()}));
            json!({
                "service": stopped.service, "scenario": stopped.scenario, "why": stopped.why,
                "unanswered": unanswered.collect::<Vec<_>>(),
                "in_production": Stopped::CONSEQUENCE, "fix": Stopped::FIX,
            })
        });
        let unfinished = self.unfinished.iter().map(|u| json!({"scenario": u.drill, "why": u.why}));
        json!({
            "suite": match self.suite {
                Suite::Rehearsal => "rehearsal",
                Suite::Conformance => "conformance",
            },
            "saga_type": self.saga_type,
            "all_kept": self.all_kept(),
            "scenarios": self.drills,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "services": rows.collect::<Vec<_>>(),
            "broken": broken.collect::<Vec<_>>(),
            "stopped": stopped.collect::<Vec<_>>(),
            "unfinished": unfinished.collect::<Vec<_>>(),
            "not_played": self.not_played,
            "not_made": self.unmade,
        })
    }
}
