//! What a start of the engine does to the services: what was owed goes on, at a pace they can take.

mod shop;

use std::time::Duration;

use amends_core::saga::State;
use amends_engine::Options;
use amends_store::memory::Disk;
use serde_json::json;
use shop::{Ledger, begin, end, engine};

const ORDER: &str = r#"
saga: Order
steps:
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund, timeout: 1s, deadline: 1h }
services:
  Payment: { fence: barrier }
"#;

/// More than the pace lets through within the seconds that are looked at.
const SAGAS: usize = 3_000;

/// The pace is shared out over the shards, rounded up.
const ROUNDED: usize = 4;

#[tokio::test(start_paused = true)]
async fn what_is_owed_after_a_start_is_sent_at_a_pace_that_doubles_while_answers_come() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let first = engine(&disk, &ledger, ORDER).await;
    let mut sagas = Vec::new();
    // The first ones hang once, until the window of the last shard is full; the others wait for room.
    while ledger.asked_in_all("Payment.Charge") < Options::default().window {
        sagas.push(begin(&first.handle(), json!({ "Payment.Charge": "hang 1" })).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while sagas.len() < SAGAS {
        sagas.push(begin(&first.handle(), json!({ "Payment.Charge": "do" })).await);
    }
    drop(first);
    let before = ledger.asked_in_all("Payment.Charge");
    assert!(before < SAGAS / 2, "{before} were sent before there was anything to recover");

    let second = engine(&disk, &ledger, ORDER).await;
    let handle = second.handle();
    let pace = Options::default().recovery_rate as usize + ROUNDED;
    for (second, most) in [(1, pace), (2, pace + 2 * pace), (3, pace + 2 * pace + 4 * pace)] {
        tokio::time::sleep(Duration::from_millis(if second == 1 { 900 } else { 1_000 })).await;
        let sent = ledger.asked_in_all("Payment.Charge") - before;
        assert!(sent > 0, "nothing was sent in {second} s");
        assert!(sent <= most, "{sent} were sent in {second} s, and the pace allows {most}");
    }
    for saga in sagas {
        assert_eq!(end(&handle, saga).await.state, State::Completed);
    }
    second.stop().await;
}
