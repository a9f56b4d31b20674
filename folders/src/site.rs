//! The participants: services that do what a saga's data tells them, and that remember what they
//! did and what they were asked, also from one process of the engine to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_engine::{Binder, Carrier};
use amends_transport::{Closing, Delivery, Outgoing, Replies, Transport};
use amends_wire::{CommandId, Direction, Fault, Outcome, Reply, ReplyKind};
use bytes::Bytes;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::manifest::{Asked, Effects};

/// Nothing is bound to it before the folder is made.
const UNBOUND: &str = "Nobody";

/// Its answers come by message.
const BY_MESSAGE: &str = "Post";

/// Whether the participants do what the data tells them, or just what they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The folder is being made.
    Told,
    /// It was opened again.
    Willing,
}

/// All participants. Clones are the same.
#[derive(Clone)]
pub struct Site {
    phase: Phase,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Default)]
struct Ledger {
    /// By idempotency key.
    asked: BTreeMap<String, Asked>,
    answers: BTreeMap<String, Outcome>,
    /// By saga and step.
    effects: BTreeMap<(String, String), Effects>,
    /// The highest attempt of a command over all its rounds, by saga, step and direction.
    attempts: BTreeMap<(String, String, Direction), u32>,
    /// Keys that were asked for in this phase.
    asked_now: BTreeSet<String>,
    /// Exchanges that nobody has ended.
    held: Vec<(Outgoing, Replies)>,
    /// What broke a rule, in words.
    faults: Vec<String>,
}

impl Site {
    /// Participants that nobody has asked for anything.
    pub fn new() -> Self {
        Self { phase: Phase::Told, ledger: Arc::default() }
    }

    /// Participants that have been asked all this, by (saga, ledger).
    pub fn after<'a>(
        sagas: impl Iterator<Item = (&'a str, &'a [Asked], &'a BTreeMap<String, Effects>)>,
    ) -> Self {
        let site = Self { phase: Phase::Willing, ledger: Arc::default() };
        for (saga, asked, effects) in sagas {
            let mut ledger = site.ledger();
            for asked in asked {
                if let Ok(command) = asked.key.parse::<CommandId>() {
                    let place = (saga.to_owned(), command.step_name, command.direction);
                    let attempts = ledger.attempts.entry(place).or_default();
                    *attempts = asked.attempt.max(*attempts);
                }
                if let Some(answer) = asked.answer.as_ref().and_then(|text| outcome(text)) {
                    ledger.answers.insert(asked.key.clone(), answer);
                }
                ledger.asked.insert(asked.key.clone(), asked.clone());
            }
            for (step, effects) in effects {
                ledger.effects.insert((saga.to_owned(), step.clone()), *effects);
            }
        }
        site
    }

    /// What a saga's services were asked, by key.
    pub fn asked(&self, saga: &str) -> Vec<Asked> {
        let ledger = self.ledger();
        ledger.asked.values().filter(|asked| asked.key.starts_with(saga)).cloned().collect()
    }

    /// The keys that were asked for since the folder was opened.
    pub fn asked_now(&self, saga: &str) -> Vec<String> {
        let ledger = self.ledger();
        ledger.asked_now.iter().filter(|key| key.starts_with(saga)).cloned().collect()
    }

    /// What each of a saga's steps has done.
    pub fn effects(&self, saga: &str) -> BTreeMap<String, Effects> {
        let ledger = self.ledger();
        let of_it = ledger.effects.iter().filter(|((of, _), _)| of == saga);
        of_it.map(|((_, step), effects)| (step.clone(), *effects)).collect()
    }

    /// Commands that broke a rule, in words.
    pub fn faults(&self) -> Vec<String> {
        self.ledger().faults.clone()
    }

    /// A step that nobody has answered takes effect after all, unless a repeat of its command was
    /// faster, and says so where it still can.
    pub fn succeed_late(&self, saga: &str, step: &str) {
        let mut ledger = self.ledger();
        let key = format!("{saga}/{step}/{}", Direction::Action);
        if !ledger.answers.contains_key(&key) {
            let place = (saga.to_owned(), step.to_owned());
            ledger.effects.entry(place).or_default().done += 1;
            ledger.remember(&key, &done(step));
        }
        let is_it = |held: &(Outgoing, Replies)| held.0.idempotency_key() == key;
        let Some(at) = ledger.held.iter().position(is_it) else { return };
        let (outgoing, replies) = ledger.held.remove(at);
        drop(ledger);
        replies.end(outgoing.ticket, done(step));
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Binder for Site {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        if service == UNBOUND && self.phase == Phase::Told {
            return None;
        }
        let answers_by_message = service == BY_MESSAGE;
        Some(Carrier { transport: Arc::new(self.clone()), answers_by_message })
    }
}

impl Transport for Site {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let answer = self.ledger().arrive(&outgoing, self.phase);
        let Some(outcome) = answer else {
            return self.ledger().held.push((outgoing, replies));
        };
        match message(&outgoing, &outcome) {
            Some(reply) => {
                let from = Some(Arc::clone(&outgoing.service));
                let reply = Box::new(reply);
                replies.deliver(Delivery::Replied { reply, from, receipt: None });
            }
            None => replies.end(outgoing.ticket, outcome),
        }
    }

    fn close(&self, _: Duration) -> Closing {
        Box::pin(std::future::ready(()))
    }
}

/// The reply by name, where the service answers by message and has something to say.
fn message(outgoing: &Outgoing, outcome: &Outcome) -> Option<Reply> {
    if *outgoing.service != *BY_MESSAGE {
        return None;
    }
    let Outcome::Completed { result, undone } = outcome else { return None };
    let kind = match outgoing.ticket.direction {
        Direction::Action => ReplyKind::StepCompleted,
        Direction::Compensation => ReplyKind::CompensationCompleted,
    };
    Some(Reply {
        kind,
        saga_id: Some(outgoing.saga_id()),
        step_name: Some(outgoing.step_name.to_string()),
        result: result.clone(),
        error: None,
        retryable: None,
        undone: *undone,
        attempt: None,
        round: Some(outgoing.ticket.round),
    })
}

impl Ledger {
    /// Takes a command; `None` when it is never answered.
    fn arrive(&mut self, outgoing: &Outgoing, phase: Phase) -> Option<Outcome> {
        let body: Json = serde_json::from_slice(&outgoing.body).unwrap_or_default();
        self.hold_to_the_rules(outgoing, &body);
        let key = outgoing.idempotency_key();
        self.asked_now.insert(key.clone());
        if let Some(answer) = self.answers.get(&key) {
            return Some(answer.clone());
        }
        let told = body["data"]["act"][&*outgoing.command].as_str();
        let stubborn = body["data"]["stubborn"] == true;
        let told = told.filter(|_| stubborn || phase == Phase::Told).unwrap_or("do");
        let (word, times) = told.split_once(' ').unwrap_or((told, ""));
        let times = times.parse().unwrap_or(u32::MAX);
        let word = if outgoing.ticket.attempt <= times { word } else { "do" };
        let answer = match word {
            "refuse" => Some(Outcome::Refused { error: Fault::coded("NO", "as the data says") }),
            "busy" => Some(Outcome::transient(Fault::coded("BUSY", "as the data says"))),
            "unreachable" => return Some(Outcome::not_sent("as the data says")),
            "break" => Some(Outcome::Unknown {
                error: Fault::new("302"),
                contract: Some("it answered 302, as the data says".to_owned()),
            }),
            "later" => Some(Outcome::Accepted),
            "hang" => None,
            // Done, and nobody hears of it.
            "silent" => {
                let answer = self.carry_out(outgoing);
                self.remember(&key, &answer);
                None
            }
            _ => Some(self.carry_out(outgoing)),
        };
        if let Some(answer) = &answer {
            self.remember(&key, answer);
        }
        answer
    }

    /// A definite answer is given again to every repeat.
    fn remember(&mut self, key: &str, answer: &Outcome) {
        if let (Some(text), Some(asked)) = (text(answer), self.asked.get_mut(key)) {
            asked.answer = Some(text);
            self.answers.insert(key.to_owned(), answer.clone());
        }
    }

    fn carry_out(&mut self, outgoing: &Outgoing) -> Outcome {
        let place = (outgoing.saga_id().to_string(), outgoing.step_name.to_string());
        let effects = self.effects.entry(place).or_default();
        match outgoing.ticket.direction {
            Direction::Action => {
                effects.done += 1;
                done(&outgoing.step_name)
            }
            Direction::Compensation => {
                let undone = effects.done > effects.undone;
                effects.undone += u32::from(undone);
                Outcome::Completed { result: None, undone: Some(undone) }
            }
        }
    }

    /// What holds of every command, whichever version made its intent: its identity is in its key, in
    /// its ticket and in its body; a key has one body (S4); attempts never restart.
    fn hold_to_the_rules(&mut self, outgoing: &Outgoing, body: &Json) {
        let (key, ticket) = (outgoing.idempotency_key(), outgoing.ticket);
        let saga = outgoing.saga_id().to_string();
        let said = [
            ("saga_id", saga.as_str()),
            ("saga_type", &outgoing.saga_type),
            ("step_name", &outgoing.step_name),
            ("direction", ticket.direction.as_str()),
            ("command", &outgoing.command),
            ("idempotency_key", &key),
        ];
        for (field, expected) in said {
            if body[field].as_str() != Some(expected) {
                self.faults.push(format!("{key}: its body says {field} {}", body[field]));
            }
        }
        let sha256 = hex(&outgoing.body);
        let step = outgoing.step_name.to_string();
        let before = self.attempts.insert((saga, step, ticket.direction), ticket.attempt);
        if before.unwrap_or(0) + 1 != ticket.attempt {
            let attempt = ticket.attempt;
            self.faults.push(format!("{key}: attempt {attempt} follows attempt {before:?}"));
        }
        match self.asked.get_mut(&key) {
            Some(asked) if asked.body_sha256 != sha256 => {
                self.faults.push(format!("{key} came with two bodies (S4)"));
            }
            Some(asked) => asked.attempt = ticket.attempt,
            None => {
                let attempt = ticket.attempt;
                let asked = Asked { key: key.clone(), body_sha256: sha256, attempt, answer: None };
                self.asked.insert(key, asked);
            }
        }
    }
}

fn done(step: &str) -> Outcome {
    let result = Bytes::from(format!(r#"{{"of":"{step}"}}"#));
    Outcome::Completed { result: Some(result), undone: None }
}

/// A definite answer as the manifest keeps it.
fn text(answer: &Outcome) -> Option<String> {
    Some(match answer {
        Outcome::Completed { result: Some(result), .. } => String::from_utf8_lossy(result).into(),
        Outcome::Completed { undone: Some(true), .. } => "undone".to_owned(),
        Outcome::Completed { .. } => "nothing to undo".to_owned(),
        Outcome::Refused { .. } => "refused".to_owned(),
        _ => return None,
    })
}

fn outcome(text: &str) -> Option<Outcome> {
    Some(match text {
        "undone" => Outcome::Completed { result: None, undone: Some(true) },
        "nothing to undo" => Outcome::Completed { result: None, undone: Some(false) },
        "refused" => Outcome::Refused { error: Fault::coded("NO", "as before") },
        result => Outcome::Completed { result: Some(result.to_owned().into()), undone: None },
    })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
