//! Sagas without a coordinator, on real databases: services that share one, over a broker in memory.

use std::time::Duration;

use amends_participant::{
    Cancelled, Choreographed, Choreographies, Database, InMemory, Kind, NoSuchSaga, NotStarted,
    Participant, Reacting, State, Surroundings,
};
use amends_wire::SagaId;
use serde_json::{Value, json};
use sqlx::Pool;
use tokio::task::JoinSet;

use crate::bed::{Gate, Tested, business, on_each_database};

on_each_database! {
    alone
    a_saga_runs_from_service_to_service
    a_refusal_undoes_what_was_done_in_reverse_order
    what_never_works_is_given_up_and_undone
    what_must_be_done_is_asked_anew_until_it_is
    a_start_that_is_rolled_back_starts_nothing
    the_same_key_is_the_same_saga
    what_fits_no_definition_starts_nothing
    a_saga_is_cancelled_until_its_arbiter_has_run
    services_that_are_killed_go_on_where_they_were
    copies_share_the_work_and_do_nothing_twice
    a_service_that_never_comes_is_waited_for_only_so_long
    a_service_that_was_away_finds_nobody_late_who_was_not
    what_is_damaged_or_unknown_or_contradicts_changes_nothing
    what_a_service_has_no_handler_for_is_said_before_it_serves
    sagas_that_are_old_are_pruned
}

const SERVICES: [&str; 3] = ["InventoryService", "PaymentService", "ShippingService"];

/// The data says how each step ends.
const ORDER: &str = r#"
saga: Order
version: 1
pattern: choreography
defaults: { timeout: 10s, deadline: 1m, retry: { max_attempts: 3, backoff: { initial: 10ms, max: 20ms } } }
steps:
  - name: reserve
    action: InventoryService.Act
    compensation: InventoryService.Undo
    input: { amount: 1, end: "${ data.reserve }" }
  - name: charge
    action: PaymentService.Act
    compensation: PaymentService.Undo
    input: { amount: "${ result.reserve.amount + 1 }", end: "${ data.charge }" }
    timeout: TIMEOUT
    deadline: DEADLINE
  - name: ship
    kind: KIND
    action: ShippingService.Act
    input: { amount: "${ result.charge.amount + 1 }", end: "${ data.ship }" }
services:
  InventoryService: { fence: barrier }
  PaymentService: { fence: barrier }
  ShippingService: { fence: barrier }
messaging: { nats: { stream: ORDERS, events: orders.events } }
"#;

pub(crate) fn order(deadline: &str, kind: &str) -> Choreographed {
    // One attempt has to fit in, and no slow machine should need a second.
    let timeout = match deadline {
        "400ms" => "300ms",
        "4s" => "3s",
        _ => "10s",
    };
    let text = ORDER.replace("DEADLINE", deadline).replace("TIMEOUT", timeout);
    let text = text.replace("KIND", kind);
    Choreographed::read(text.as_bytes(), "order.yaml", &Surroundings::none()).unwrap()
}

/// All services of the order, on one database and one broker.
pub(crate) struct Stage<D: Database> {
    pub(crate) pool: Pool<D>,
    pub(crate) broker: InMemory,
    pub(crate) of: Choreographed,
    gate: Gate,
    pub(crate) services: Vec<Choreographies<D>>,
    pub(crate) at_work: JoinSet<()>,
}

impl<D: Tested> Stage<D> {
    pub(crate) async fn of(pool: Pool<D>, of: Choreographed) -> Self {
        if D::run(&pool, D::LEDGER_SQL.to_owned()).await.is_err() {
            D::run(&pool, D::LEDGER_SQL.to_owned()).await.unwrap();
        }
        let broker = InMemory::new();
        // They have to be there before anything is said.
        SERVICES.iter().for_each(|name| drop(broker.listener(name)));
        let (gate, at_work) = (Gate::standing_open(), JoinSet::new());
        let mut stage = Self { pool, broker, of, gate, services: Vec::new(), at_work };
        for name in SERVICES {
            let service = stage.service(name);
            service.create_tables().await.unwrap();
            stage.services.push(service);
        }
        stage
    }

    fn service(&self, name: &str) -> Choreographies<D> {
        let builder = Participant::builder(name, self.pool.clone());
        let participant = business(builder, self.gate.clone()).build();
        participant.choreographies([self.of.clone()]).unwrap()
    }

    /// Another copy of a service, until it is killed.
    pub(crate) fn serve(&mut self, name: &str) {
        let reacting = Reacting::new(self.service(name), self.broker.listener(name)).at_once(3);
        self.at_work.spawn(reacting.run(std::future::pending()));
    }

    fn serve_all(&mut self) {
        SERVICES.iter().for_each(|name| self.serve(name));
    }

    async fn kill_all(&mut self) {
        self.at_work.shutdown().await;
    }

    /// Steps that are not named end well.
    pub(crate) async fn start(&self, ends: Value) -> SagaId {
        let mut data = json!({ "reserve": "", "charge": "", "ship": "" });
        data.as_object_mut().unwrap().extend(ends.as_object().unwrap().clone());
        let mut tx = D::begin_writing(&self.pool).await;
        let saga = self.services[0].start(&mut tx, "Order", &data).await.unwrap();
        tx.commit().await.unwrap();
        saga
    }

    async fn state(&self, service: usize, saga: SagaId) -> Option<State> {
        match self.services[service].record(saga).await {
            Ok(record) => Some(record.state()),
            Err(NoSuchSaga::Unheard) => None,
            Err(why) => panic!("{why}"),
        }
    }

    /// How it ended, at all services alike.
    pub(crate) async fn end(&self, saga: SagaId) -> State {
        for _ in 0..6_000 {
            let mut states = Vec::new();
            for service in 0..SERVICES.len() {
                states.push(self.state(service, saga).await);
            }
            if let [Some(one @ (State::Completed | State::Failed)), rest @ ..] = &states[..]
                && rest.iter().all(|other| *other == Some(*one))
            {
                return *one;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end: {:?}", self.said(saga));
    }

    /// Waits until a service has heard that these steps, and no others, are completed.
    async fn knows(&self, service: usize, saga: SagaId, completed: &[&str]) {
        for _ in 0..6_000 {
            let known = self.services[service].record(saga).await;
            if known.is_ok_and(|record| record.completed_steps() == completed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} does not hear of {completed:?}: {:?}", SERVICES[service], self.said(saga));
    }

    /// What was said of it, in the order of its publishing.
    pub(crate) fn said(&self, saga: SagaId) -> Vec<String> {
        let of_it = |id: &str| id == saga.to_string();
        let events = self.broker.events().into_iter().filter(|event| of_it(&event.saga_id));
        events.map(|event| event.name).collect()
    }

    /// What was entered for it: the amounts of its actions, and of its undos.
    pub(crate) async fn ledger(&self, saga: SagaId) -> [Vec<i64>; 2] {
        let id = saga.to_string();
        let mut actions = D::amounts(&self.pool, &id, "action").await.unwrap();
        let mut undos = D::amounts(&self.pool, &id, "compensation").await.unwrap();
        actions.sort_unstable();
        undos.sort_unstable();
        [actions, undos]
    }
}

async fn stage<D: Tested>(pool: Pool<D>) -> Stage<D> {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.serve_all();
    stage
}

fn place(said: &[String], name: &str) -> usize {
    let of = |one: &String| one == name;
    said.iter().position(of).unwrap_or_else(|| panic!("{name} is not among {said:?}"))
}

async fn a_saga_runs_from_service_to_service<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let saga = stage.start(json!({})).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    assert_eq!(stage.ledger(saga).await, [vec![1, 2, 3], vec![]]);
    let names = ["OrderStarted", "ReserveCompleted", "ChargeCompleted", "ShipCompleted"];
    assert_eq!(stage.said(saga), names);
    let last = stage.broker.events().pop().unwrap();
    let body: Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!(
        body["context"],
        json!({
            "saga_id": saga.to_string(),
            "step": 3,
            "data": { "reserve": "", "charge": "", "ship": "" },
            "completed_steps": ["reserve", "charge", "ship"],
        })
    );
    assert_eq!(body["result"], json!({ "amount": 3, "attempt": 1 }));
}

async fn a_refusal_undoes_what_was_done_in_reverse_order<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let saga = stage.start(json!({ "ship": "refuse" })).await;
    assert_eq!(stage.end(saga).await, State::Failed);
    assert_eq!(stage.ledger(saga).await, [vec![1, 2], vec![1, 2]]);
    let said = stage.said(saga);
    assert!(place(&said, "SagaFailed") < place(&said, "ChargeCompensated"), "{said:?}");
    assert!(place(&said, "ChargeCompensated") < place(&said, "ReserveCompensated"), "{said:?}");
    let record = stage.services[0].record(saga).await.unwrap();
    let (step, why) = record.failure().unwrap();
    assert_eq!((step, &*why.code, &*why.message), (Some("ship"), "NO", "round 1"));
}

async fn what_never_works_is_given_up_and_undone<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    for end in ["fail", "panic"] {
        let saga = stage.start(json!({ "charge": end })).await;
        assert_eq!(stage.end(saga).await, State::Failed);
        assert_eq!(stage.ledger(saga).await, [vec![1], vec![1]], "{end}");
        let record = stage.services[2].record(saga).await.unwrap();
        assert_eq!(record.failure().unwrap().1.code, "HANDLER_FAILED");
    }
}

/// A refusal is stored, so each attempt is a new round.
async fn what_must_be_done_is_asked_anew_until_it_is<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "retriable")).await;
    stage.serve_all();
    let saga = stage.start(json!({ "ship": "refuse until round 3" })).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    assert_eq!(stage.ledger(saga).await, [vec![1, 2, 3], vec![]]);
}

async fn a_start_that_is_rolled_back_starts_nothing<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let mut tx = D::begin_writing(&stage.pool).await;
    let data = json!({ "reserve": "", "charge": "", "ship": "" });
    let saga = stage.services[0].start(&mut tx, "Order", &data).await.unwrap();
    tx.rollback().await.unwrap();
    let another = stage.start(json!({})).await;
    assert_eq!(stage.end(another).await, State::Completed);
    assert_eq!(stage.said(saga), [""; 0]);
    assert_eq!(stage.state(0, saga).await, None);
}

async fn the_same_key_is_the_same_saga<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let data = json!({ "reserve": "", "charge": "", "ship": "" });
    let mut sagas = Vec::new();
    for key in ["order-1", "order-1", "order-2"] {
        let mut tx = D::begin_writing(&stage.pool).await;
        let saga = stage.services[0].start_once(&mut tx, "Order", key, &data).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stage.end(saga).await, State::Completed);
        sagas.push(saga);
    }
    assert_eq!(sagas[0], sagas[1]);
    assert_ne!(sagas[0], sagas[2]);
    let started = |saga| stage.said(saga).iter().filter(|name| *name == "OrderStarted").count();
    assert_eq!((started(sagas[0]), started(sagas[2])), (1, 1));
    // Other data is another saga, which needs another key.
    let mut tx = D::begin_writing(&stage.pool).await;
    let other = json!({ "reserve": "", "charge": "", "ship": "refuse" });
    let reused = stage.services[0].start_once(&mut tx, "Order", "order-1", &other).await;
    assert!(matches!(reused, Err(NotStarted::KeyReused(_))), "{reused:?}");
    // And the key is the service's own.
    let payment = stage.services[1].start_once(&mut tx, "Order", "order-3", &data).await.unwrap();
    let inventory = stage.services[0].start_once(&mut tx, "Order", "order-4", &data).await.unwrap();
    assert_ne!(payment, inventory);
    let long = stage.services[0].start_once(&mut tx, "Order", &"k".repeat(201), &data).await;
    assert!(matches!(long, Err(NotStarted::BadData(_))), "{long:?}");
}

async fn what_fits_no_definition_starts_nothing<D: Tested>(pool: Pool<D>) {
    let stage = Stage::of(pool, order("1m", "pivot")).await;
    let mut tx = D::begin_writing(&stage.pool).await;
    let other = stage.services[0].start(&mut tx, "Orders", &json!({})).await;
    assert!(matches!(other, Err(NotStarted::NoSuchType(_))), "{other:?}");
    let list = stage.services[0].start(&mut tx, "Order", &json!([1])).await;
    assert!(matches!(list, Err(NotStarted::BadData(_))), "{list:?}");
}

async fn a_saga_is_cancelled_until_its_arbiter_has_run<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.serve("InventoryService");
    stage.serve("ShippingService");
    let saga = stage.start(json!({})).await;
    stage.knows(2, saga, &["reserve"]).await;
    // The arbiter is away while its turn comes, and hears of the end before that.
    stage.kill_all().await;
    stage.serve("InventoryService");
    stage.serve("PaymentService");
    for _ in 0..6_000 {
        if stage.said(saga).iter().any(|name| name == "ChargeCompleted") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancelled = stage.services[2].cancel(saga, "the customer rang").await.unwrap();
    assert_eq!(cancelled, Cancelled::Asked);
    stage.serve("ShippingService");
    assert_eq!(stage.end(saga).await, State::Failed);
    assert_eq!(stage.ledger(saga).await, [vec![1, 2], vec![1, 2]]);
    let done = stage.start(json!({})).await;
    assert_eq!(stage.end(done).await, State::Completed);
    let late = stage.services[2].cancel(done, "the customer rang").await.unwrap();
    assert_eq!(late, Cancelled::TooLate);
    let unheard = stage.services[0].cancel(SagaId(1), "x").await;
    assert!(matches!(unheard, Err(NoSuchSaga::Unheard)), "{unheard:?}");
}

/// Killed with a handler halfway, again and again.
async fn services_that_are_killed_go_on_where_they_were<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.gate = Gate::shut();
    let saga = stage.start(json!({ "ship": "refuse" })).await;
    // Two done, one refused, two undone: each but the last is killed at the gate once.
    for passes in 0..5 {
        stage.serve_all();
        stage.gate.arrival().await;
        stage.kill_all().await;
        stage.serve_all();
        stage.gate.arrival().await;
        stage.gate.open.add_permits(1);
        // The next one stands at the gate, or all is over.
        if passes < 4 {
            stage.gate.arrival().await;
        } else {
            assert_eq!(stage.end(saga).await, State::Failed);
        }
        stage.kill_all().await;
    }
    assert_eq!(stage.ledger(saga).await, [vec![1, 2], vec![1, 2]]);
}

async fn copies_share_the_work_and_do_nothing_twice<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    stage.serve_all();
    stage.serve_all();
    let ends = ["", "refuse", "fail"];
    let mut sagas = Vec::new();
    for n in 0..18 {
        let step = ["reserve", "charge", "ship"][n / 3 % 3];
        sagas.push((stage.start(json!({ step: ends[n % 3] })).await, ends[n % 3], step));
    }
    for (saga, end, step) in sagas {
        let done: Vec<i64> = match (end, step) {
            ("", _) => vec![1, 2, 3],
            (_, "reserve") => vec![],
            (_, "charge") => vec![1],
            _ => vec![1, 2],
        };
        let (state, undone) = match end {
            "" => (State::Completed, vec![]),
            _ => (State::Failed, done.clone()),
        };
        assert_eq!(stage.end(saga).await, state, "{step} ends {end:?}");
        assert_eq!(stage.ledger(saga).await, [done, undone], "{step} ends {end:?}");
    }
}

async fn a_service_that_never_comes_is_waited_for_only_so_long<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("400ms", "pivot")).await;
    stage.serve("InventoryService");
    let shipping = stage.services[2].clone().with_grace(Duration::from_millis(100));
    let listener = stage.broker.listener("ShippingService");
    stage.at_work.spawn(Reacting::new(shipping.clone(), listener).run(std::future::pending()));
    let saga = stage.start(json!({})).await;
    // That a later step never ran may be heard before why.
    let mut failure = None;
    for _ in 0..6_000 {
        let record = stage.services[0].record(saga).await;
        failure = record.ok().and_then(|record| {
            let (step, why) = record.failure()?;
            Some((step.map(str::to_owned), why.code.clone()))
        });
        if failure.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(failure, Some((Some("charge".to_owned()), "DEADLINE".to_owned())));
    assert_eq!(stage.state(0, saga).await, Some(State::Compensating));
    assert_eq!(shipping.counts().late, 1);
    assert_eq!(stage.ledger(saga).await, [vec![1], vec![]], "it may have been charged");
    // When it comes at last it does nothing, or undoes what it does before it has heard that.
    stage.serve("PaymentService");
    assert_eq!(stage.end(saga).await, State::Failed);
    let [done, undone] = stage.ledger(saga).await;
    assert_eq!(done, undone);
}

/// All that it has not read was said in time.
async fn a_service_that_was_away_finds_nobody_late_who_was_not<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("4s", "pivot")).await;
    let shipping = stage.services[2].clone().with_grace(Duration::from_secs(2));
    let serve = |stage: &mut Stage<D>| {
        let listener = stage.broker.listener("ShippingService");
        let reacting = Reacting::new(shipping.clone(), listener);
        stage.at_work.spawn(reacting.run(std::future::pending()));
    };
    stage.serve("InventoryService");
    serve(&mut stage);
    let saga = stage.start(json!({})).await;
    // It knows that it is the charge's turn.
    stage.knows(2, saga, &["reserve"]).await;
    stage.kill_all().await;
    stage.serve("InventoryService");
    stage.serve("PaymentService");
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    // It is there before its broker is: it looks at the saga, and has not read a word.
    stage.broker.set_away(true);
    serve(&mut stage);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.broker.set_away(false);
    assert_eq!(stage.end(saga).await, State::Completed);
    assert_eq!(shipping.counts().late, 0);
}

async fn what_is_damaged_or_unknown_or_contradicts_changes_nothing<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, order("1m", "pivot")).await;
    let inventory = stage.services[0].clone();
    let listener = stage.broker.listener("InventoryService");
    stage.at_work.spawn(Reacting::new(inventory.clone(), listener).run(std::future::pending()));
    let saga = stage.start(json!({})).await;
    for _ in 0..6_000 {
        if stage.said(saga).iter().any(|name| name == "ReserveCompleted") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = inventory.record(saga).await.unwrap().to_json();
    let event = stage.broker.events().pop().unwrap();
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    let changed = |changes: Value| {
        let mut body = body.clone();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body.to_string()
    };
    let hour_ago = "2020-01-01T00:00:00.000Z";
    let context = json!({ "context": { "saga_id": saga.to_string(), "step": 1, "data": 5,
                                       "completed_steps": [] } });
    let bodies = [
        "{".to_owned(),
        changed(context),
        changed(json!({ "saga_id": "no uuid" })),
        changed(json!({ "said": "undone" })),
        changed(json!({ "said": "never_ran" })),
        changed(json!({ "step_name": "pack" })),
        changed(json!({ "definition_hash": "0".repeat(64), "at": hour_ago })),
        // It is put off: somebody will deploy it.
        changed(json!({ "definition_hash": "0".repeat(64) })),
        changed(json!({ "format": 2, "said": "something new" })),
        // And these are nobody's business here.
        changed(json!({ "saga_type": "Transfer" })),
    ];
    for body in bodies {
        let event = amends_participant::Message { body: body.into(), ..event.clone() };
        stage.broker.listener("InventoryService").publish(&event).await.unwrap();
    }
    let mut other = event.clone();
    other.attributes.retain(|(name, _)| name != "amends-said");
    other.body = "{\"sku\":\"A-1\"}".into();
    stage.broker.listener("InventoryService").publish(&other).await.unwrap();
    for _ in 0..6_000 {
        let counts = inventory.counts();
        if counts.damaged == 4
            && counts.contradicted == 3
            && counts.others == 2
            && counts.put_off >= 2
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let counts = inventory.counts();
    assert_eq!((counts.damaged, counts.contradicted, counts.others), (4, 3, 2), "{counts:?}");
    assert!(counts.put_off >= 2, "{counts:?}");
    assert_eq!(inventory.record(saga).await.unwrap().to_json(), before);
    assert_eq!(event.kind, Kind::Event);
    // The others, which listen to all of that only now, go their way.
    let saga = stage.start(json!({})).await;
    stage.serve("PaymentService");
    stage.serve("ShippingService");
    assert_eq!(stage.end(saga).await, State::Completed);
}

async fn what_a_service_has_no_handler_for_is_said_before_it_serves<D: Tested>(pool: Pool<D>) {
    let participant = Participant::builder("PaymentService", pool).build();
    let unfitting = participant.choreographies([order("1m", "pivot")]).unwrap_err();
    assert_eq!(unfitting.missing, ["the action Act", "the compensation Undo"]);
}

async fn sagas_that_are_old_are_pruned<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let saga = stage.start(json!({})).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    let retention =
        amends_participant::Retention::for_sagas_of_at_most(Duration::from_secs(1_000_000_000));
    assert_eq!(stage.services[0].prune(retention).await.unwrap(), 0);
    assert_eq!(stage.end(saga).await, State::Completed);
    let sql = format!(
        "UPDATE amends_saga SET written_at = '1970-01-01 00:00:00' WHERE saga_id = '{saga}'"
    );
    D::run(&stage.pool, sql).await.unwrap();
    stage.services[0].prune(retention).await.unwrap();
    assert_eq!(stage.state(0, saga).await, None);
}
