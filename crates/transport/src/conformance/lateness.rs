//! An exchange is not hung up at its time-out, and does not stay open for ever either.

use amends_wire::Outcome;
use bytes::Bytes;

use super::stage::{Gate, LONG, SHORT, Stage, action};
use super::{Said, Subject};
use crate::contract::{Outgoing, Patience};

fn timing_out(saga: u128) -> Outgoing {
    Outgoing { patience: Patience { timeout: SHORT, keep_open_for: LONG }, ..action(saga, b"{}") }
}

/// The answer of a sending that timed out is delivered when it comes.
pub async fn a_late_answer_still_counts(subject: &dyn Subject) {
    let said = Said::Completed(Some(Bytes::from_static(b"\"late\"")));
    let (mut gate, participant) = Gate::shut(said);
    let mut stage = Stage::new(subject, participant).await;
    stage.send(timing_out(1));
    gate.arrival().await;
    if subject.capabilities().own_exchange {
        stage.kept_open(1).await;
    }
    gate.open.add_permits(1);
    let (_, outcome) = stage.ended().await;
    assert_eq!(outcome, super::outcomes::completed(Some(Bytes::from_static(b"\"late\""))));
    stage.kept_open(0).await;
}

/// When its time is over an exchange ends, and the participant's word no longer comes through it.
pub async fn silence_ends_as_unknown(subject: &dyn Subject) {
    if !subject.capabilities().own_exchange {
        return;
    }
    let (_gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    let patience = Patience { timeout: SHORT, keep_open_for: SHORT * 2 };
    let outcome = stage.exchange(Outgoing { patience, ..action(1, b"{}") }).await;
    assert!(matches!(outcome, Outcome::Unknown { contract: None, .. }), "{outcome:?}");
    assert_eq!(stage.transport.kept_open(), 0);
    assert_eq!(stage.rest().await, []);
}

/// The limit on exchanges past their time-out costs the oldest its answer, and no other.
pub async fn the_oldest_of_too_many_late_exchanges_is_given_up(subject: &dyn Subject) {
    if !subject.capabilities().own_exchange {
        return;
    }
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::limited(subject, participant, 2).await;
    for saga in 1..=2 {
        stage.send(timing_out(saga));
        gate.arrival().await;
        stage.kept_open(saga as usize).await;
    }
    stage.send(timing_out(3));
    let (saga, outcome) = stage.ended().await;
    assert_eq!(saga, 1);
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    gate.open.add_permits(3);
    let mut rest = [stage.ended().await, stage.ended().await];
    rest.sort_by_key(|(saga, _)| *saga);
    let done = super::outcomes::completed(None);
    assert_eq!(rest, [(2, done.clone()), (3, done)]);
    assert_eq!(stage.rest().await, []);
}
