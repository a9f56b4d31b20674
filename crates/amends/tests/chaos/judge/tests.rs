//! The judge's rules, each shown a lie.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::history::{self, Sendings};
use super::starts::{self, Served};
use crate::load::book::{CameTo, Seen, Start, goes_back};

type Rule = (&'static str, fn() -> Result<(), Failed>);

const TESTS: [Rule; 4] = [
    ("what_was_acknowledged_is_there_and_what_was_refused_is_not", starts_are_kept),
    ("nothing_that_was_seen_is_taken_back", nothing_goes_back),
    ("a_history_is_whole_and_keeps_the_order_of_a_saga", histories_are_whole),
    ("a_cancelled_or_paused_saga_sends_nothing_new", sendings_are_due),
];

pub fn tests() -> Vec<Trial> {
    TESTS.into_iter().map(|(name, test)| Trial::test(format!("judge::{name}"), test)).collect()
}

fn check(found: &[String], expected: &str) -> Result<(), Failed> {
    let fits = match found {
        [] => expected.is_empty(),
        [first, ..] => !expected.is_empty() && first.contains(expected),
    };
    if fits { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}").into()) }
}

fn starts_are_kept() -> Result<(), Failed> {
    let start = |key: &str, came_to| Start { key: key.to_owned(), came_to };
    let acknowledged = |saga: &str| CameTo::Acknowledged(saga.to_owned());
    let served = |sagas: &[(&str, &str)]| -> Vec<Served> {
        let served = |(saga_id, key): &(&str, &str)| Served {
            saga_id: (*saga_id).to_owned(),
            key: (*key).to_owned(),
            is_listed: true,
        };
        sagas.iter().map(served).collect()
    };
    let a = [start("a", acknowledged("1"))];
    check(&starts::judge(&a, &served(&[("1", "a")])), "")?;
    check(&starts::judge(&a, &[]), "a was acknowledged as 1")?;
    check(&starts::judge(&a, &served(&[("2", "a")])), "a was acknowledged as 1")?;
    check(&starts::judge(&a, &served(&[("1", "a"), ("2", "a")])), "a was acknowledged as 1")?;
    let mut hidden = served(&[("1", "a")]);
    hidden[0].is_listed = false;
    check(&starts::judge(&a, &hidden), "is not listed")?;
    let refused = [start("a", CameTo::Refused)];
    check(&starts::judge(&refused, &[]), "")?;
    check(&starts::judge(&refused, &served(&[("1", "a")])), "a was refused")?;
    let unknown = [start("a", CameTo::Unknown)];
    check(&starts::judge(&unknown, &[]), "")?;
    check(&starts::judge(&unknown, &served(&[("1", "a")])), "")?;
    check(&starts::judge(&unknown, &served(&[("1", "a"), ("2", "a")])), "a was taken 2 times")?;
    check(&starts::judge(&[], &served(&[("1", "a")])), "no client used")?;
    let both = [start("a", acknowledged("1")), start("b", acknowledged("1"))];
    let found = starts::judge(&both, &served(&[("1", "a")]));
    check(&found[found.len() - 1..], "to another key")
}

fn nothing_goes_back() -> Result<(), Failed> {
    let seen = |seq, ended: Option<&str>| Seen { seq, ended: ended.map(str::to_owned) };
    let judge = |before: &Seen, after: &Seen| -> Vec<String> {
        goes_back("s", before, after).into_iter().collect()
    };
    check(&judge(&seen(3, None), &seen(5, Some("failed"))), "")?;
    check(&judge(&seen(5, Some("failed")), &seen(6, Some("failed"))), "")?;
    check(&judge(&seen(5, None), &seen(4, None)), "was at 5")?;
    check(&judge(&seen(5, Some("failed")), &seen(6, Some("completed"))), "had ended failed")?;
    check(&judge(&seen(5, Some("failed")), &seen(6, None)), "had ended failed")
}

/// A history of these events, each with its place.
fn events(events: &[Value]) -> Vec<Value> {
    let placed = |(seq, event): (usize, &Value)| {
        let mut event = event.clone();
        event["seq"] = json!(seq + 1);
        event
    };
    events.iter().enumerate().map(placed).collect()
}

fn sent(step: &str, direction: &str, attempt: u32) -> Value {
    json!({"event": "sent", "step": step, "direction": direction, "round": 1, "attempt": attempt})
}

fn judged(events: &[Value]) -> Vec<String> {
    let saga = json!({"seq": events.len(), "state": "failed", "ended_at": "then"});
    history::judge("s", &saga, events, &mut Sendings::new())
}

fn histories_are_whole() -> Result<(), Failed> {
    let ended = json!({"event": "ended", "state": "failed"});
    let good = events(&[
        json!({"event": "started"}),
        sent("a", "action", 1),
        sent("a", "action", 2),
        json!({"event": "turned"}),
        sent("a", "compensation", 1),
        ended.clone(),
    ]);
    check(&judged(&good), "")?;
    let mut gap = good.clone();
    gap.remove(2);
    check(&judged(&gap), "in place 3")?;
    check(&judged(&good[..5]), "has 0 ends")?;
    let mut twice = good.clone();
    twice.push(json!({"event": "ended", "state": "failed", "seq": 7}));
    check(&judged(&twice), "has 2 ends")?;
    let other = events(&[json!({"event": "ended", "state": "completed"})]);
    check(&judged(&other), "and its history")?;
    check(&judged(&events(&[sent("a", "action", 1), sent("a", "action", 1), ended])), "twice")
}

fn sendings_are_due() -> Result<(), Failed> {
    let (turned, ended) =
        (json!({"event": "turned"}), json!({"event": "ended", "state": "failed"}));
    let late = events(&[turned, sent("a", "action", 1), ended.clone()]);
    check(&judged(&late), "and then a was begun")?;
    let early = events(&[sent("a", "compensation", 1), ended.clone()]);
    check(&judged(&early), "before it was turned")?;
    let (paused, resumed) = (json!({"event": "paused"}), json!({"event": "resumed"}));
    let asleep = events(&[paused.clone(), sent("a", "action", 1), resumed.clone(), ended.clone()]);
    check(&judged(&asleep), "was paused, and a was sent")?;
    check(&judged(&events(&[paused, resumed, sent("a", "action", 1), ended])), "")
}
