//! Free choreographies on real databases: services that react to each other's events, share a database, and
//! speak over a broker in memory.

use std::time::Duration;

use amends_participant::free::Outcome as Went;
use amends_participant::{
    About, Database, FreeChoreography, InMemory, Message, Misfit, NoSuchSaga, NotStarted, Outcome,
    Participant, Reacting, Reactions, Refused, State, Tx, Undoing,
};
use amends_wire::SagaId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Pool;
use tokio::task::JoinSet;

use crate::bed::{Gate, Tested, on_each_database};
use crate::choreography;

on_each_database! {
    alone
    an_order_runs_to_its_end
    each_failure_undoes_what_was_done
    what_never_works_is_given_up_and_undone
    what_comes_twice_or_in_reverse_changes_nothing
    an_undo_that_comes_first_bars_its_action
    two_that_go_side_by_side_are_joined
    two_that_go_side_by_side_are_undone_in_every_case
    what_must_be_done_is_asked_anew_and_a_best_effort_gone_on_without
    services_that_are_killed_go_on_where_they_were
    copies_share_the_work_and_do_nothing_twice
    a_result_that_says_too_little_is_rolled_back
    a_run_that_is_rolled_back_does_not_start
    the_same_key_is_the_same_run
    what_is_damaged_or_foreign_changes_nothing
    a_participant_that_does_not_fit_is_told_so
    reactions_are_written_down_as_in_the_file
    both_kinds_are_kept_beside_each_other
    runs_that_are_old_are_pruned
}

const ORDER: &str = include_str!("../../../../examples/order/order.choreography.yaml");
const NOTHING: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
const RESERVE: &str = "InventoryService.ReserveInventory";
const CHARGE: &str = "PaymentService.ProcessPayment";
const SHIP: &str = "ShippingService.CreateShipment";

fn read(text: &str) -> FreeChoreography {
    FreeChoreography::read(text.as_bytes(), "order.choreography.yaml").unwrap()
}

/// What a handler is given of what is carried: which actions end how, others well.
#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    items: Vec<String>,
}

/// What it returns; the fields that the events of the order add are among it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Receipt {
    amount: i64,
    reservation_id: String,
    payment_id: String,
    tracking_number: String,
}

async fn act<D: Tested>(
    gate: Gate,
    tx: &mut Tx<D>,
    given: Given,
    about: &About,
    amount: i64,
) -> Outcome<Receipt> {
    D::enter(tx, about.saga_id(), about.step(), "action", amount).await?;
    gate.pass().await;
    let ends = given.items.iter().find_map(|item| item.strip_prefix(about.step()));
    match ends.map(str::trim) {
        Some("is refused") => Err(Refused::new("NO", format!("round {}", about.round())).into()),
        Some("is refused until round 3") if about.round() < 3 => Err(Refused::new("NO", "").into()),
        Some("fails") => Err(std::io::Error::other("the secret host db-7 is away").into()),
        Some("panics") => panic!("as the test has it"),
        _ => Ok(Receipt {
            amount,
            reservation_id: "R-1".into(),
            payment_id: "P-1".into(),
            tracking_number: "T-1".into(),
        }),
    }
}

async fn undo<D: Tested>(gate: Gate, tx: &mut Tx<D>, done: Receipt, about: &About) -> Undoing {
    D::enter(tx, about.saga_id(), about.step(), "compensation", done.amount).await?;
    gate.pass().await;
    Ok(())
}

/// All services of a choreography, on one database and one broker.
struct Stage<D: Database> {
    pool: Pool<D>,
    broker: InMemory,
    of: FreeChoreography,
    gate: Gate,
    services: Vec<Reactions<D>>,
    at_work: JoinSet<()>,
}

impl<D: Tested> Stage<D> {
    async fn of(pool: Pool<D>, of: FreeChoreography) -> Self {
        D::run(&pool, D::LEDGER_SQL.to_owned()).await.unwrap();
        let (broker, gate) = (InMemory::new(), Gate::standing_open());
        // They have to be there before anything is said.
        of.services().iter().for_each(|name| drop(broker.listener(name)));
        let mut stage =
            Self { pool, broker, of, gate, services: Vec::new(), at_work: JoinSet::new() };
        for name in stage.of.clone().services() {
            let service = stage.service(name);
            service.create_tables().await.unwrap();
            stage.services.push(service);
        }
        stage
    }

    /// Its actions enter 1, 2, 3 in the order of the file.
    fn service(&self, name: &str) -> Reactions<D> {
        let mut builder = Participant::builder(name, self.pool.clone());
        let all = self.of.services().into_iter().flat_map(|other| {
            let of = self.of.service(other);
            let commands = of.commands().into_iter();
            commands
                .map(|(action, undo)| (other, action.to_owned(), undo.map(str::to_owned)))
                .collect::<Vec<_>>()
        });
        for (amount, (_, action, undo_name)) in (1..).zip(all).filter(|(_, (of, ..))| *of == name) {
            let (gate, at_undo) = (self.gate.clone(), self.gate.clone());
            builder = builder.action_boxed(&action, move |tx, given, about| {
                Box::pin(act(gate.clone(), tx, given, about, amount))
            });
            if let Some(name) = undo_name {
                builder = builder.compensation_boxed(&name, move |tx, done, about| {
                    Box::pin(undo(at_undo.clone(), tx, done, about))
                });
            }
        }
        builder.build().reactions([self.of.clone()]).unwrap().with_attempts_max(3)
    }

    /// Another copy of a service, until it is killed.
    fn serve(&mut self, name: &str) {
        let reacting = Reacting::new(self.service(name), self.broker.listener(name)).at_once(3);
        self.at_work.spawn(reacting.run(std::future::pending()));
    }

    fn serve_all(&mut self) {
        self.of.clone().services().into_iter().for_each(|name| self.serve(name));
    }

    /// Actions that are not named end well.
    async fn start(&self, items: &[&str]) -> SagaId {
        let data = match self.of.starts_with() {
            "OrderCreated" => json!({ "order_id": "17", "items": items, "total_amount": 42.5,
                                      "shipping_address": "here" }),
            _ => json!({ "items": items }),
        };
        let mut tx = D::begin_writing(&self.pool).await;
        let start = self.services[0].start(&mut tx, self.of.starts_with(), &data);
        let saga = start.await.unwrap();
        tx.commit().await.unwrap();
        saga
    }

    async fn state(&self, service: usize, saga: SagaId) -> Option<State> {
        match self.services[service].state(saga).await {
            Ok(state) => Some(state),
            Err(NoSuchSaga::Unheard) => None,
            Err(why) => panic!("{why}"),
        }
    }

    /// How it ended, at all services alike.
    async fn end(&self, saga: SagaId) -> State {
        for _ in 0..6_000 {
            let mut states = Vec::new();
            for service in 0..self.services.len() {
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

    /// Waits until an event of the run was said.
    async fn hears(&self, saga: SagaId, name: &str) {
        for _ in 0..6_000 {
            if self.said(saga).iter().any(|said| said == name) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody says {name}: {:?}", self.said(saga));
    }

    /// What was said of it, in the order of its publishing.
    fn said(&self, saga: SagaId) -> Vec<String> {
        self.events(saga).into_iter().map(|event| event.name).collect()
    }

    fn events(&self, saga: SagaId) -> Vec<Message> {
        let id = saga.to_string();
        self.broker.events().into_iter().filter(|event| event.saga_id == id).collect()
    }

    async fn publish(&self, event: &Message) {
        self.broker.listener(self.of.services()[0]).publish(event).await.unwrap();
    }

    /// What was entered for it: the amounts of its actions, and of its undos.
    async fn ledger(&self, saga: SagaId) -> [Vec<i64>; 2] {
        let id = saga.to_string();
        let mut actions = D::amounts(&self.pool, &id, "action").await.unwrap();
        let mut undos = D::amounts(&self.pool, &id, "compensation").await.unwrap();
        actions.sort_unstable();
        undos.sort_unstable();
        [actions, undos]
    }

    async fn went(&self, service: usize, saga: SagaId) -> Vec<(String, Went)> {
        let record = self.services[service].record(saga).await.unwrap();
        record.reactions().map(|(key, went)| (key.to_owned(), went)).collect()
    }
}

async fn stage<D: Tested>(pool: Pool<D>) -> Stage<D> {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    stage.serve_all();
    stage
}

/// Two bookings side by side, joined by a third.
fn travel() -> FreeChoreography {
    let mut file = include_str!("../../../definition/tests/free/travel.yaml").to_owned();
    for event in ["TripFailed", "BothCancelled", "FlightGone", "HotelGone"] {
        let then = format!("    then: {event}\n");
        file = file.replace(&then, &format!("{then}    by: Cars\n"));
    }
    read(&file.replace("reactions:\n", "events: { TripRequested: [items] }\nreactions:\n"))
}

fn body(event: &Message) -> Value {
    serde_json::from_slice(&event.body).unwrap()
}

/// One like it, of another run, name or body.
fn like(event: &Message, changes: &Value) -> Message {
    let mut body = body(event);
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Message { body: body.to_string().into(), ..event.clone() }
}

async fn an_order_runs_to_its_end<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let saga = stage.start(&[]).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    assert_eq!(stage.ledger(saga).await, [vec![1, 2, 3], vec![]]);
    let names = [
        "OrderCreated",
        "InventoryReserved",
        "PaymentProcessed",
        "ShipmentCreated",
        "OrderFulfilled",
    ];
    assert_eq!(stage.said(saga), names);
    let last = body(&stage.events(saga)[3]);
    assert_eq!(
        last["context"],
        json!({
            "saga_id": saga.to_string(),
            "step": 3,
            "data": { "order_id": "17", "items": [], "total_amount": 42.5, "shipping_address": "here",
                      "reservation_id": "R-1", "payment_id": "P-1", "tracking_number": "T-1" },
            "completed_steps": [RESERVE, CHARGE, SHIP],
        })
    );
    assert_eq!(
        (&last["choreography"], &last["by"]),
        (&json!("OrderFulfillment"), &json!("ShippingService"))
    );
}

async fn each_failure_undoes_what_was_done<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    for (step, done, says) in [
        (RESERVE, vec![], vec!["InventoryFailed"]),
        (CHARGE, vec![1], vec!["InventoryReserved", "PaymentFailed", "InventoryReleased"]),
        (
            SHIP,
            vec![1, 2],
            vec![
                "InventoryReserved",
                "PaymentProcessed",
                "ShipmentFailed",
                "PaymentRefunded",
                "InventoryReleased",
            ],
        ),
    ] {
        let saga = stage.start(&[&format!("{step} is refused")]).await;
        assert_eq!(stage.end(saga).await, State::Failed, "{step}");
        assert_eq!(stage.ledger(saga).await, [done.clone(), done], "{step}");
        let said = stage.said(saga);
        assert_eq!(said[1..said.len() - 1], says, "{step}");
        assert_eq!((&*said[0], &*said[said.len() - 1]), ("OrderCreated", "OrderFailed"));
        let failed =
            stage.events(saga).into_iter().find(|event| event.name.ends_with("Failed")).unwrap();
        assert_eq!(body(&failed)["reason"], json!({ "code": "NO", "message": "round 1" }));
        let last = body(&stage.events(saga).pop().unwrap());
        assert_eq!(last["context"]["completed_steps"], json!([]), "{step}");
    }
}

async fn what_never_works_is_given_up_and_undone<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    for end in ["fails", "panics"] {
        let saga = stage.start(&[&format!("{CHARGE} {end}")]).await;
        assert_eq!(stage.end(saga).await, State::Failed);
        assert_eq!(stage.ledger(saga).await, [vec![1], vec![1]], "{end}");
        let failed =
            stage.events(saga).into_iter().find(|event| event.name == "PaymentFailed").unwrap();
        assert_eq!(body(&failed)["reason"]["code"], "HANDLER_FAILED");
    }
}

async fn what_comes_twice_or_in_reverse_changes_nothing<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    stage.serve_all();
    let mut runs = Vec::new();
    for items in [vec![], vec![format!("{SHIP} is refused")]] {
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let saga = stage.start(&items).await;
        stage.end(saga).await;
        runs.push((saga, stage.ledger(saga).await, stage.said(saga)));
    }
    for (saga, ..) in &runs {
        for event in stage.events(*saga).iter().rev() {
            stage.publish(event).await;
        }
    }
    // What is heard after all of that has all of it behind it.
    let last = stage.start(&[]).await;
    stage.end(last).await;
    for (saga, ledger, said) in &runs {
        assert_eq!(&stage.ledger(*saga).await, ledger);
        assert_eq!(stage.said(*saga).len(), 2 * said.len(), "nobody says it again");
    }
    // A run whose events come to a service in reverse, each twice: the service was away.
    stage.at_work.shutdown().await;
    stage.serve("InventoryService");
    let saga = stage.start(&[]).await;
    stage.hears(saga, "InventoryReserved").await;
    stage.at_work.shutdown().await;
    let reserved = stage.events(saga).pop().unwrap();
    let mut context = body(&reserved)["context"].clone();
    context["data"]["payment_id"] = json!("P-1");
    let later = |name: &str| {
        let changes = json!({ "type": name, "context": context.clone() });
        Message { name: name.to_owned(), ..like(&reserved, &changes) }
    };
    for name in ["ShipmentFailed", "ShipmentFailed", "InventoryReserved"] {
        stage.publish(&later(name)).await;
    }
    // Nobody ships what is said to have failed.
    ["OrderService", "InventoryService", "PaymentService"]
        .iter()
        .for_each(|name| stage.serve(name));
    stage.hears(saga, "OrderFailed").await;
    let [done, undone] = stage.ledger(saga).await;
    assert_eq!(done, undone, "the payment was made and undone, or barred");
}

async fn an_undo_that_comes_first_bars_its_action<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    // All that was said of another run is at hand.
    stage.serve_all();
    let model = stage.start(&[]).await;
    stage.end(model).await;
    stage.at_work.shutdown().await;
    let created = stage.events(model).remove(0);
    let saga = SagaId(created.saga_id.parse::<SagaId>().unwrap().0 + 1);
    let of_it = |name: &str| {
        let mut context = body(&created)["context"].clone();
        context["saga_id"] = json!(saga.to_string());
        let changes = json!({ "type": name, "saga_id": saga.to_string(), "context": context });
        let (name, saga_id) = (name.to_owned(), saga.to_string());
        Message { name, saga_id, ..like(&created, &changes) }
    };
    stage.publish(&of_it("PaymentFailed")).await;
    stage.serve("OrderService");
    stage.serve("InventoryService");
    stage.hears(saga, "OrderFailed").await;
    stage.publish(&of_it("OrderCreated")).await;
    for _ in 0..6_000 {
        let known = stage.went(0, saga).await;
        if known.iter().any(|(key, _)| key == RESERVE) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let undone = format!("undo {RESERVE} on PaymentFailed or PaymentRefunded");
    assert_eq!(
        stage.went(0, saga).await,
        [(RESERVE.to_owned(), Went::Barred), (undone, Went::NothingToUndo)]
    );
    assert_eq!(stage.ledger(saga).await, NOTHING);
    assert!(!stage.said(saga).iter().any(|name| name == "InventoryReserved"));
    let tombstones = "SELECT COUNT(*) FROM amends_guard WHERE state = 'tombstone'";
    assert_eq!(D::number(&stage.pool, tombstones).await.unwrap(), 1);
}

async fn two_that_go_side_by_side_are_joined<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, travel()).await;
    stage.serve_all();
    let saga = stage.start(&[]).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    stage.hears(saga, "TripBooked").await;
    for _ in 0..6_000 {
        if stage.ledger(saga).await == [vec![1, 2, 3, 4], vec![]] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.ledger(saga).await, [vec![1, 2, 3, 4], vec![]], "the letter is a best effort");
}

async fn two_that_go_side_by_side_are_undone_in_every_case<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, travel()).await;
    stage.serve_all();
    let refused = |action: &str| format!("{action} is refused");
    let [flight, hotel, car] = ["Flights.Book", "Hotels.Book", "Cars.Rent"].map(refused);
    let mut runs = Vec::new();
    for items in [vec![&*flight], vec![&*hotel], vec![&*car], vec![&*flight, &*hotel]] {
        for _ in 0..3 {
            runs.push((stage.start(&items).await, items.clone()));
        }
    }
    for (saga, items) in runs {
        assert_eq!(stage.end(saga).await, State::Failed, "{items:?}");
        let [done, undone] = stage.ledger(saga).await;
        assert_eq!(done, undone, "{items:?}");
        let ends = stage.said(saga).iter().filter(|name| *name == "TripFailed").count();
        assert_eq!(ends, 1, "{items:?}");
    }
}

async fn what_must_be_done_is_asked_anew_and_a_best_effort_gone_on_without<D: Tested>(
    pool: Pool<D>,
) {
    let file = "
choreography: Parcel
starts_with: Packed
ends_with: { done: Told, undone: Lost }
services: { Depot: { fence: barrier }, Mail: { fence: barrier } }
events: { Packed: [items], Weighed: [amount] }
reactions:
  - { on: Packed, action: Depot.Weigh, kind: best_effort, then: Weighed }
  - { on: Weighed, action: Mail.Tell, kind: retriable, then: Told }
";
    let mut stage = Stage::of(pool, read(file)).await;
    stage.serve_all();
    let items = ["Depot.Weigh is refused", "Mail.Tell is refused until round 3"];
    let saga = stage.start(&items).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    assert_eq!(stage.ledger(saga).await, [vec![2], vec![]]);
    let weighed = body(&stage.events(saga)[1]);
    assert_eq!(weighed["context"]["data"], json!({ "items": items, "amount": null }));
    assert_eq!(weighed["context"]["completed_steps"], json!([]));
}

/// Killed with a handler halfway, again and again.
async fn services_that_are_killed_go_on_where_they_were<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    stage.gate = Gate::shut();
    let saga = stage.start(&[&format!("{SHIP} is refused")]).await;
    // Two done, one refused, two undone: each is killed at the gate once.
    for passes in 0..5 {
        stage.serve_all();
        stage.gate.arrival().await;
        stage.at_work.shutdown().await;
        stage.serve_all();
        stage.gate.arrival().await;
        stage.gate.open.add_permits(1);
        // The next one stands at the gate, or all is over.
        if passes < 4 {
            stage.gate.arrival().await;
        } else {
            assert_eq!(stage.end(saga).await, State::Failed);
        }
        stage.at_work.shutdown().await;
    }
    assert_eq!(stage.ledger(saga).await, [vec![1, 2], vec![1, 2]]);
}

async fn copies_share_the_work_and_do_nothing_twice<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    stage.serve_all();
    stage.serve_all();
    let mut runs = Vec::new();
    for n in 0..18 {
        let step = [RESERVE, CHARGE, SHIP][n / 3 % 3];
        let end = ["ends well", "is refused", "fails"][n % 3];
        runs.push((stage.start(&[&format!("{step} {end}")]).await, end, step));
    }
    for (saga, end, step) in runs {
        let done: Vec<i64> = match (end, step) {
            ("ends well", _) => vec![1, 2, 3],
            (_, RESERVE) => vec![],
            (_, CHARGE) => vec![1],
            _ => vec![1, 2],
        };
        let (state, undone) = match end {
            "ends well" => (State::Completed, vec![]),
            _ => (State::Failed, done.clone()),
        };
        assert_eq!(stage.end(saga).await, state, "{step} {end}");
        assert_eq!(stage.ledger(saga).await, [done, undone], "{step} {end}");
    }
}

/// What the file promises of an event is there, or the action is not done.
async fn a_result_that_says_too_little_is_rolled_back<D: Tested>(pool: Pool<D>) {
    let file = ORDER.replace(
        "InventoryReserved: [reservation_id]",
        "InventoryReserved: [reservation_id, shelf]",
    );
    let mut stage = Stage::of(pool, read(&file)).await;
    stage.serve_all();
    let saga = stage.start(&[]).await;
    assert_eq!(stage.end(saga).await, State::Failed);
    assert_eq!(stage.ledger(saga).await, NOTHING);
    assert_eq!(stage.said(saga), ["OrderCreated", "InventoryFailed", "OrderFailed"]);
}

async fn a_run_that_is_rolled_back_does_not_start<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let data = json!({ "order_id": "17", "items": [], "total_amount": 1, "shipping_address": "" });
    let mut tx = D::begin_writing(&stage.pool).await;
    let saga = stage.services[0].start(&mut tx, "OrderCreated", &data).await.unwrap();
    let other = stage.services[0].start(&mut tx, "OrderFulfilled", &data).await;
    assert!(matches!(other, Err(NotStarted::NoSuchType(_))), "{other:?}");
    let less = stage.services[0].start(&mut tx, "OrderCreated", &json!({ "items": [] })).await;
    assert!(matches!(less, Err(NotStarted::BadData(_))), "{less:?}");
    tx.rollback().await.unwrap();
    let another = stage.start(&[]).await;
    assert_eq!(stage.end(another).await, State::Completed);
    assert_eq!(stage.said(saga), [""; 0]);
    assert_eq!(stage.state(0, saga).await, None);
}

async fn the_same_key_is_the_same_run<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let data = json!({ "order_id": "17", "items": [], "total_amount": 1, "shipping_address": "" });
    let mut runs = Vec::new();
    for key in ["order-1", "order-1", "order-2"] {
        let mut tx = D::begin_writing(&stage.pool).await;
        let started = stage.services[0].start_once(&mut tx, "OrderCreated", key, &data).await;
        tx.commit().await.unwrap();
        runs.push(started.unwrap());
        assert_eq!(stage.end(runs[runs.len() - 1]).await, State::Completed);
    }
    assert!(runs[0] == runs[1] && runs[0] != runs[2]);
    let started = stage.said(runs[0]).iter().filter(|name| *name == "OrderCreated").count();
    assert_eq!(started, 1);
    let mut tx = D::begin_writing(&stage.pool).await;
    let other = json!({ "order_id": "18", "items": [], "total_amount": 1, "shipping_address": "" });
    let reused = stage.services[0].start_once(&mut tx, "OrderCreated", "order-1", &other).await;
    assert!(matches!(reused, Err(NotStarted::KeyReused(_))), "{reused:?}");
}

async fn what_is_damaged_or_foreign_changes_nothing<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    stage.serve_all();
    let model = stage.start(&[]).await;
    stage.end(model).await;
    stage.at_work.shutdown().await;
    let inventory = stage.services[0].clone();
    let listener = stage.broker.listener("InventoryService");
    stage.at_work.spawn(Reacting::new(inventory.clone(), listener).run(std::future::pending()));
    let saga = stage.start(&[]).await;
    stage.hears(saga, "InventoryReserved").await;
    let before = inventory.record(saga).await.unwrap().to_json();
    let heard =
        stage.events(saga).into_iter().find(|event| event.name == "InventoryReserved").unwrap();
    // It would undo what is done.
    let undoing = json!({ "type": "PaymentFailed" });
    let with = |changes: Value| {
        let mut all = undoing.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        like(&heard, &all)
    };
    let context = |changes: Value| {
        let mut context = body(&heard)["context"].clone();
        context.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "context": context })
    };
    let mut unmarked = Message { body: "{\"sku\":\"A-1\"}".into(), ..heard.clone() };
    unmarked.attributes.retain(|(name, _)| name != "amends-choreography");
    let events = [
        Message { body: "{".into(), ..heard.clone() },
        with(context(json!({ "saga_id": model.to_string() }))),
        with(context(json!({ "saga_id": "no uuid" }))),
        with(context(json!({ "data": [1] }))),
        with(json!({ "context": null })),
        // Nobody says that, or not yet.
        with(json!({ "type": "PaymentLost", "at": "2020-01-01T00:00:00.000Z" })),
        with(json!({ "type": "PaymentLost" })),
        with(json!({ "format": 2 })),
        // And these are nobody's business here.
        with(json!({ "choreography": "Returns" })),
        with(json!({ "type": "PaymentProcessed" })),
        unmarked,
    ];
    for event in &events {
        stage.publish(event).await;
    }
    let is_over = || {
        let counts = inventory.counts();
        counts.damaged == 5 && counts.contradicted == 1 && counts.put_off >= 2
    };
    for _ in 0..6_000 {
        if is_over() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let counts = inventory.counts();
    assert_eq!((counts.damaged, counts.contradicted), (5, 1), "{counts:?}");
    assert!(counts.put_off >= 2, "{counts:?}");
    assert_eq!(inventory.record(saga).await.unwrap().to_json(), before);
    assert_eq!(stage.ledger(saga).await, [vec![1], vec![]]);
    let reasons: Vec<String> =
        stage.broker.dead_letters().into_iter().map(|(_, why)| why).collect();
    assert!(reasons.iter().any(|why| why.starts_with("UNKNOWN_EVENT")), "{reasons:?}");
    // A service without the kit has to say no more than this.
    let mut context = body(&heard)["context"].clone();
    context["step"].take();
    let least = json!({ "type": "PaymentFailed", "choreography": "OrderFulfillment",
                        "context": { "saga_id": saga.to_string(), "data": context["data"] } });
    let mut event = Message { body: least.to_string().into(), ..heard.clone() };
    event.attributes.retain(|(name, _)| name != "amends-choreography");
    stage.publish(&event).await;
    stage.hears(saga, "InventoryReleased").await;
    assert_eq!(stage.ledger(saga).await, [vec![1], vec![1]]);
}

async fn a_participant_that_does_not_fit_is_told_so<D: Tested>(pool: Pool<D>) {
    let bare = |name: &str| Participant::builder(name, pool.clone()).build();
    let error = bare("InventoryService").reactions([read(ORDER)]).unwrap_err();
    let Misfit::Handlers { missing, unknown, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &["the action ReserveInventory", "the compensation ReleaseInventory"]);
    assert!(unknown.is_empty());
    let error = bare("InventryService").reactions([read(ORDER)]).unwrap_err();
    assert!(
        matches!(&error, Misfit::NoReactions { services, .. } if services.len() == 4),
        "{error}"
    );
    let error = bare(&"S".repeat(60)).reactions([read(ORDER)]).unwrap_err();
    assert!(matches!(&error, Misfit::LongName(_)), "{error}");
    // Who has only something to say needs no handler.
    bare("OrderService").reactions([read(ORDER)]).unwrap();
    let error = Participant::builder("InventoryService", pool)
        .reactions(read(ORDER))
        .on("OrderCreatd", reserve::<D>)
        .on("InventoryReserved", reserve::<D>)
        .on("OrderCreated", reserve::<D>)
        .on("OrderCreated", reserve::<D>)
        .undo(RESERVE, release::<D>)
        .undo(CHARGE, release::<D>)
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "InventoryService does not fit OrderFulfillment: it has a handler for an action on OrderCreatd, at \
         which it has none, and for an action on InventoryReserved, at which it has none, and for \
         ReserveInventory on OrderCreated, twice, and for the undo of PaymentService.ProcessPayment, which \
         it has none of"
    );
}

#[derive(Deserialize)]
struct Items {
    items: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Reserved {
    reservation_id: String,
    items: usize,
}

#[derive(Deserialize)]
struct Undoes {
    reservation_id: String,
}

async fn reserve<D: Tested>(tx: &mut Tx<D>, order: Items, about: &About) -> Outcome<Reserved> {
    D::enter(tx, about.saga_id(), about.step(), "action", 7).await?;
    Ok(Reserved { reservation_id: "R-7".to_owned(), items: order.items.len() })
}

async fn release<D: Tested>(tx: &mut Tx<D>, held: Reserved, about: &About) -> Undoing {
    // What the action returned, and what the event at which it is undone carries.
    assert_eq!(held.reservation_id, about.data_as::<Undoes>()?.reservation_id);
    let amount = i64::try_from(held.items)?;
    Ok(D::enter(tx, about.saga_id(), about.step(), "compensation", amount).await?)
}

async fn reactions_are_written_down_as_in_the_file<D: Tested>(pool: Pool<D>) {
    let mut stage = Stage::of(pool, read(ORDER)).await;
    let inventory = Participant::builder("InventoryService", stage.pool.clone())
        .reactions(read(ORDER))
        .on("OrderCreated", reserve)
        .undo(RESERVE, release)
        .build()
        .unwrap();
    let reacting = Reacting::new(inventory, stage.broker.listener("InventoryService"));
    stage.at_work.spawn(reacting.run(std::future::pending()));
    ["PaymentService", "ShippingService", "OrderService"].iter().for_each(|name| stage.serve(name));
    let saga = stage.start(&["a kettle", &format!("{CHARGE} is refused")]).await;
    assert_eq!(stage.end(saga).await, State::Failed);
    assert_eq!(stage.ledger(saga).await, [vec![7], vec![2]]);
}

/// Both look for what is due in one table, and neither finds the other's.
async fn both_kinds_are_kept_beside_each_other<D: Tested>(pool: Pool<D>) {
    let mut definition =
        choreography::Stage::of(pool.clone(), choreography::order("1m", "pivot")).await;
    let mut free = Stage::of(pool, read(ORDER)).await;
    free.broker = definition.broker.clone();
    // At one place, each kind under a name of its own.
    for name in free.of.clone().services() {
        let listener = free.broker.listener(&format!("{name}-free"));
        let reacting = Reacting::new(free.service(name), listener).at_once(3);
        free.at_work.spawn(reacting.run(std::future::pending()));
    }
    for name in ["InventoryService", "PaymentService", "ShippingService"] {
        definition.serve(name);
    }
    let fails = format!("{CHARGE} fails");
    let (run, saga) =
        (free.start(&[&fails]).await, definition.start(json!({ "charge": "fail" })).await);
    assert_eq!(free.end(run).await, State::Failed);
    assert_eq!(definition.end(saga).await, State::Failed);
    assert_eq!(free.ledger(run).await, [vec![1], vec![1]]);
    assert_eq!(definition.ledger(saga).await, [vec![1], vec![1]]);
    assert!(matches!(free.services[0].record(saga).await, Err(NoSuchSaga::Unheard)));
}

async fn runs_that_are_old_are_pruned<D: Tested>(pool: Pool<D>) {
    let stage = stage(pool).await;
    let saga = stage.start(&[]).await;
    assert_eq!(stage.end(saga).await, State::Completed);
    let retention =
        amends_participant::Retention::for_sagas_of_at_most(Duration::from_secs(1_000_000_000));
    assert_eq!(stage.services[0].prune(retention).await.unwrap(), 0);
    let sql = format!(
        "UPDATE amends_saga SET written_at = '1970-01-01 00:00:00' WHERE saga_id = '{saga}'"
    );
    D::run(&stage.pool, sql).await.unwrap();
    stage.services[0].prune(retention).await.unwrap();
    assert_eq!(stage.state(0, saga).await, None);
}
