//! Commands and replies over a broker: what was said while the engine was away is heard when it
//! comes back, and what is not for it goes where people look.

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::State;
use amends_definition::{Surroundings, check};
use amends_engine::{Binder, Carrier, Deployment, Engine, Options, Start};
use amends_store::memory::Disk;
use amends_transport::{ByMessage, Channel, InMemory, Kind, Message, Received};
use amends_wire::{Headers, SendingId, TokenKey};
use serde_json::json;

const DEFINITION: &str = "
saga: Order
steps:
  - { name: reserve, action: Stock.Take, compensation: Stock.GiveBack }
services:
  Stock: { fence: barrier, http: { url: \"http://127.0.0.1:1\" } }
";

struct Broker(InMemory);

impl Binder for Broker {
    fn bind(&self, service: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let runtime = tokio::runtime::Handle::current();
        let transport = Arc::new(ByMessage::new(self.0.engine(), service, runtime));
        Some(Carrier { transport, answers_by_message: true })
    }
}

async fn engine(disk: &Disk, broker: &InMemory) -> Engine {
    let binder = Arc::new(Broker(broker.clone()));
    let options = Options {
        public_url: Some("http://127.0.0.1:1".to_owned()),
        token_key: Some(TokenKey::new(&[7; 32]).unwrap()),
        ..Options::default()
    };
    let engine = Engine::start(options, disk.open(), binder).await.unwrap();
    let checked = check(DEFINITION.as_bytes(), "order.yaml", &Surroundings::none());
    let compiled = checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings));
    engine.handle().deploy(vec![Deployment { compiled }]).await.unwrap();
    engine
}

async fn start(engine: &Engine) -> amends_core::SagaId {
    let start = Start {
        saga_type: "Order".into(),
        version: None,
        data: "{}".into(),
        idempotency_key: None,
        wait: None,
    };
    engine.handle().start(start).await.unwrap().snapshot.saga.id
}

async fn state(engine: &Engine, saga: amends_core::SagaId) -> State {
    let ended = engine.handle().wait(saga, Duration::from_secs(60)).await.unwrap();
    ended.expect("it was started").saga.state
}

async fn next(service: &Arc<dyn Channel>) -> Received {
    let received = tokio::time::timeout(Duration::from_secs(60), service.receive());
    received.await.expect("it comes").expect("the broker is there")
}

fn completed(command: &Received) -> Message {
    let id = command.value("ce-id").and_then(SendingId::parse).expect("a sending says its id");
    let saga_id = id.command.saga_id.to_string();
    let body = json!({
        "type": "SagaStepCompleted",
        "saga_id": saga_id,
        "step_name": id.command.step_name,
        "result": {"taken": 1},
    });
    Message {
        id: "reply".to_owned(),
        saga_id,
        kind: Kind::Reply,
        name: "SagaStepCompleted".to_owned(),
        attributes: Vec::new(),
        body: body.to_string().into(),
    }
}

/// Its saga is in memory again before anyone asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_came_while_the_engine_was_away_is_heard() {
    let (disk, broker) = (Disk::new(), InMemory::new());
    let service = broker.service();
    let before = engine(&disk, &broker).await;
    let saga = start(&before).await;
    let command = next(&service).await;
    assert_eq!(command.value("amends-reply-to"), None, "a credential that nobody needs");
    before.stop().await;
    service.publish(&completed(&command)).await.unwrap();
    service.acknowledge(command.tag).await.unwrap();
    let after = engine(&disk, &broker).await;
    assert_eq!(state(&after, saga).await, State::Completed);
    // Acknowledged once it is durable.
    while !broker.is_idle() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(broker.dead_letters(), []);
    after.stop().await;
}

/// Of a saga that was never started, of another service's step, and what is no reply at all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_it_is_put_aside_with_the_reason() {
    let (disk, broker) = (Disk::new(), InMemory::new());
    let service = broker.service();
    let engine = engine(&disk, &broker).await;
    let saga = start(&engine).await;
    let command = next(&service).await;
    for body in [
        "no JSON".to_owned(),
        json!({"type": "SagaStepCompleted", "step_name": "reserve"}).to_string(),
        json!({"type": "SagaStepCompleted", "step_name": "reserve",
               "saga_id": "00000000-0000-4000-8000-000000000000"})
        .to_string(),
    ] {
        broker.put(Kind::Reply, body.into(), Vec::new());
    }
    service.publish(&completed(&command)).await.unwrap();
    assert_eq!(state(&engine, saga).await, State::Completed);
    while broker.dead_letters().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut reasons: Vec<_> = broker.dead_letters().into_iter().map(|(_, why)| why).collect();
    reasons.sort();
    let [a, b, c] = &reasons[..] else { panic!("{reasons:?}") };
    assert!(a.starts_with("no such saga"), "{a}");
    assert!(b.contains("has no saga_id"), "{b}");
    assert!(c.contains("not JSON"), "{c}");
    engine.stop().await;
}

/// A command is sent again when the broker is back, and nothing is held up meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_costs_no_attempt() {
    let (disk, broker) = (Disk::new(), InMemory::new());
    let service = broker.service();
    let engine = engine(&disk, &broker).await;
    broker.set_away(true);
    let saga = start(&engine).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.set_away(false);
    let command = next(&service).await;
    service.publish(&completed(&command)).await.unwrap();
    assert_eq!(state(&engine, saga).await, State::Completed);
    engine.stop().await;
}
