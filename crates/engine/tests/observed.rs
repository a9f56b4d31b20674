//! Sagas that services run among themselves: what they say is a saga like any other, whatever order it
//! comes in, and nobody is commanded. The runtime's clock is paused, so that a wait takes no time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_choreography::{Choreographed, Reason, SagaEvent, Word};
use amends_core::saga::{self, Cause, State, Status};
use amends_core::{Event, SagaId, Time};
use amends_definition::{Messaging, Surroundings, check};
use amends_engine::{
    Ask, AskError, Binder, Carrier, Deployment, Engine, Handle, Options, Outside, SagaVerb, Start,
    StartError,
};
use amends_store::memory::Disk;
use amends_store::{Query, StuckFilter};
use amends_transport::{Channel, End, InMemory, Kind, Listener, Message};
use bytes::Bytes;
use serde_json::value::RawValue;

const ORDER: &str = r#"
saga: Order
version: 1
pattern: choreography
business_key: "${ data.order_id }"
defaults: { deadline: 10m }
steps:
  - { name: reserve, action: Stock.Take, compensation: Stock.GiveBack }
  - { name: charge, action: Payment.Charge, compensation: Payment.Refund }
  - { name: ship, kind: pivot, action: Shipping.Ship }
  - { name: thank, kind: best_effort, action: Mail.Thank }
services:
  Stock: { fence: barrier }
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
  Mail: { fence: barrier }
messaging: { nats: { stream: ORDERS, events: orders.events } }
"#;

const STEPS: [(&str, &str); 4] =
    [("reserve", "Stock"), ("charge", "Payment"), ("ship", "Shipping"), ("thank", "Mail")];

/// Binds nothing but the observer's end.
struct Bound(InMemory);

impl Binder for Bound {
    fn bind(&self, service: &str, of: &amends_definition::Binding) -> Option<Carrier> {
        assert!(of.transport.is_some(), "{service} is commanded by nobody");
        None
    }

    fn messaging(&self, _: &Messaging) -> Option<Arc<dyn Channel>> {
        panic!("nobody asks for such a saga by message");
    }

    fn observing(
        &self,
        messaging: &Messaging,
        services: &BTreeSet<Arc<str>>,
    ) -> Option<Arc<dyn Channel>> {
        assert_eq!(messaging.events.as_deref(), Some("orders.events"));
        assert!(services.contains("Stock") && services.len() == 4, "{services:?}");
        Some(self.0.listener("amends"))
    }
}

/// The wall clock goes on while no engine runs.
struct Clock {
    began: tokio::time::Instant,
    at: u64,
}

impl Outside for Clock {
    fn wall_clock(&self) -> Time {
        Time(self.at + self.began.elapsed().as_millis() as u64)
    }

    fn saga_id(&self) -> SagaId {
        panic!("no saga is started here");
    }
}

struct World {
    disk: Disk,
    broker: InMemory,
    of: Choreographed,
    began: tokio::time::Instant,
    at: u64,
}

impl World {
    fn new() -> Self {
        let of = Choreographed::read(ORDER.as_bytes(), "order.yaml", &Surroundings::none());
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let broker = InMemory::new();
        broker.listener("amends");
        let began = tokio::time::Instant::now();
        Self { disk: Disk::new(), broker, of: of.unwrap(), began, at: at as u64 }
    }

    async fn engine(&self) -> Engine {
        self.engine_with(Options::default()).await
    }

    async fn engine_with(&self, options: Options) -> Engine {
        let binder = Arc::new(Bound(self.broker.clone()));
        let clock = Arc::new(Clock { began: self.began, at: self.at });
        let engine = Engine::start_in(options, self.disk.open(), binder, clock).await.unwrap();
        engine.handle().deploy(vec![deployment(ORDER)]).await.unwrap();
        engine
    }

    fn now(&self) -> Time {
        Time(self.at + self.began.elapsed().as_millis() as u64)
    }

    /// What starts a saga.
    fn started(&self, id: u128) -> SagaEvent {
        let data = format!(r#"{{"order_id":"o-{id}"}}"#);
        let saga_id = amends_wire::SagaId(id);
        self.of.start(saga_id, "Shop", &data, self.now()).unwrap()
    }

    /// What a service says of its step.
    fn said(&self, id: u128, step: &str, said: Word) -> SagaEvent {
        let (_, by) = STEPS.iter().find(|(name, _)| *name == step).unwrap();
        let result = format!(r#"{{"of":"{step}"}}"#);
        let result = (said == Word::Completed).then(|| RawValue::from_string(result).unwrap());
        let (step_name, by) = (Some(step.to_owned()), (*by).to_owned());
        SagaEvent { said, step_name, result, by, ..self.started(id) }
    }

    fn failed(&self, id: u128, step: &str) -> SagaEvent {
        let reason = Some(Reason::new("EMPTY", "nothing is left"));
        SagaEvent { reason, ..self.said(id, step, Word::Failed) }
    }

    async fn publish(&self, event: &SagaEvent) {
        self.broker.service().publish(&event.message()).await.unwrap();
    }

    async fn publish_all(&self, events: &[SagaEvent]) {
        for event in events {
            self.publish(event).await;
        }
    }

    /// All that is said of a saga that completes.
    fn all(&self, id: u128) -> Vec<SagaEvent> {
        let mut all = vec![self.started(id)];
        all.extend(STEPS.map(|(step, _)| self.said(id, step, Word::Completed)));
        all
    }

    /// All that is said of one that Shipping refuses.
    fn undone(&self, id: u128) -> Vec<SagaEvent> {
        let refused = SagaEvent { said: Word::NeverRan, ..self.failed(id, "ship") };
        vec![
            self.started(id),
            self.said(id, "reserve", Word::Completed),
            self.said(id, "charge", Word::Completed),
            self.failed(id, "ship"),
            refused,
            self.said(id, "charge", Word::Compensated),
            self.said(id, "reserve", Word::Compensated),
        ]
    }

    /// The events that this engine has published.
    fn published(&self) -> Vec<Message> {
        let ours = |event: &Message| {
            event
                .attributes
                .iter()
                .any(|(name, value)| (&**name, &**value) == ("source", "/services/amends"))
        };
        self.broker.events().into_iter().filter(ours).collect()
    }

    /// Waits until all that was published is settled.
    async fn settled(&self) {
        for _ in 0..100_000 {
            if self.broker.is_idle() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is not settled");
    }
}

fn deployment(text: &str) -> Deployment {
    let checked = check(text.as_bytes(), "order.yaml", &Surroundings::none());
    Deployment { compiled: checked.compiled.unwrap_or_else(|| panic!("{:?}", checked.findings)) }
}

async fn saga(handle: &Handle, id: u128) -> saga::Saga {
    let snapshot = handle.get(SagaId(id)).await.unwrap().expect("it is there");
    saga::Saga::clone(&snapshot.saga)
}

fn statuses(saga: &saga::Saga) -> Vec<Option<Status>> {
    let of = |step| saga.run(amends_core::RunRef::only(amends_core::StepIx(step)));
    (0..4).map(|step| of(step).map(|run| run.status)).collect()
}

fn sample(metrics: &str, name: &str) -> String {
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.unwrap_or_default().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_services_say_is_a_saga_like_any_other() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    world.publish_all(&world.all(1)[..2]).await;
    world.settled().await;
    let running = saga(&handle, 1).await;
    assert_eq!(running.state, State::Pending);
    let pending = Some(Status::Pending);
    assert_eq!(statuses(&running), [Some(Status::Completed), pending, None, None]);
    let waiting = running.run(amends_core::RunRef::only(amends_core::StepIx(1))).unwrap();
    assert_eq!(waiting.deadline.since(waiting.ready_at).0, 600_000, "it is known until when");
    assert_eq!(running.business_key.as_deref(), Some("o-1"));
    world.publish_all(&world.all(1)[2..]).await;
    world.publish_all(&world.undone(2)).await;
    world.settled().await;
    let done = saga(&handle, 1).await;
    assert_eq!((done.state, done.clean()), (State::Completed, true));
    assert_eq!(statuses(&done), [Some(Status::Completed); 4]);
    let result = done.run(amends_core::RunRef::only(amends_core::StepIx(2))).unwrap();
    assert_eq!(result.result.as_ref().unwrap().bytes(), br#"{"of":"ship"}"#);
    let undone = saga(&handle, 2).await;
    assert_eq!((undone.state, undone.clean()), (State::Failed, true));
    let gone = Some(Status::Compensated);
    assert_eq!(statuses(&undone), [gone, gone, Some(Status::Failed), None]);
    let cause = undone.turned.unwrap().cause;
    assert_eq!(cause, Cause::Step(amends_core::RunRef::only(amends_core::StepIx(2))));

    // In its history, in the list and in the metrics.
    let history = handle.history(SagaId(2)).await.unwrap().unwrap();
    let heard = |item: &amends_engine::HistoryItem| match &item.event {
        Event::Heard { by, .. } => Some(by.to_string()),
        _ => None,
    };
    let by: Vec<String> = history.iter().filter_map(heard).collect();
    assert_eq!(by, ["Shop", "Stock", "Payment", "Shipping", "Shipping", "Payment", "Stock"]);
    let rows = handle.list(Query { limit: 10, ..Query::default() }, Some(handle.position()));
    let mut states: Vec<u8> = rows.await.unwrap().rows.iter().map(|row| row.state).collect();
    states.sort_unstable();
    assert_eq!(states, [4, 5]);
    let metrics = handle.metrics().encode();
    for (name, count) in [
        ("saga_started_total{saga_type=\"Order\"", "2"),
        ("saga_completed_total{saga_type=\"Order\"", "1"),
        ("saga_failed_total{saga_type=\"Order\"", "1"),
        ("saga_compensating_total{saga_type=\"Order\"", "1"),
        ("amends_events_heard_total{outcome=\"heard\"", "12"),
    ] {
        assert_eq!(sample(&metrics, name), count, "{name}: {metrics}");
    }
    assert_eq!(world.published(), [], "nobody was told anything");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_and_nothing_is_heard_twice() {
    let world = World::new();
    let all = [world.all(1), world.undone(2)].concat();
    for (n, event) in all.iter().enumerate() {
        let engine = world.engine().await;
        world.publish(event).await;
        // Brought a second time, as after a crash before it was acknowledged.
        world.publish(&all[n / 2]).await;
        world.settled().await;
        // Killed, or stopped.
        if n % 2 == 0 {
            engine.stop().await;
        }
    }
    let engine = world.engine().await;
    let handle = engine.handle();
    for (id, state, said) in [(1, State::Completed, 5), (2, State::Failed, 7)] {
        assert_eq!(saga(&handle, id).await.state, state);
        let history = handle.history(SagaId(id)).await.unwrap().unwrap();
        let heard = history.iter().filter(|item| matches!(item.event, Event::Heard { .. }));
        assert_eq!(heard.count(), said, "{history:?}");
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_order_in_which_it_is_heard_does_not_matter() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    let backwards = |mut events: Vec<SagaEvent>| {
        events.reverse();
        events
    };
    world.publish_all(&backwards(world.all(1))).await;
    world.publish_all(&backwards(world.undone(2))).await;
    // Of this one it is heard first that it is to be undone, by who knows nothing of it.
    let mut cancelled = world.of.cancel(
        amends_wire::SagaId(3),
        "Shop",
        Reason::new("CANCELLED", "the customer rang"),
        world.now(),
    );
    cancelled.by = "Shop".to_owned();
    world.publish(&cancelled).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(handle.get(SagaId(3)).await.unwrap().is_none(), "there is nothing to show yet");
    world.publish(&world.started(3)).await;
    for (step, _) in STEPS {
        world.publish(&world.said(3, step, Word::NeverRan)).await;
    }
    world.settled().await;
    assert_eq!(saga(&handle, 1).await.state, State::Completed);
    assert_eq!(saga(&handle, 2).await.state, State::Failed);
    let third = saga(&handle, 3).await;
    assert_eq!((third.state, statuses(&third)), (State::Failed, vec![None; 4]));
    let Cause::Cancelled(act) = third.turned.unwrap().cause else { panic!("it was cancelled") };
    assert_eq!((&*act.by, &*act.reason), ("Shop", "the customer rang"));
    engine.stop().await;
}

/// What a person is needed for, of a saga.
async fn attention(handle: &Handle, id: u128) -> Vec<(Option<u8>, saga::Reason)> {
    let of = |one: &saga::Attention| (one.run.map(|run| run.step.0), one.reason);
    saga(handle, id).await.attention.iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_heard_in_its_time_needs_a_person_until_it_is() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    world.publish_all(&world.all(1)[..2]).await;
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(10 * 60 + 20)).await;
    assert_eq!(attention(&handle, 1).await, [], "its word may be under way");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(attention(&handle, 1).await, [(Some(1), saga::Reason::Unheard)]);
    let stuck = StuckFilter::By(world.now().0);
    let stuck = Query { stuck: Some(stuck), limit: 10, ..Query::default() };
    let rows = handle.list(stuck, Some(handle.position())).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.saga).collect::<Vec<_>>(), [1]);
    // Nobody is told: that is the services' business.
    assert_eq!(world.published(), []);
    world.publish_all(&world.all(1)[2..]).await;
    world.settled().await;
    assert_eq!(attention(&handle, 1).await, []);
    assert_eq!(saga(&handle, 1).await.state, State::Completed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_it_was_away_itself_nobody_was_late() {
    let world = World::new();
    let engine = world.engine().await;
    world.publish_all(&world.all(1)[..2]).await;
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    engine.stop().await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    let engine = world.engine().await;
    let handle = engine.handle();
    tokio::time::sleep(Duration::from_secs(4 * 60)).await;
    assert_eq!(attention(&handle, 1).await, [], "it has half of its time yet");
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(attention(&handle, 1).await, [(Some(1), saga::Reason::Unheard)]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_asks_the_services_once() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    world.publish_all(&world.all(1)[..3]).await;
    world.settled().await;
    let cancel = || Ask::Verb {
        verb: SagaVerb::Cancel,
        by: "ann".into(),
        reason: "the customer rang".into(),
    };
    handle.ask(SagaId(1), cancel(), None).await.unwrap();
    let again = handle.ask(SagaId(1), cancel(), None).await;
    let refusal = amends_core::Refusal::AlreadyCompensating;
    assert!(matches!(&again, Err(AskError::Refused(why)) if *why == refusal), "{again:?}");
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.stop().await;
    let engine = world.engine().await;
    let handle = engine.handle();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let published = world.published();
    assert_eq!(published.len(), 1, "{published:?}");
    let read = SagaEvent::read(&Attributes(&published[0].attributes), &published[0].body).unwrap();
    assert_eq!((read.said, read.by.as_str()), (Word::Failed, "amends"));
    assert_eq!(read.reason, Some(Reason::new("CANCELLED", "the customer rang")));
    assert_eq!(saga(&handle, 1).await.state, State::Pending, "the arbiter has not decided");
    let undone = [
        world.said(1, "ship", Word::NeverRan),
        world.said(1, "charge", Word::Compensated),
        world.said(1, "reserve", Word::Compensated),
    ];
    world.publish_all(&undone).await;
    world.settled().await;
    let ended = saga(&handle, 1).await;
    assert_eq!(ended.state, State::Failed);
    let Cause::Cancelled(act) = ended.turned.unwrap().cause else { panic!("it was cancelled") };
    assert_eq!(&*act.reason, "the customer rang");
    // After the arbiter it is too late, and nothing else can be asked.
    world.publish_all(&world.all(2)[..4]).await;
    world.settled().await;
    let late = handle.ask(SagaId(2), cancel(), None).await;
    let refusal = amends_core::Refusal::TooLate;
    assert!(matches!(&late, Err(AskError::Refused(why)) if *why == refusal), "{late:?}");
    let retry = Ask::Verb {
        verb: SagaVerb::Retry { step: "thank".to_owned() },
        by: "ann".into(),
        reason: "it hangs".into(),
    };
    let retried = handle.ask(SagaId(2), retry, None).await;
    assert!(matches!(retried, Err(AskError::DoesNotFit(_))), "{retried:?}");
    let start = Start {
        saga_type: "Order".into(),
        version: None,
        data: Bytes::from_static(b"{}"),
        idempotency_key: None,
        wait: None,
    };
    let started = handle.start(start).await;
    assert!(matches!(started, Err(StartError::Choreographed(_))), "{started:?}");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn active_recovery_asks_for_the_end_of_what_is_late_and_may_be_undone() {
    let world = World::new();
    let options = Options { active_recovery: true, ..Options::default() };
    let engine = world.engine_with(options).await;
    let handle = engine.handle();
    // The first waits for its payment, the second for its mail, after the point of no return.
    world.publish_all(&world.all(1)[..2]).await;
    world.publish_all(&world.all(2)[..4]).await;
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(10 * 60 + 20)).await;
    assert_eq!(world.published(), []);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let published = world.published();
    assert_eq!(published.len(), 1, "{published:?}");
    let read = SagaEvent::read(&Attributes(&published[0].attributes), &published[0].body).unwrap();
    assert_eq!((read.saga_id.0, read.step_name.as_deref()), (1, Some("charge")));
    assert_eq!(read.reason.unwrap().code, "DEADLINE");
    // What was said while the broker was away is read first.
    world.broker.set_away(true);
    world.publish_all(&[]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.broker.set_away(false);
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    assert_eq!(world.published().len(), 1);
    assert_eq!(attention(&handle, 2).await, [(Some(3), saga::Reason::Unheard)]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_or_cannot_be_read_changes_nothing_and_is_told() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    world.publish_all(&world.undone(1)).await;
    world.settled().await;
    let before = saga(&handle, 1).await;
    let put = |event: &SagaEvent, change: &dyn Fn(String) -> String| {
        let message = event.message();
        let body = change(String::from_utf8(message.body.to_vec()).unwrap());
        let headers = message
            .attributes
            .iter()
            .map(|(n, v)| (if n.contains('-') { n.clone() } else { format!("ce-{n}") }, v.clone()));
        world.broker.put(Kind::Event, body.into(), headers.collect());
    };
    // It was undone, and cannot have been shipped.
    world.publish(&world.said(1, "ship", Word::Completed)).await;
    // No such step; no JSON; a context of another saga.
    let charged = world.said(1, "charge", Word::Completed);
    put(&charged, &|body| body.replace("\"charge\"", "\"discharge\""));
    put(&charged, &|body| body[..40].to_owned());
    let (one, other) = (SagaId(1).to_string(), SagaId(9).to_string());
    put(&charged, &|body| body.replacen(&one, &other, 1));
    world.settled().await;
    let end = End::Listener(Listener::named("amends").unwrap());
    let mut aside: Vec<String> =
        world.broker.put_aside_by(&end).into_iter().map(|(_, why)| why).collect();
    aside.sort_unstable();
    assert_eq!(aside.len(), 4, "{aside:?}");
    for (why, code) in aside.iter().zip(["CONTRADICTS", "DAMAGED", "DAMAGED", "UNKNOWN_STEP"]) {
        assert!(why.starts_with(code), "{code}: {aside:?}");
    }
    // What is about something else is let go, and what is of a newer definition waits for it.
    put(&charged, &|body| body.replace("\"Order\"", "\"Trip\""));
    let message = Message { kind: Kind::Event, name: "Weather".into(), ..charged.message() };
    let weather = Message { attributes: Vec::new(), body: "{}".into(), ..message };
    world.broker.service().publish(&weather).await.unwrap();
    world.settled().await;
    let hash = world.of.hash();
    let newer = world.all(5);
    for event in &newer {
        put(event, &|body| body.replace(hash, &"0".repeat(64)));
    }
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    assert!(!world.broker.is_idle(), "it waits for its definition");
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    world.settled().await;
    let aside = world.broker.put_aside_by(&end);
    let unknown = aside.iter().filter(|(_, why)| why.starts_with("UNKNOWN_DEFINITION"));
    assert_eq!(unknown.count(), newer.len());
    let metrics = handle.metrics().encode();
    for (outcome, count) in
        [("heard", "7"), ("others", "2"), ("damaged", "2"), ("contradicted", "7"), ("put_off", "5")]
    {
        let name = format!("amends_events_heard_total{{outcome=\"{outcome}\"");
        assert_eq!(sample(&metrics, &name), count, "{outcome}: {metrics}");
    }
    assert_eq!(saga(&handle, 1).await, before);
    assert!(handle.get(SagaId(5)).await.unwrap().is_none());
    engine.stop().await;
}

/// So long ago.
fn ago(events: Vec<SagaEvent>, hours: u64) -> Vec<SagaEvent> {
    let before = |event: SagaEvent| {
        let at = Time(event.at.0 - hours * 3_600_000);
        SagaEvent { at, ..event }
    };
    events.into_iter().map(before).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_in_order_and_nothing_of_it_is_given_up() {
    let world = World::new();
    let refused = |id| {
        let bare = |step: &str| SagaEvent {
            context: world.of.cancel(wire(id), "x", Reason::new("X", "x"), world.now()).context,
            ..world.said(id, step, Word::NeverRan)
        };
        let mut all = vec![world.started(id), world.failed(id, "reserve")];
        all.extend(STEPS.map(|(step, _)| bare(step)));
        ago(all, 2)
    };
    for id in 1..=300 {
        world.publish_all(&refused(id)).await;
    }
    let engine = world.engine().await;
    let handle = engine.handle();
    world.settled().await;
    assert_eq!(world.broker.dead_letters(), []);
    for id in 1..=300 {
        assert_eq!(saga(&handle, id).await.state, State::Failed, "{id}");
    }
    engine.stop().await;
}

fn wire(id: u128) -> amends_wire::SagaId {
    amends_wire::SagaId(id)
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_any_definition_waits_until_all_are_there() {
    let world = World::new();
    let engine = world.engine().await;
    engine.stop().await;
    // While it was away there came a version, and another type with it, at the same place.
    let newer = ORDER.replace("version: 1", "version: 2").replace("Mail.Thank", "Mail.Say");
    let trip = ORDER.replace("saga: Order", "saga: Trip");
    let mut ids = 1..;
    for text in [&newer, &trip] {
        let of = Choreographed::read(text.as_bytes(), "x.yaml", &Surroundings::none()).unwrap();
        let other = World { of, broker: world.broker.clone(), disk: Disk::new(), ..World::new() };
        other.publish_all(&ago(other.all(ids.next().unwrap()), 2)).await;
    }
    let binder = Arc::new(Bound(world.broker.clone()));
    let clock = Arc::new(Clock { began: world.began, at: world.at });
    let engine = Engine::start_in(Options::default(), world.disk.open(), binder, clock);
    let engine = engine.await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let handle = engine.handle();
    handle.deploy(vec![deployment(&newer), deployment(&trip)]).await.unwrap();
    world.settled().await;
    assert_eq!(world.broker.dead_letters(), []);
    for id in [1, 2] {
        assert_eq!(saga(&handle, id).await.state, State::Completed);
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn its_sagas_are_heard_of_when_the_type_has_a_coordinator_again() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    for id in [1, 2] {
        world.publish_all(&world.all(id)[..2]).await;
    }
    world.settled().await;
    let coordinated = ORDER.replace("pattern: choreography", "pattern: orchestration");
    let coordinated = coordinated.replace("version: 1", "version: 2").replace("messaging:", "#");
    let service = "{ fence: barrier, http: { url: \"http://127.0.0.1:1\" } }";
    let coordinated = coordinated.replace("{ fence: barrier }", service);
    handle.deploy(vec![deployment(&coordinated)]).await.unwrap();
    world.publish_all(&world.all(1)[2..]).await;
    let cancel = Ask::Verb { verb: SagaVerb::Cancel, by: "ann".into(), reason: "enough".into() };
    handle.ask(SagaId(2), cancel, None).await.unwrap();
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(saga(&handle, 1).await.state, State::Completed);
    assert_eq!(world.published().len(), 1);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_brought_again_after_the_end_stays_in_no_memory() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    for id in 1..=10 {
        world.publish_all(&world.all(id)).await;
    }
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0);
    for id in 1..=10 {
        world.publish_all(&world.all(id)[3..]).await;
    }
    world.settled().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_must_have_been_need_not_be_heard() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    // Heard of halfway.
    world.publish_all(&world.all(1)[2..]).await;
    world.settled().await;
    let halfway = saga(&handle, 1).await;
    assert_eq!((halfway.state, statuses(&halfway)[0]), (State::Completed, None));
    world.publish_all(&world.all(1)[..2]).await;
    world.settled().await;
    assert_eq!(statuses(&saga(&handle, 1).await), [Some(Status::Completed); 4]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_arbiter_and_each_undo_are_expected_in_their_time() {
    let world = World::new();
    let engine = world.engine().await;
    let handle = engine.handle();
    // Refused, and Shipping does not say that it never will.
    let refused = SagaEvent { said: Word::NeverRan, ..world.failed(1, "charge") };
    world.publish_all(&world.all(1)[..2]).await;
    world.publish_all(&[world.failed(1, "charge"), refused]).await;
    // And one that Stock does not undo.
    world.publish_all(&world.undone(2)[..6]).await;
    world.settled().await;
    assert_eq!(attention(&handle, 1).await, []);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(attention(&handle, 2).await, [(Some(0), saga::Reason::UndoSlow)]);
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert_eq!(attention(&handle, 1).await, [(Some(2), saga::Reason::Unheard)]);
    world.publish(&world.said(1, "ship", Word::NeverRan)).await;
    for id in [1, 2] {
        world.publish(&world.said(id, "reserve", Word::Compensated)).await;
    }
    world.settled().await;
    for id in [1, 2] {
        let ended = saga(&handle, id).await;
        assert_eq!((ended.state, ended.attention), (State::Failed, vec![]), "{id}");
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_nobody_is_late() {
    let world = World::new();
    let engine = world.engine_with(Options { active_recovery: true, ..Options::default() }).await;
    let handle = engine.handle();
    world.publish_all(&world.all(1)[..2]).await;
    world.publish_all(&world.all(2)[..4]).await;
    world.settled().await;
    world.broker.set_away(true);
    tokio::time::sleep(Duration::from_secs(20 * 60)).await;
    assert_eq!(attention(&handle, 1).await, []);
    assert_eq!(attention(&handle, 2).await, []);
    world.broker.set_away(false);
    world.publish_all(&world.all(1)[2..]).await;
    world.settled().await;
    assert_eq!(saga(&handle, 1).await.state, State::Completed);
    // The other one is late, and past its point of no return: looked at no more than any that waits.
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    assert_eq!(attention(&handle, 2).await, [(Some(3), saga::Reason::Unheard)]);
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0);
    assert_eq!(world.published(), []);
    engine.stop().await;
}

/// An end that nobody could open.
struct Unbound;

impl Binder for Unbound {
    fn bind(&self, _: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_where_nobody_speaks() {
    let world = World::new();
    let engine = world.engine().await;
    world.publish_all(&world.all(1)[..2]).await;
    world.settled().await;
    engine.stop().await;
    let clock = Arc::new(Clock { began: world.began, at: world.at });
    let engine = Engine::start_in(Options::default(), world.disk.open(), Arc::new(Unbound), clock);
    let engine = engine.await.unwrap();
    engine.handle().deploy(vec![deployment(ORDER)]).await.unwrap();
    let verb = SagaVerb::Cancel;
    let cancel = Ask::Verb { verb, by: "ann".into(), reason: "the customer rang".into() };
    let asked = engine.handle().ask(SagaId(1), cancel, None).await;
    assert!(matches!(asked, Err(AskError::DoesNotFit(_))), "{asked:?}");
    assert_eq!(saga(&engine.handle(), 1).await.cause(), None, "it may be asked again");
    engine.stop().await;
}

struct Attributes<'a>(&'a [(String, String)]);

impl amends_wire::Headers for Attributes<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let bare = name.strip_prefix("ce-").unwrap_or(name);
        self.0.iter().find(|(known, _)| known == bare).map(|(_, value)| &**value)
    }
}
