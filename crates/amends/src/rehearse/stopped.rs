//! A participant that was there and is no longer: no rule is broken by a command that never arrived, and
//! what the others were seen to do is not thrown away with it.

use std::collections::BTreeSet;

use amends_wire::{Fault, Outcome};

use super::Shown;
use super::exchange::Exchange;

/// How many of the exchanges that it left without an answer are shown: the drills of a time, each
/// with two copies at once.
const SHOWN_MAX: usize = 2 * super::AT_ONCE_MAX;

/// A participant that stopped answering.
#[derive(Debug)]
pub struct Stopped {
    /// Which.
    pub service: String,
    /// The scenario in which it was found gone.
    pub scenario: String,
    /// How that was seen.
    pub why: String,
    /// What it left without an answer, each with its scenario. One of them may have made it stop; which
    /// one cannot be seen from outside where scenarios run at a time.
    pub unanswered: Vec<(String, Shown)>,
}

impl Stopped {
    /// What it does in production.
    pub const CONSEQUENCE: &str = "whatever made it stop comes again: a command without an answer is \
                                   repeated, and stops it again, for every saga";

    /// What mends it.
    pub const FIX: &str = "look into its own log for that time; a command that cannot be carried out \
                           is answered (409, 422, 503), whatever is in it, and the service goes on. \
                           --only plays one of the scenarios by itself";

    /// Every one, out of all that was asked and said, by scenario.
    pub fn of<'a>(logs: &[(String, &'a [Exchange])]) -> Vec<Self> {
        let mut services: BTreeSet<&'a str> = BTreeSet::new();
        let mut all = Vec::new();
        for (scenario, log) in logs {
            for said in *log {
                let Some(why) = not_sent(said) else { continue };
                if !services.insert(&said.service) {
                    continue;
                }
                let unanswered = logs.iter().flat_map(|(scenario, log)| {
                    let left = log.iter().filter(|e| e.service == said.service && e.is_left());
                    left.map(|exchange| (scenario.clone(), Shown::of(exchange)))
                });
                all.push(Self {
                    service: said.service.clone(),
                    scenario: scenario.clone(),
                    why: why.to_string(),
                    unanswered: unanswered.take(SHOWN_MAX).collect(),
                });
            }
        }
        all
    }
}

/// The first command that never arrived.
pub fn at(log: &[Exchange]) -> Option<&Exchange> {
    log.iter().find(|said| not_sent(said).is_some())
}

/// A participant that not one command has arrived at, though some were sent, and why.
pub fn never_there(log: &[Exchange]) -> Option<(&Exchange, &Fault)> {
    let was_there =
        |service: &str| log.iter().any(|said| said.service == service && not_sent(said).is_none());
    let mut away = log.iter().filter_map(|said| Some((said, not_sent(said)?)));
    away.find(|(said, _)| !was_there(&said.service))
}

fn not_sent(said: &Exchange) -> Option<&Fault> {
    match &said.outcome {
        Outcome::NotSent { error } => Some(error),
        _ => None,
    }
}
