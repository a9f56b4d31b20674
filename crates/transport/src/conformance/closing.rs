//! A transport closes in order.

use std::time::Duration;

use amends_wire::Outcome;

use super::stage::{Gate, LONG, SHORT, Stage, action, echoes, within};
use super::{Said, Subject};

/// What is answered within the grace is delivered.
pub async fn closing_waits_for_what_is_open(subject: &dyn Subject) {
    let (mut gate, participant) = Gate::shut(Said::Completed(None));
    let mut stage = Stage::new(subject, participant).await;
    stage.send(action(1, b"{}"));
    gate.arrival().await;
    let mut closing = stage.transport.close(LONG);
    let too_soon = tokio::time::timeout(SHORT * 20, &mut closing).await;
    assert!(too_soon.is_err(), "it is closed, and an exchange is open");
    gate.open.add_permits(1);
    // Side by side: what is answered by message is open until its reply is durable.
    let ((), ended) = tokio::join!(within(closing), stage.ended());
    assert_eq!(ended, (1, super::outcomes::completed(None)));
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
