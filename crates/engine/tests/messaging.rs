//! A saga type that is reached by message: what is asked is done once and answered, what happened
//! is published once it is durable, and a restart neither loses nor repeats what was confirmed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_core::SagaId;
use amends_core::saga::State;
use amends_definition::{Messaging, Surroundings, check};
use amends_engine::{Binder, Carrier, Deployment, Engine, Options, Start};
use amends_store::memory::Disk;
use amends_store::{Batch, Entry, Events, ShardId};
use amends_transport::{
    Answer, Channel, ChannelError, CommandView, Fail, InMemory, InProcess, Kind, Message, Received,
    Tag, Transport,
};
use amends_wire::Headers;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};

const DEFINITION: &str = r#"
saga: Order
business_key: "${ data.order_id }"
steps:
  - { name: approve, signal: approval, deadline: 1d, on_deadline: refuse }
  - { name: reserve, action: Stock.Take, compensation: Stock.GiveBack }
services:
  Stock: { fence: barrier, http: { url: "http://127.0.0.1:1" } }
messaging:
  nats: { stream: ORDERS, commands: orders.commands, replies: orders.replies, events: orders.events }
"#;

struct World {
    disk: Disk,
    broker: InMemory,
    /// At the other end of the broker: asks, and hears the answers.
    client: Arc<dyn Channel>,
    stock: Arc<InProcess>,
    /// The sagas of which the broker takes no event.
    unheard: Arc<Mutex<Vec<String>>>,
    /// By which secrets places were bound.
    secrets: Arc<Mutex<Vec<Option<String>>>>,
}

struct Bound {
    broker: InMemory,
    stock: Arc<InProcess>,
    unheard: Arc<Mutex<Vec<String>>>,
    secrets: Arc<Mutex<Vec<Option<String>>>>,
}

impl Binder for Bound {
    fn bind(&self, _: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let transport = Arc::clone(&self.stock) as Arc<dyn Transport>;
        Some(Carrier { transport, answers_by_message: false })
    }

    fn messaging(&self, messaging: &Messaging) -> Option<Arc<dyn Channel>> {
        assert_eq!(messaging.events.as_deref(), Some("orders.events"));
        self.secrets.lock().unwrap().push(messaging.secret_env.clone());
        let unheard = Arc::clone(&self.unheard);
        Some(Arc::new(HardOfHearing { end: self.broker.service(), unheard }))
    }
}

/// An end of a broker that does not take the events of some sagas.
struct HardOfHearing {
    end: Arc<dyn Channel>,
    unheard: Arc<Mutex<Vec<String>>>,
}

impl Channel for HardOfHearing {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        self.end.receive()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.end.acknowledge(tag)
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.end.give_back(tag, after)
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.end.dead_letter(tag, reason)
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        let of = self.unheard.lock().unwrap();
        if message.kind == Kind::Event && of.contains(&message.saga_id) {
            return Box::pin(ready(Err(ChannelError::Away("it hears nothing of it".to_owned()))));
        }
        self.end.publish(message)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

impl World {
    fn new() -> Self {
        let broker = InMemory::new();
        let done = |_: CommandView| async { Ok::<_, Fail>(Answer::Done(None)) };
        let undone = |_: CommandView| async { Ok::<_, Fail>(Answer::Undone) };
        let stock = InProcess::new(tokio::runtime::Handle::current())
            .handle("Stock.Take", done)
            .handle("Stock.GiveBack", undone);
        let client = broker.engine();
        let (unheard, secrets) = (Arc::default(), Arc::default());
        Self { disk: Disk::new(), broker, client, stock: Arc::new(stock), unheard, secrets }
    }

    async fn engine(&self, definition: &str) -> Engine {
        let binder = Arc::new(Bound {
            broker: self.broker.clone(),
            stock: Arc::clone(&self.stock),
            unheard: Arc::clone(&self.unheard),
            secrets: Arc::clone(&self.secrets),
        });
        let engine = Engine::start(Options::default(), self.disk.open(), binder).await.unwrap();
        engine.handle().deploy(vec![deployment(definition)]).await.unwrap();
        engine
    }

    /// Asks, as whoever is at the other end would.
    async fn ask(&self, id: &str, name: &str, body: Value) {
        let attributes = [("specversion", "1.0"), ("id", id), ("source", "/shop"), ("type", name)];
        let message = Message {
            id: id.to_owned(),
            saga_id: String::new(),
            kind: Kind::Command,
            name: name.to_owned(),
            attributes: attributes.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            body: body.to_string().into(),
        };
        self.client.publish(&message).await.unwrap();
    }

    /// The next answer, with the id of the request that it names as its cause.
    async fn answer(&self) -> (String, Value) {
        let answered = tokio::time::timeout(Duration::from_secs(60), self.client.receive());
        let received: Received = answered.await.expect("it is answered").unwrap();
        self.client.acknowledge(received.tag).await.unwrap();
        let cause = received.value("ce-causationid").unwrap_or_default().to_owned();
        (cause, serde_json::from_slice(&received.body).unwrap())
    }

    /// Starts one and hears which.
    async fn start(&self, id: &str, order_id: &str) -> String {
        self.ask(id, "Order.Start", json!({ "order_id": order_id })).await;
        let (cause, answer) = self.answer().await;
        assert_eq!((&*cause, &answer["type"]), (id, &json!("SagaRequestAccepted")), "{answer}");
        answer["saga_id"].as_str().expect("it names its saga").to_owned()
    }

    async fn events(&self, how_many: usize) -> Vec<Value> {
        for _ in 0..6_000 {
            if self.broker.events().len() >= how_many {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let events = self.broker.events();
        let read = |event: &Message| -> Value {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            assert_eq!(event.id, format!("{}/{}", body["saga_id"].as_str().unwrap(), body["seq"]));
            assert_eq!(body["type"], event.name);
            body
        };
        events.iter().map(read).collect()
    }
}

fn deployment(definition: &str) -> Deployment {
    let checked = check(
        definition.as_bytes(),
        "order.yaml",
        &Surroundings::none().with_process_env(|_| true),
    );
    let compiled = checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Deployment { compiled }
}

/// Over another way than by message.
fn start_by_hand() -> Start {
    Start {
        saga_type: "Order".into(),
        version: None,
        data: r#"{"order_id": "by-hand"}"#.into(),
        idempotency_key: None,
        wait: None,
    }
}

fn cancel_by_hand() -> amends_engine::Ask {
    amends_engine::Ask::Verb {
        verb: amends_engine::SagaVerb::Cancel,
        by: "a person".into(),
        reason: "tired".into(),
    }
}

fn id(text: &str) -> SagaId {
    SagaId(text.parse::<uuid::Uuid>().unwrap().as_u128())
}

async fn end(engine: &Engine, saga: &str) -> State {
    let ended = engine.handle().wait(id(saga), Duration::from_secs(60)).await.unwrap();
    ended.expect("it was started").saga.state
}

/// The event is told of once, whatever is asked twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_twice_is_done_once_and_answered_alike() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    assert_eq!(world.start("start-1", "o-1").await, saga);
    let signal = json!({ "business_key": "o-1", "signal": "approval", "value": { "ok": true } });
    for _ in 0..2 {
        world.ask("signal-1", "Order.Signal", signal.clone()).await;
        let (_, answer) = world.answer().await;
        // The second may come when the saga has ended, and its key is free.
        let free = answer["error"]["code"] == "no_such_saga";
        assert!(answer["type"] == "SagaRequestAccepted" || free, "{answer}");
        assert_eq!(end(&engine, &saga).await, State::Completed);
    }
    let by_id = json!({ "saga_id": saga, "signal": "approval", "value": { "ok": true } });
    world.ask("signal-1", "Order.Signal", by_id).await;
    let (_, answer) = world.answer().await;
    assert_eq!(answer["type"], "SagaRequestAccepted", "{answer}");
    let events = world.events(1).await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event["type"], "OrderCompleted");
    assert_eq!((&event["business_key"], &event["clean"]), (&json!("o-1"), &json!(true)));
    assert_eq!(world.broker.dead_letters(), []);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_by_message_turns_the_saga_and_its_event_says_why() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    for request in ["cancel-1", "cancel-1", "cancel-2"] {
        let body = json!({ "saga_id": saga, "reason": "changed her mind" });
        world.ask(request, "Order.Cancel", body).await;
        let (cause, answer) = world.answer().await;
        let expected = match request {
            "cancel-1" => json!({ "type": "SagaRequestAccepted", "code": null }),
            _ => json!({ "type": "SagaRequestRefused", "code": "ended" }),
        };
        let said = json!({ "type": answer["type"], "code": answer["error"]["code"] });
        assert_eq!((cause.as_str(), said), (request, expected), "{answer}");
        assert_eq!(end(&engine, &saga).await, State::Failed);
    }
    let events = world.events(1).await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event["type"], "OrderFailed");
    let error = json!({ "code": "cancelled", "message": "changed her mind" });
    assert_eq!(event["error"], error);
    engine.stop().await;
}

/// What can be read is answered, what cannot goes where people look, and the next is taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_answered_and_what_is_no_request_is_put_aside() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (request, name, body, code) in [
        ("start-1", "Order.Start", json!({ "order_id": "o-9" }), "idempotency_conflict"),
        ("start-2", "Order.Start", json!({ "order_id": "o-1" }), "key_in_use"),
        ("start-3", "order.Start", json!({ "order_id": "o-3" }), "unknown_saga_type"),
        ("start-4", "Order.Start", json!([]), "bad_data"),
        ("cancel-1", "Order.Cancel", json!({ "saga_id": nobody }), "no_such_saga"),
        ("cancel-2", "Order.Cancel", json!({ "business_key": "o-7" }), "no_such_saga"),
        ("signal-1", "Order.Signal", json!({ "saga_id": saga, "signal": "x" }), "unknown_signal"),
    ] {
        world.ask(request, name, body).await;
        let (cause, answer) = world.answer().await;
        let said = (&*cause, answer["error"]["code"].as_str());
        assert_eq!(said, (request, Some(code)), "{answer}");
    }
    world.broker.put(Kind::Command, "{}".into(), Vec::new());
    for (name, body) in [
        ("Order.Cancel", json!({})),
        ("Order.Cancel", json!({ "saga_id": "o-1" })),
        ("Order.Cancel", json!("o-1")),
        ("Order.Signal", json!({ "saga_id": saga })),
        ("Order.Pause", json!({ "saga_id": saga })),
        ("Order", json!({})),
    ] {
        world.ask("other", name, body).await;
    }
    while world.broker.dead_letters().len() < 7 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (body, why) in world.broker.dead_letters() {
        assert!(why.starts_with("NO_REQUEST: "), "{body:?}: {why}");
    }
    assert_eq!(world.events(0).await, [""; 0], "nothing has ended");
    engine.stop().await;
}

/// Also when the definition that is there by then would not take it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_started_stays_so_whenever_it_is_asked_again() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    let pickier = DEFINITION.replace("data.order_id", "data.order_number");
    engine.handle().deploy(vec![deployment(&pickier)]).await.unwrap();
    assert_eq!(world.start("start-1", "o-1").await, saga);
    world.ask("start-2", "Order.Start", json!({ "order_id": "o-1" })).await;
    assert_eq!(world.answer().await.1["error"]["code"], "bad_data");
    world.ask("start-1", "Order.Start", json!({ "order_id": "o-2" })).await;
    assert_eq!(world.answer().await.1["error"]["code"], "bad_data");
    engine.stop().await;
}

/// Also when what stood in its way is gone, and another engine is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_refused_whenever_it_comes_again() {
    let world = World::new();
    let before = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    let cancel = json!({ "business_key": "o-2" });
    let asked = [
        ("start-2", "Order.Start", json!({ "order_id": "o-1" }), "key_in_use", json!(saga)),
        ("cancel-2", "Order.Cancel", cancel, "no_such_saga", Value::Null),
        ("start-3", "Other.Start", json!({ "order_id": "o-3" }), "unknown_saga_type", Value::Null),
    ];
    let is_refused = async || {
        for (request, name, body, code, of) in &asked {
            world.ask(request, name, body.clone()).await;
            let (cause, answer) = world.answer().await;
            let said = (&*cause, &answer["error"]["code"], &answer["saga_id"]);
            assert_eq!(said, (*request, &json!(code), of), "{answer}");
        }
    };
    is_refused().await;
    before.stop().await;
    let after = world.engine(DEFINITION).await;
    let other = DEFINITION.replace("saga: Order", "saga: Other");
    let both = vec![deployment(DEFINITION), deployment(&other)];
    after.handle().deploy(both).await.unwrap();
    after.handle().ask(id(&saga), cancel_by_hand(), None).await.unwrap();
    assert_eq!(end(&after, &saga).await, State::Failed);
    let second = world.start("start-4", "o-2").await;
    for _ in 0..2 {
        is_refused().await;
    }
    // One that says something else is another, and so is one of another id.
    world.start("start-2", "o-5").await;
    world.start("start-5", "o-1").await;
    world.ask("cancel-3", "Order.Cancel", json!({ "business_key": "o-2" })).await;
    assert_eq!(world.answer().await.1["saga_id"], second);
    after.stop().await;
}

/// The cursor is a fact: what was confirmed is not published again, what was not is.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_publishes_what_was_not_confirmed_and_nothing_else() {
    let world = World::new();
    let before = world.engine(DEFINITION).await;
    let first = world.start("start-1", "o-1").await;
    let second = world.start("start-2", "o-2").await;
    let cancel = |saga: &str| json!({ "saga_id": saga });
    world.ask("cancel-1", "Order.Cancel", cancel(&first)).await;
    world.answer().await;
    assert_eq!(world.events(1).await.len(), 1);
    world.broker.set_away(true);
    before.handle().ask(id(&second), cancel_by_hand(), None).await.unwrap();
    assert_eq!(end(&before, &second).await, State::Failed);
    before.stop().await;
    world.broker.set_away(false);
    let after = world.engine(DEFINITION).await;
    let events = world.events(2).await;
    let sagas: Vec<_> = events.iter().map(|event| event["saga_id"].as_str().unwrap()).collect();
    assert_eq!(sagas, [&first, &second], "once each");
    after.stop().await;
    let again = world.engine(DEFINITION).await;
    let third = world.start("start-3", "o-3").await;
    world.ask("cancel-3", "Order.Cancel", cancel(&third)).await;
    let events = world.events(3).await;
    let sagas: Vec<_> = events.iter().map(|event| event["saga_id"].as_str().unwrap()).collect();
    assert_eq!(sagas, [first, second, third]);
    again.stop().await;
}

/// Also where another that lies beside it was not: they are read from the journal together.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_before_an_engine_stopped_is_not_published_again() {
    let world = World::new();
    let before = world.engine(DEFINITION).await;
    let mut sagas = Vec::new();
    for number in 1..=3 {
        sagas.push(world.start(&format!("start-{number}"), &format!("o-{number}")).await);
    }
    world.unheard.lock().unwrap().clone_from(&sagas);
    for saga in &sagas {
        before.handle().ask(id(saga), cancel_by_hand(), None).await.unwrap();
        assert_eq!(end(&before, saga).await, State::Failed);
    }
    world.unheard.lock().unwrap().drain(..2);
    world.events(2).await;
    before.stop().await;
    assert_eq!(world.events(0).await.len(), 2);
    world.unheard.lock().unwrap().clear();
    let after = world.engine(DEFINITION).await;
    let last = world.start("start-4", "o-4").await;
    after.handle().ask(id(&last), cancel_by_hand(), None).await.unwrap();
    sagas.push(last);
    let events = world.events(4).await;
    let mut told: Vec<_> = events.iter().map(|event| event["saga_id"].clone()).collect();
    told[..2].sort_by_key(|saga| sagas.iter().position(|known| saga == known));
    assert_eq!(told, sagas, "once each");
    after.stop().await;
}

/// Whichever came first; and it is bound once, however often they are taken in.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_at_a_place_is_signed_where_one_of_its_types_wants_that() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let signed = DEFINITION.replace("saga: Order", "saga: Signed") + "  secret: env.A_SECRET\n";
    let secrets = || world.secrets.lock().unwrap().clone();
    assert_eq!(secrets(), [None]);
    for _ in 0..2 {
        engine.handle().deploy(vec![deployment(DEFINITION), deployment(&signed)]).await.unwrap();
        assert_eq!(secrets(), [None, Some("A_SECRET".to_owned())]);
    }
    world.start("start-1", "o-1").await;
    engine.stop().await;
    let again = world.engine(DEFINITION).await;
    assert_eq!(secrets()[2..], [Some("A_SECRET".to_owned())], "its sagas go on");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_an_event_where_that_is_asked_for() {
    let world = World::new();
    let engine = world.engine(&format!("{DEFINITION}  transitions: true\n")).await;
    let saga = world.start("start-1", "o-1").await;
    let signal = json!({ "saga_id": saga, "signal": "approval", "value": {} });
    world.ask("signal-1", "Order.Signal", signal).await;
    assert_eq!(end(&engine, &saga).await, State::Completed);
    let mut told = Vec::new();
    while told.last() != Some(&"state: pending → completed".to_owned()) {
        let events = world.events(told.len() + 1).await;
        let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        told = events
            .iter()
            .flat_map(|event| event["changes"].as_array().unwrap())
            .map(line)
            .collect();
    }
    assert_eq!(
        told,
        [
            "state: - → started",
            "approve: pending → completed",
            "state: started → pending",
            "reserve: pending → executing",
            "reserve: executing → completed",
            "state: pending → completed",
        ]
    );
    engine.stop().await;
}

fn line(change: &Value) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or("-").to_owned();
    let what = if change["change"] == "step" { text("step") } else { text("change") };
    format!("{what}: {} → {}", text("from"), text("to"))
}

/// It would hold the journal for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_no_definition_names_any_more_is_forgotten() {
    let world = World::new();
    let before = world.engine(DEFINITION).await;
    let saga = world.start("start-1", "o-1").await;
    world.ask("cancel-1", "Order.Cancel", json!({ "saga_id": saga })).await;
    // What was confirmed is a fact when the engine has stopped.
    assert_eq!(world.events(1).await.len(), 1);
    before.stop().await;
    assert_eq!(world.disk.open().journal.cursors().await.unwrap().len(), 1);
    let without = DEFINITION.split("messaging:").next().unwrap();
    let after = world.engine(without).await;
    after.stop().await;
    assert_eq!(world.disk.open().journal.cursors().await.unwrap(), []);
}

/// One bad saga never delays another.
#[tokio::test(flavor = "multi_thread")]
async fn a_saga_that_nobody_can_read_holds_up_no_event_of_another() {
    let world = World::new();
    let before = world.engine(DEFINITION).await;
    let good = world.start("start-1", "o-1").await;
    before.stop().await;
    let store = world.disk.open();
    let shard = ShardId(0);
    let epoch = store.journal.acquire(shard).await.unwrap();
    for first_seq in [1, 2] {
        let events = Events { first_seq, count: 1, bytes: Bytes::from_static(b"\x01nonsense") };
        let (claims, releases) = (Vec::new(), Vec::new());
        let entry = Entry { saga: 0xbad, events, claims, releases };
        store.journal.append(Batch { shard, epoch, entries: vec![entry] }).await.unwrap();
    }
    store.close().await;
    let after = world.engine(DEFINITION).await;
    world.ask("cancel-1", "Order.Cancel", json!({ "saga_id": good })).await;
    let events = world.events(1).await;
    assert_eq!(events.len(), 1, "the end of the good one is told");
    assert_eq!(events[0]["saga_id"], good);
    after.stop().await;
}

/// A start over another way is told of, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_saga_that_was_not_asked_for_by_message_is_an_event() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let saga = engine.handle().start(start_by_hand()).await.unwrap().snapshot.saga.id;
    world.ask("cancel-1", "Order.Cancel", json!({ "saga_id": saga.to_string() })).await;
    let events = world.events(1).await;
    assert_eq!(events[0]["saga_id"], saga.to_string());
    engine.stop().await;
}

/// A place of events alone: nothing is taken there.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_asked_for_by_message_events_go_out_all_the_same() {
    let world = World::new();
    let alone = DEFINITION.replace("commands: orders.commands, replies: orders.replies, ", "");
    let engine = world.engine(&alone).await;
    world.ask("start-1", "Order.Start", json!({ "order_id": "o-1" })).await;
    let saga = engine.handle().start(start_by_hand()).await.unwrap().snapshot.saga.id;
    engine.handle().ask(saga, cancel_by_hand(), None).await.unwrap();
    let events = world.events(1).await;
    assert_eq!((events.len(), &events[0]["saga_id"]), (1, &json!(saga.to_string())), "{events:?}");
    assert!(!world.broker.is_idle(), "what was asked waits for whoever takes it");
    engine.stop().await;
}

/// While a broker is away it is seen how much waits for it; the journal holds all of that.
#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_publisher_is_behind_is_measured() {
    let world = World::new();
    let engine = world.engine(DEFINITION).await;
    let lag = || {
        let metrics = engine.handle().metrics().encode();
        let of_place = metrics.lines().find(|line| line.contains("events_lag_records{"))?;
        assert!(of_place.contains("place=\"nats ORDERS orders.commands"), "{of_place}");
        of_place.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let until = async |wanted: &dyn Fn(u64) -> bool| {
        let waiting = async {
            while !lag().is_some_and(wanted) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the gauge moves");
    };
    let saga = world.start("start-1", "o-1").await;
    world.broker.set_away(true);
    engine.handle().ask(id(&saga), cancel_by_hand(), None).await.unwrap();
    until(&|lag| lag > 0).await;
    world.broker.set_away(false);
    until(&|lag| lag == 0).await;
    engine.stop().await;
}
