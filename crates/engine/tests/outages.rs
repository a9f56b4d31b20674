//! Nobody runs for a while: no saga's time runs out meanwhile (`semantics.md` section 5, time).

mod shop;

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::State;
use amends_core::{Event, SagaId, Time};
use amends_engine::{Engine, Machine, Options, Outside};
use amends_store::memory::Disk;
use serde_json::json;
use shop::{Ledger, begin, deployment, end, look, participants};
use tokio::time::Instant;

const ORDER: &str = r#"
saga: Order
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

const APPROVAL: &str = r#"
saga: Order
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - name: approve
    signal: approval
    deadline: 3d
    on_deadline: refuse
    refuse_when: "${ signal.approved == false }"
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

/// A wall clock that goes on with the runtime's paused time, also while no engine runs.
#[derive(Clone, Copy)]
struct Wall {
    at: Time,
    since: Instant,
}

impl Wall {
    fn now() -> Self {
        Self { at: Machine.wall_clock(), since: Instant::now() }
    }

    async fn engine(self, disk: &Disk, ledger: &Ledger, definition: &str) -> Engine {
        let binder = participants(ledger);
        let engine = Engine::start_in(Options::default(), disk.open(), binder, Arc::new(self));
        let engine = engine.await.unwrap();
        engine.handle().deploy(vec![deployment(definition)]).await.unwrap();
        engine
    }
}

impl Outside for Wall {
    fn wall_clock(&self) -> Time {
        Time(self.at.0 + self.since.elapsed().as_millis() as u64)
    }

    fn saga_id(&self) -> SagaId {
        Machine.saga_id()
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_saga_survives_a_restart_and_its_deadline_makes_up_for_the_outage() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let wall = Wall::now();
    let first = wall.engine(&disk, &ledger, APPROVAL).await;
    let saga = begin(&first.handle(), json!({})).await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    first.stop().await;
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let second = wall.engine(&disk, &ledger, APPROVAL).await;
    let ended = end(&second.handle(), saga).await;
    assert_eq!(ended.state, State::Failed);
    let days = ended.ended_at.unwrap().since(ended.created_at).0 as f64 / 86_400_000.0;
    assert!((4.0..4.01).contains(&days), "three days, and the one that nobody ran: {days}");
    assert_eq!(ledger.done(saga), ["Inventory.Reserve", "Inventory.Release"]);
    second.stop().await;
}

/// Those that go forward and those that go back: neither's time runs out while nobody runs.
#[tokio::test(start_paused = true)]
async fn a_restart_tells_every_saga_of_the_outage_before_it() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let wall = Wall::now();
    let first = wall.engine(&disk, &ledger, ORDER).await;
    let forward = begin(&first.handle(), json!({"Payment.Charge": "busy"})).await;
    let data = json!({"Payment.Charge": "refuse", "Inventory.Release": "busy"});
    let back = begin(&first.handle(), data).await;
    while look(&first.handle(), back).await.state != State::Compensating {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    first.stop().await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    let second = wall.engine(&disk, &ledger, ORDER).await;
    let handle = second.handle();
    for saga in [forward, back] {
        let told = async || {
            let history = handle.history(saga).await.unwrap().unwrap();
            history.into_iter().find_map(|item| match item.event {
                Event::OutageEnded { lasted } => Some(lasted.0 / 1_000),
                _ => None,
            })
        };
        let waiting = async {
            loop {
                if let Some(seconds) = told().await {
                    return seconds;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let seconds = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        let seconds = seconds.unwrap_or_else(|_| panic!("{saga} is not told of the outage"));
        assert!((3_590..=3_610).contains(&seconds), "{seconds} s");
    }
    second.stop().await;
}
