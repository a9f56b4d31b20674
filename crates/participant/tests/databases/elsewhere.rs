//! Sagas without a coordinator whose steps are another process's: it is asked as a coordinator would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_participant::{Choreographed, Participant, Reacting, State, Surroundings};
use amends_transport::{CommandView, Fail, InProcess, Transport};
use serde_json::json;
use sqlx::Pool;

use crate::bed::{Tested, on_each_database};
use crate::choreography::{Stage, order};

on_each_database! {
    alone
    a_handler_elsewhere_is_asked_until_it_answers
    what_began_elsewhere_is_not_barred_before_its_answer
    what_hangs_elsewhere_holds_up_no_other_step
    what_hangs_elsewhere_holds_up_no_event
    each_round_elsewhere_has_a_key_of_its_own
}

/// A process with a fence of its own: it does once what it is asked for, whether or not its answer arrives.
fn elsewhere(
    service: &str,
    answers: &'static [&'static str],
) -> (Arc<dyn Transport>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (acted, undone) = (Arc::clone(&asked), Arc::clone(&asked));
    let transport = InProcess::new(tokio::runtime::Handle::current())
        .handle(&format!("{service}.Act"), move |command: CommandView| {
            let times = {
                let mut asked = acted.lock().unwrap();
                asked.push(command.idempotency_key());
                asked.len()
            };
            async move {
                match answers.get(times - 1).copied().unwrap_or_default() {
                    "not now" => Err(Fail::transient("not now")),
                    "no" => Err(Fail::refused_with("NO", "no money")),
                    "silence" => std::future::pending().await,
                    "too much" => Ok(json!("x".repeat(amends_participant::RESULT_BYTES_MAX))),
                    _ => Ok(json!({ "amount": 2, "attempt": 0 })),
                }
            }
        })
        .handle(&format!("{service}.Undo"), move |command: CommandView| {
            undone.lock().unwrap().push(command.idempotency_key());
            async { Ok::<_, Fail>(amends_transport::Answer::Undone) }
        });
    (Arc::new(transport), asked)
}

fn sidecar<D: Tested>(
    stage: &mut Stage<D>,
    service: &str,
    answers: &'static [&'static str],
) -> Asked {
    let (transport, asked) = elsewhere(service, answers);
    let participant = Participant::builder(service, stage.pool.clone()).build();
    let sidecar = participant.choreographies_elsewhere([stage.of.clone()], transport);
    let listener = stage.broker.listener(service);
    stage.at_work.spawn(Reacting::new(sidecar, listener).run(std::future::pending()));
    asked
}

type Asked = Arc<Mutex<Vec<String>>>;

async fn a_handler_elsewhere_is_asked_until_it_answers<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.serve("InventoryService");
    stage.serve("ShippingService");
    let asked = sidecar(&mut stage, "PaymentService", &["not now", "silence", "too much", ""]);
    let saga = stage.start(json!({ "ship": "refuse" })).await;
    assert_eq!(stage.end(saga).await, State::Failed);
    let key = |direction| format!("{saga}/charge/{direction}");
    let keys = ["action", "action", "action", "action", "compensation"].map(key);
    assert_eq!(*asked.lock().unwrap(), keys);
    assert_eq!(stage.ledger(saga).await, [vec![1], vec![1]]);
}

async fn what_began_elsewhere_is_not_barred_before_its_answer<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.serve("InventoryService");
    stage.serve("ShippingService");
    let asked = sidecar(&mut stage, "PaymentService", &["silence", ""]);
    let saga = stage.start(json!({})).await;
    for _ in 0..6_000 {
        if !asked.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.services[0].cancel(saga, "the customer rang").await.unwrap();
    assert_eq!(stage.end(saga).await, State::Failed);
    // It is undone, since it had run; it was not said that it never did.
    assert_eq!(asked.lock().unwrap().last().unwrap(), &format!("{saga}/charge/compensation"));
    let said = stage.said(saga);
    assert!(said.iter().any(|name| name == "ChargeCompleted"), "{said:?}");
    assert!(!said.iter().any(|name| name == "ChargeNeverRan"), "{said:?}");
}

async fn each_round_elsewhere_has_a_key_of_its_own<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "retriable")).await;
    stage.serve("InventoryService");
    stage.serve("PaymentService");
    let asked = sidecar(&mut stage, "ShippingService", &["no", "not now", ""]);
    let saga = stage.start(json!({})).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    let key = format!("{saga}/ship/action");
    assert_eq!(*asked.lock().unwrap(), [key.clone(), format!("{key}/2"), format!("{key}/2")]);
}

/// Two steps of one service, neither before the other.
const TWO: &str = r#"
saga: Order
version: 1
pattern: choreography
defaults: { timeout: 10m, deadline: 20m }
steps:
  - { name: one, action: PaymentService.Act, compensation: PaymentService.Undo }
  - { name: other, action: PaymentService.Act, compensation: PaymentService.Undo, after: [] }
  - { name: ship, kind: pivot, action: ShippingService.Act, after: [one, other] }
services:
  PaymentService: { fence: barrier }
  ShippingService: { fence: barrier }
messaging: { nats: { stream: ORDERS, events: orders.events } }
"#;

async fn two<D: Tested>(pool: Pool<D>) -> Stage<D> {
    let of = Choreographed::read(TWO.as_bytes(), "order.yaml", &Surroundings::none()).unwrap();
    Stage::of(pool, of).await
}

async fn what_hangs_elsewhere_holds_up_no_other_step<D: Tested>(pool: Pool<D>) {
    let mut stage = two(pool).await;
    let asked = sidecar(&mut stage, "PaymentService", &["silence", ""]);
    let saga = stage.start(json!({})).await;
    let is_done = |name: &String| name.ends_with("Completed");
    for _ in 0..6_000 {
        if stage.said(saga).iter().any(is_done) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = stage.said(saga);
    assert_eq!(said.iter().filter(|name| is_done(name)).count(), 1, "{said:?}");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

/// The only saga that may be at work hangs; of the others all is heard.
async fn what_hangs_elsewhere_holds_up_no_event<D: Tested>(pool: Pool<D>) {
    let mut stage = two(pool).await;
    let (transport, asked) = elsewhere("PaymentService", &["silence", "silence"]);
    let participant = Participant::builder("PaymentService", stage.pool.clone()).build();
    let sidecar = participant.choreographies_elsewhere([stage.of.clone()], transport);
    let listener = stage.broker.listener("PaymentService");
    let reacting = Reacting::new(sidecar.clone(), listener).at_once(1);
    stage.at_work.spawn(reacting.run(std::future::pending()));
    let mut sagas = Vec::new();
    for _ in 0..6 {
        sagas.push(stage.start(json!({})).await);
    }
    for saga in sagas {
        for _ in 0..6_000 {
            if sidecar.record(saga).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(sidecar.record(saga).await.is_ok(), "{saga} is not heard of");
    }
    assert!(asked.lock().unwrap().len() <= 2, "both steps of the one saga");
}
