//! From what was asked and said to verdicts: pure, and the only place that knows what keeps a rule.
//!
//! Answers are all that is seen. What a participant has done, or undone, it is believed.

use amends_core::definition::Fence;

use super::exchange::{Circumstance, Exchange};
use super::patience::RAISED;
use super::rule::Rule;

/// What one exchange says about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// Which exchange of the log it is about.
    pub at: usize,
    /// The exchange that it is held against, where there is one.
    pub against: Option<usize>,
    /// What it says.
    pub finding: Finding,
}

/// Whether a rule was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It was.
    Kept,
    /// Its circumstance came, and the answer leaves open whether it was kept.
    Unsaid,
    /// It was not, and why.
    Broken(String),
}

impl From<Option<String>> for Finding {
    fn from(broken: Option<String>) -> Self {
        broken.map_or(Self::Kept, Self::Broken)
    }
}

/// Every verdict over a drill's log.
pub fn judge(log: &[Exchange], fence: &dyn Fn(&Exchange) -> Option<Fence>) -> Vec<Verdict> {
    (0..log.len()).flat_map(|at| verdicts(log, at, fence(&log[at]))).collect()
}

fn verdicts(log: &[Exchange], at: usize, fence: Option<Fence>) -> Vec<Verdict> {
    let said = &log[at];
    if matches!(said.outcome, amends_wire::Outcome::NotSent { .. }) {
        return Vec::new(); // it never arrived
    }
    let accepted = said.accepted.then(|| Verdict {
        rule: Rule::Accepted,
        at,
        against: (0..at).rev().find(|&i| log[i].key == said.key && log[i].ends()),
        finding: is_breach(said).then(|| unanswered(said)).into(),
    });
    // What was never answered says nothing of any other rule.
    let answered = accepted.as_ref().is_none_or(|verdict| verdict.finding == Finding::Kept);
    let of_answer = || verdict(log, at, fence).into_iter().chain(second_word(said, at));
    accepted.into_iter().chain(answered.then(of_answer).into_iter().flatten()).collect()
}

/// A callback that says something else than the answer before it.
fn second_word(said: &Exchange, at: usize) -> Option<Verdict> {
    let rule = match said.circumstance {
        Circumstance::AtOnce => Rule::AtOnce,
        Circumstance::UndoAtOnce => Rule::UndoAtOnce,
        _ if said.is_undo() => Rule::UndoRepeat,
        _ => Rule::Repeat,
    };
    let other = said.callbacks.iter().filter_map(|callback| {
        let outcome = callback.says.clone().ok()?;
        Some(Exchange { outcome, ..said.clone() })
    });
    let contradicts = |other: &Exchange| match said.is_undo() {
        true => other.acknowledged() && other.found_nothing() != said.found_nothing(),
        false => {
            other.ends() && (other.completed(), other.result()) != (said.completed(), said.result())
        }
    };
    let contradicted = said.ends() && other.into_iter().any(|other| contradicts(&other));
    contradicted.then(|| Verdict {
        rule,
        at,
        against: None,
        finding: Finding::Broken("a callback says something else than its first answer".to_owned()),
    })
}

/// Why what was accepted counts as not answered.
fn unanswered(said: &Exchange) -> String {
    let within = match &said.outcome {
        amends_wire::Outcome::Unknown { error, .. } => error.to_string(),
        _ => String::new(),
    };
    match said.callbacks.iter().map(|callback| &callback.says).next_back() {
        None => format!("it says 202, and {within}"),
        Some(Err(why)) => format!("it says 202, and its callback was refused: {why}"),
        Some(Ok(_)) => {
            format!("it says 202, and {within}; it came later: {RAISED}")
        }
    }
}

fn verdict(log: &[Exchange], at: usize, fence: Option<Fence>) -> Option<Verdict> {
    let said = &log[at];
    let of_step = |e: &&Exchange| e.step == said.step;
    let before = |wanted: &dyn Fn(&Exchange) -> bool| {
        (0..at).find(|&earlier| log[earlier].step == said.step && wanted(&log[earlier]))
    };
    // Of two copies at the same time either may be answered first.
    let twin = |wanted: &dyn Fn(&Exchange) -> bool| {
        (0..log.len()).find(|&other| {
            let e = &log[other];
            other != at && e.key == said.key && e.circumstance == said.circumstance && wanted(e)
        })
    };
    let acknowledged_later = || log[at + 1..].iter().any(|e| e.key == said.key && e.acknowledged());
    let ruling = |rule, against, broken: Option<String>| {
        Some(Verdict { rule, at, against, finding: broken.into() })
    };
    let is_silent = said.seen.is_none() && is_breach(said) && !said.circumstance.is_probe();
    if is_silent && log[at + 1..].iter().any(|e| e.key == said.key && e.ends()) {
        return None; // an answer may be lost, and it was given when it was asked for again
    }
    match said.circumstance {
        Circumstance::Action => match () {
            () if said.completed() => ruling(Rule::Answers, None, None),
            () if is_breach(said) => ruling(Rule::Answers, None, Some(unclear(said))),
            () => None,
        },
        Circumstance::Repeat => {
            let first = before(&|e| !e.is_undo() && e.completed())?;
            ruling(Rule::Repeat, Some(first), again(&log[first], said)?.err())
        }
        Circumstance::AtOnce => {
            let twin = twin(&|e| e.ends());
            let verdict = match twin {
                Some(twin) => again(&log[twin], said)?.err(),
                None if is_breach(said) => Some(unclear(said)),
                None => None,
            };
            ruling(Rule::AtOnce, twin, verdict)
        }
        Circumstance::RefusedRepeat => {
            let first = before(&Exchange::refused)?;
            let broken = match () {
                () if said.refused() => None,
                () if said.completed() => Some("it was refused at first, and is done now".into()),
                () if said.not_now() => return None,
                () => Some(unclear(said)),
            };
            ruling(Rule::Refusal, Some(first), broken)
        }
        Circumstance::Late => {
            if fence != Some(Fence::Barrier) {
                return None;
            }
            let undo = before(&|e| e.is_undo() && e.acknowledged());
            let broken = match () {
                () if said.refused() => None,
                () if said.completed() => Some("it is done, though its undo came first".into()),
                () if said.not_now() => return None,
                () => Some(unclear(said)),
            };
            ruling(Rule::Tombstone, undo, broken)
        }
        Circumstance::AfterUndo => {
            let first = before(&|e| !e.is_undo() && e.completed())?;
            let may_refuse = matches!(fence, Some(Fence::Barrier | Fence::None));
            let broken = match () {
                () if said.refused() && may_refuse => None,
                () => again(&log[first], said)?.err(),
            };
            ruling(Rule::AfterUndo, Some(first), broken)
        }
        Circumstance::Undo | Circumstance::BlindUndo => {
            let rule = match said.circumstance {
                Circumstance::Undo => Rule::Undo,
                _ => Rule::BlindUndo,
            };
            let action = before(&|e| !e.is_undo() && e.completed());
            let broken = match () {
                () if said.found_nothing() && action.is_some() => {
                    Some("it says that there was nothing to undo, and it had done it".into())
                }
                // Without the result the engine counts on no more than what is said: a success that
                // it hears of later is undone in a second round unless this one has undone it.
                () if rule == Rule::BlindUndo && said.says_not_whether() => {
                    return Some(Verdict { rule, at, against: action, finding: Finding::Unsaid });
                }
                () if said.acknowledged() => None,
                () if acknowledged_later() => return None,
                () => Some(unacknowledged(said)),
            };
            ruling(rule, action, broken)
        }
        Circumstance::UndoBeside => {
            let lost = !said.acknowledged() && !acknowledged_later();
            lost.then(|| unacknowledged(said))
                .and_then(|why| ruling(Rule::BlindUndo, None, Some(why)))
        }
        Circumstance::UndoRepeat | Circumstance::UndoAtOnce => {
            let (rule, first) = match said.circumstance {
                Circumstance::UndoRepeat => {
                    (Rule::UndoRepeat, before(&|e| e.key == said.key && e.acknowledged()))
                }
                _ => (Rule::UndoAtOnce, twin(&Exchange::acknowledged)),
            };
            if first.is_none() && !said.acknowledged() {
                return None; // it acknowledges no undo at all: that is another rule
            }
            let changed = first.is_some_and(|f| log[f].found_nothing() != said.found_nothing());
            let broken = match () {
                () if said.acknowledged() && changed => {
                    Some("it says something else than its first answer".into())
                }
                () if said.acknowledged() => None,
                () if acknowledged_later() => return None,
                () => Some(unacknowledged(said)),
            };
            ruling(rule, first, broken)
        }
        Circumstance::UndoFirst => {
            let broken = match () {
                () if said.acknowledged() && said.undid() => {
                    Some("it says that it has undone what it never did".into())
                }
                () if said.acknowledged() => None,
                () if acknowledged_later() => return None,
                () => Some(unacknowledged(said)),
            };
            ruling(Rule::UndoFirst, None, broken)
        }
        Circumstance::SecondRound => {
            let action = (0..at)
                .rev()
                .find(|&i| of_step(&&log[i]) && !log[i].is_undo() && log[i].completed());
            let undone_since = |action: usize| {
                log[action..at]
                    .iter()
                    .any(|e| of_step(&e) && e.is_undo() && e.acknowledged() && !e.found_nothing())
            };
            let owes = action.is_some_and(|action| !undone_since(action));
            let broken = match () {
                () if said.found_nothing() && owes => {
                    Some("it says that there was nothing to undo, and it had done it".into())
                }
                () if said.acknowledged() => None,
                () if acknowledged_later() => return None,
                () => Some(unacknowledged(said)),
            };
            ruling(Rule::SecondRound, action, broken)
        }
        Circumstance::GivenBack => None,
        Circumstance::Odd(_) | Circumstance::Afterwards(_) => super::talk::verdict(log, at),
        Circumstance::UnknownCommand | Circumstance::Garbage => {
            let rule = match said.circumstance {
                Circumstance::UnknownCommand => Rule::UnknownCommand,
                _ => Rule::Garbage,
            };
            let status = said.seen.as_ref().map(|seen| seen.status);
            let broken = match status {
                Some(400..=499) => None,
                Some(status) => Some(format!("it is answered {status}")),
                None => Some(format!("it is not answered: {}", why_unanswered(said))),
            };
            ruling(rule, None, broken)
        }
    }
}

/// Is a repeated action answered as at first? `None` where it is asked again anyway.
fn again(first: &Exchange, said: &Exchange) -> Option<Result<(), String>> {
    Some(match () {
        () if said.completed() && first.completed() => {
            if first.result() == said.result() {
                Ok(())
            } else {
                Err("the result is another one than at first: it was done a second time".to_owned())
            }
        }
        () if said.refused() && first.refused() => Ok(()),
        () if said.completed() => Err("it was refused at first, and is done now".to_owned()),
        () if said.refused() => {
            Err("it is refused, though it was done: that counts as \"it has had no effect\"".into())
        }
        () if said.not_now() => return None,
        () => Err(unclear(said)),
    })
}

/// Is the answer one that the engine can make nothing of?
fn is_breach(said: &Exchange) -> bool {
    matches!(said.outcome, amends_wire::Outcome::Unknown { .. })
}

fn unclear(said: &Exchange) -> String {
    match &said.outcome {
        amends_wire::Outcome::Unknown { .. } if said.seen.is_none() => {
            format!("there is no answer: {}", why_unanswered(said))
        }
        _ => "its answer says neither done nor refused".to_owned(),
    }
}

fn unacknowledged(said: &Exchange) -> String {
    match (&said.seen, &said.outcome) {
        (None, amends_wire::Outcome::Unknown { .. }) => {
            format!("the undo is not answered: {}", why_unanswered(said))
        }
        _ => "the undo is not acknowledged".to_owned(),
    }
}

/// Why there was no answer in the exchange, and what to do where it may yet have come.
pub fn why_unanswered(said: &Exchange) -> String {
    match &said.outcome {
        amends_wire::Outcome::Unknown { error, .. } if said.is_overdue() => {
            format!("{error}; {RAISED}")
        }
        amends_wire::Outcome::Unknown { error, .. } => error.to_string(),
        _ => "there was none".to_owned(),
    }
}
