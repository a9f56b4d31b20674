//! A transport closes in order.

use std::time::Duration;

use amends_wire::Outcome;

use super::stage::{Gate, LONG, SHORT, Stage, action, echoes, says, within};
use super::{Said, Subject};
use crate::contract::{Delivery, Receipt};

/// What is answered within the grace is delivered. A reply by message waits at the broker for the
/// next start, so there is nothing to wait for.
pub async fn closing_waits_for_what_is_open(subject: &dyn Subject) {
    if !subject.capabilities().own_exchange {
        return;
    }
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    stage.send(action(1, b"{}"));
    gate.arrival().await;
    let mut closing = stage.transport.close(LONG);
    let too_soon = tokio::time::timeout(SHORT * 20, &mut closing).await;
    assert!(too_soon.is_err(), "it is closed, and an exchange is open");
    gate.open.add_permits(1);
    let ((), ended) = tokio::join!(within(closing), stage.ended());
    assert_eq!(ended, (1, super::outcomes::completed(None)));
    assert_eq!(stage.rest().await, []);
}

/// A reply that is being made durable is acknowledged before the way to the broker is closed.
pub async fn closing_waits_for_receipts(subject: &dyn Subject) {
    if subject.capabilities().own_exchange {
        return;
    }
    let mut stage = Stage::new(subject, says(Said::Completed(None))).await;
    stage.send(action(1, b"{}"));
    let Delivery::Replied { receipt, .. } = stage.delivered().await else {
        panic!("without an exchange of its own a sending is answered by name");
    };
    let mut closing = stage.transport.close(LONG);
    let too_soon = tokio::time::timeout(SHORT * 20, &mut closing).await;
    assert!(too_soon.is_err(), "it is closed, and a receipt is out");
    let told = receipt.expect("a reply by message wants a receipt");
    told.send(Receipt::Durable).expect("it is waited for");
    within(closing).await;
    assert_eq!(stage.rest().await, []);
}

/// What is not has an ending all the same, where the transport has an exchange that can end.
pub async fn closing_ends_what_stays_open(subject: &dyn Subject) {
    if !subject.capabilities().own_exchange {
        return;
    }
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    stage.send(action(1, b"{}"));
    gate.arrival().await;
    within(stage.transport.close(Duration::ZERO)).await;
    let (saga, outcome) = stage.ended().await;
    assert_eq!(saga, 1);
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(stage.rest().await, []);
}

/// A closed transport says so.
pub async fn nothing_is_sent_after_closing(subject: &dyn Subject) {
    let mut stage = Stage::new(subject, echoes()).await;
    within(stage.transport.close(Duration::ZERO)).await;
    let outcome = stage.exchange(action(1, b"{}")).await;
    assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    assert_eq!(stage.rest().await, []);
}
