//! Every sending has one ending.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_wire::Outcome;

use super::stage::{Stage, action, data, echoes};
use super::{Participant, Said, Seen, Subject};

/// Many at once, each answered with its own data: none is lost, doubled, or given to another.
pub async fn every_sending_ends_exactly_once(subject: &dyn Subject) {
    const SENDINGS: u128 = 2_000;
    const IN_FLIGHT: u128 = 100;
    let mut stage = Stage::new(subject, echoes()).await;
    let mut ended = BTreeMap::new();
    let mut next = 0;
    while ended.len() < SENDINGS as usize {
        while next < SENDINGS && next < ended.len() as u128 + IN_FLIGHT {
            stage.send(action(next, format!("{{\"saga\":{next}}}").as_bytes()));
            next += 1;
        }
        let (saga, outcome) = stage.ended().await;
        let expected = super::outcomes::completed(Some(format!("{{\"saga\":{saga}}}").into()));
        assert_eq!(outcome, expected);
        assert!(ended.insert(saga, ()).is_none(), "saga {saga} ended twice");
    }
    assert_eq!(stage.rest().await, []);
}

/// A participant that breaks down in one command takes nothing else with it.
pub async fn a_crash_leaves_the_outcome_unknown_and_the_rest_unharmed(subject: &dyn Subject) {
    if !subject.capabilities().sees_crashes {
        return;
    }
    let participant: Participant = Arc::new(|seen: Seen| {
        Box::pin(async move {
            match data(&seen.body).as_deref() {
                Some(b"\"crash\"") => Said::Crash,
                _ => Said::Completed(None),
            }
        })
    });
    let mut stage = Stage::new(subject, participant).await;
    for saga in 0..20 {
        let outcome = stage.exchange(action(saga, b"\"crash\"")).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        let outcome = stage.exchange(action(saga, b"\"go on\"")).await;
        assert_eq!(outcome, super::outcomes::completed(None));
    }
    assert_eq!(stage.rest().await, []);
}

/// That nothing left is worth knowing: it is no attempt.
pub async fn what_cannot_be_reached_is_not_sent(subject: &dyn Subject) {
    if !subject.capabilities().tells_not_sent {
        return;
    }
    let mut stage = Stage::over(subject.unreachable().await);
    for saga in 0..20 {
        let outcome = stage.exchange(action(saga, b"{}")).await;
        assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    }
    assert_eq!(stage.rest().await, []);
}
