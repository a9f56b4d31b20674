//! What watchers are told (S23): every change that is in the journal, in order, once; and nothing
//! that is not in it.

mod shop;

use std::sync::Arc;

use amends_engine::{Change, Engine, StartError, Transition};
use amends_store::memory::{Disk, Fault};
use serde_json::json;
use shop::{Ledger, engine, order, run};
use tokio::sync::broadcast::Receiver;

const ORDER: &str = r#"
saga: Order
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

fn heard(watcher: &mut Receiver<Arc<Transition>>) -> Vec<Arc<Transition>> {
    std::iter::from_fn(|| watcher.try_recv().ok()).collect()
}

fn words(change: &Change) -> String {
    let words = match change {
        Change::Saga { from, to } => {
            let from = from.map_or("-".to_owned(), |from| format!("{from:?}"));
            format!("{from} → {to:?}")
        }
        Change::Step { step_name, from, to } => format!("{step_name}: {from:?} → {to:?}"),
        other => format!("{other:?}"),
    };
    words.to_lowercase()
}

async fn watched(disk: &Disk) -> (Engine, Receiver<Arc<Transition>>) {
    let engine = engine(disk, &Ledger::default(), ORDER).await;
    let watcher = engine.handle().transitions();
    (engine, watcher)
}

#[tokio::test(start_paused = true)]
async fn every_change_of_a_saga_is_told_in_order_with_the_fact_that_made_it() {
    let (engine, mut watcher) = watched(&Disk::new()).await;
    let saga = run(&engine.handle(), json!({"Payment.Charge": "refuse"})).await;
    let heard = heard(&mut watcher);
    let told: Vec<String> = heard.iter().map(|told| words(&told.change)).collect();
    assert_eq!(
        told,
        [
            "- → started",
            "reserve: pending → executing",
            "reserve: executing → completed",
            "pay: pending → executing",
            "started → pending",
            "reserve: completed → compensating",
            "pay: executing → failed",
            "pending → compensating",
            "reserve: compensating → compensated",
            "compensating → failed",
        ]
    );
    let history = engine.handle().history(saga.id).await.unwrap().unwrap();
    let facts = history.len() as u64;
    assert!(heard.windows(2).all(|pair| pair[0].seq <= pair[1].seq), "in order");
    assert!(heard.iter().all(|told| (1..=facts).contains(&told.seq)), "of facts in its history");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_that_the_journal_does_not_hold() {
    for fault in [Fault::JournalFull, Fault::Torn] {
        let disk = Disk::new();
        let (engine, mut watcher) = watched(&disk).await;
        disk.fail_next(fault);
        let refused = engine.handle().start(order(json!({}))).await;
        assert!(matches!(refused, Err(StartError::Unavailable(_))), "{fault:?}: {refused:?}");
        assert_eq!(heard(&mut watcher), [], "{fault:?}");
        drop(engine);
    }
}
