//! One service of a choreography: what it takes in, what it asks, what it gives up, and when.

use amends_choreography::{
    Answered, Choreographed, GRACE, InVain, LEFT_FOR, Moment, NotTaken, Prepared, Reason, Record,
    SagaEvent, Service, State, Surroundings, Word,
};
use amends_core::{Millis, StepIx, Time};
use amends_wire::SagaId;
use serde_json::value::RawValue;

const ORDER: &[u8] = include_bytes!("corpus/order.yaml");
const SAGA: SagaId = SagaId(7);
const NOW: Time = Time(5);

fn order() -> Choreographed {
    Choreographed::read(ORDER, "order.choreography.yaml", &Surroundings::none()).unwrap()
}

/// Two services with a step each, of which the second one decides; it has 2 s and two attempts.
fn two(kind: &str) -> Choreographed {
    let text = "{ saga: S, pattern: choreography, steps: [\
                { name: a, action: A.Do, compensation: A.Undo, deadline: 1s }, \
                { name: p, kind: KIND, action: P.Do, deadline: 2s, timeout: 1s, \
                  retry: { max_attempts: 2, backoff: { initial: 100ms, max: 100ms } } }], \
                services: { A: { fence: barrier }, P: { fence: barrier } } }"
        .replace("KIND", kind);
    Choreographed::read(text.as_bytes(), "s.yaml", &Surroundings::none()).unwrap()
}

/// All that was said by then is heard; pauses are as long as they may be.
fn moment(at: Time) -> Moment {
    Moment { at, heard: at, jitter: u32::MAX }
}

fn no() -> Reason {
    Reason::new("NO", "not now")
}

fn names(said: &[SagaEvent]) -> Vec<String> {
    said.iter().map(SagaEvent::name).collect()
}

/// The second service, its turn come.
fn second(of: &Choreographed) -> (Service, Record, StepIx) {
    let (service, mut record) = (of.service("P"), Record::new(of.clone(), SAGA));
    let started = of.start(SAGA, "A", "{}", NOW).unwrap();
    service.hear(&mut record, &started, NOW).unwrap();
    let mut done = of.cancel(SAGA, "A", no(), NOW);
    done.said = Word::Completed;
    done.step_name = Some("a".to_owned());
    done.result = Some(RawValue::from_string("1".to_owned()).unwrap());
    service.hear(&mut record, &done, NOW).unwrap();
    let step = service.tasks(&record, NOW)[0].step;
    (service, record, step)
}

#[test]
fn what_is_of_another_saga_or_contradicts_changes_nothing() {
    let of = order();
    let (inventory, now) = (of.service("InventoryService"), Time(5));
    let mut record = Record::new(of.clone(), SAGA);
    let started = of.start(SAGA, "OrderService", "{\"total\":5,\"physical\":true}", now).unwrap();
    let other = SagaEvent { saga_id: SagaId(8), ..started.clone() };
    assert_eq!(inventory.hear(&mut record, &other, now).unwrap_err(), NotTaken::Foreign);
    let newer = SagaEvent { definition_hash: "0".repeat(64), ..started.clone() };
    assert_eq!(inventory.hear(&mut record, &newer, now).unwrap_err(), NotTaken::Foreign);
    inventory.hear(&mut record, &started, now).unwrap();
    let before = record.to_json();
    let mut foreign = of.cancel(SAGA, "PaymentService", Reason::new("X", "x"), now);
    foreign.said = amends_choreography::Word::Completed;
    foreign.step_name = Some("reserve_inventory".to_owned());
    // It knows itself that it has not done it.
    assert_eq!(inventory.hear(&mut record, &foreign, now).unwrap_err(), NotTaken::Contradicts);
    foreign.step_name = Some("no_such_step".to_owned());
    assert_eq!(inventory.hear(&mut record, &foreign, now).unwrap_err(), NotTaken::NoStep);
    assert_eq!(record.to_json(), before);
}

#[test]
fn data_that_is_no_object_starts_nothing() {
    let of = order();
    for data in ["", "5", "[]", "{", "null", "\"x\""] {
        assert!(of.start(SAGA, "OrderService", data, Time(5)).is_err(), "{data}");
    }
    // Every event carries it along.
    let large = format!("{{\"total\":5,\"physical\":true,\"x\":\"{}\"}}", "x".repeat(256 * 1024));
    let why = of.start(SAGA, "OrderService", &large, Time(5)).unwrap_err();
    assert!(why[0].contains("may have 262144"), "{why:?}");
}

#[test]
fn a_service_asks_as_a_coordinator_would() {
    let of = order();
    let (payment, now) = (of.service("PaymentService"), Time(5));
    let mut record = Record::new(of.clone(), SAGA);
    let started = of.start(SAGA, "OrderService", "{\"total\":5,\"physical\":true}", now).unwrap();
    let mut inventory = Record::new(of.clone(), SAGA);
    let warehouse = of.service("InventoryService");
    warehouse.hear(&mut inventory, &started, now).unwrap();
    let step = warehouse.tasks(&inventory, now)[0].step;
    let result = RawValue::from_string("{\"ref\":\"R-1\"}".to_owned()).unwrap();
    let moment = moment(now);
    let done = Answered::Completed(result);
    let said = warehouse.answered(&mut inventory, step, done, moment).unwrap();
    payment.hear(&mut record, &said[0], now).unwrap();
    assert_eq!(payment.tasks(&record, now), [], "it has not heard of the start");
    payment.hear(&mut record, &started, now).unwrap();
    let task = payment.tasks(&record, now)[0];
    let Prepared::Ask(body) = payment.prepare(&mut record, task.step, task.direction).unwrap()
    else {
        panic!("it is skipped");
    };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["command"], "PaymentService.ChargeCard");
    assert_eq!(body["data"], serde_json::json!({"amount": 5, "reservation": "R-1"}));
    assert_eq!(
        body["idempotency_key"],
        "00000000-0000-0000-0000-000000000007/charge_payment/action"
    );
}

/// A retriable step decides; its attempt at another process has begun when the failure is heard.
#[test]
fn an_arbiter_that_had_begun_and_is_refused_after_a_failure_is_barred() {
    let of = two("retriable");
    for is_refused in [true, false] {
        let (service, mut record, step) = second(&of);
        let task = service.tasks(&record, NOW)[0];
        service.begin(&mut record, task, NOW).unwrap();
        let cancelled = of.cancel(SAGA, "A", no(), NOW);
        assert!(service.hear(&mut record, &cancelled, NOW).unwrap().is_empty());
        let said = if is_refused {
            service.answered(&mut record, step, Answered::Refused(no()), moment(NOW)).unwrap()
        } else {
            service.tried(&mut record, step, InVain::of(no()), moment(NOW)).unwrap()
        };
        assert_eq!(names(&said), ["PNeverRan"]);
        assert!(service.tasks(&record, Time(1 << 40)).is_empty());
    }
}

/// Two copies of a service must not both ask another process.
#[test]
fn what_has_begun_is_left_to_whoever_began_it_until_its_answer_must_be_there() {
    let (service, mut record, step) = second(&two("pivot"));
    let task = service.tasks(&record, NOW)[0];
    service.begin(&mut record, task, NOW).unwrap();
    assert_eq!(service.begin(&mut record, task, NOW), Err(NotTaken::NotOwed));
    let by = NOW + Millis::secs(1) + LEFT_FOR;
    assert_eq!(service.tasks(&record, Time(by.0 - 1)), []);
    // Its own deadline comes before that.
    assert_eq!(service.wakes_at(&record, NOW), Some(NOW + Millis::secs(2)));
    // Whoever began it has died, so it begins once more.
    service.begin(&mut record, task, by).unwrap();
    let said = service.tried(&mut record, step, InVain::of(no()), moment(by)).unwrap();
    assert_eq!(names(&said), [""; 0], "what became of the first one is not known");
}

#[test]
fn an_attempt_that_asked_nobody_is_none_of_the_attempts() {
    let (service, mut record, step) = second(&two("pivot"));
    let unasked = || InVain { asked: false, ..InVain::of(no()) };
    let mut at = NOW;
    for in_vain in [unasked(), InVain::of(no()), unasked(), unasked()] {
        assert!(service.tried(&mut record, step, in_vain, moment(at)).unwrap().is_empty());
        assert_eq!(service.tasks(&record, at), [], "it rests");
        at = at + Millis(200);
        let read = Record::from_json(SAGA, &record.to_json(), |_| Some(two("pivot"))).unwrap();
        assert_eq!(read.to_json(), record.to_json());
        record = read;
    }
    let said = service.tried(&mut record, step, InVain::of(no()), moment(at)).unwrap();
    assert_eq!(names(&said), ["SagaFailed", "PNeverRan"], "two attempts");
    assert_eq!(record.failure().unwrap().1.code, "NO");
}

/// But its deadline ends it.
#[test]
fn what_is_never_asked_ends_by_its_deadline() {
    let (service, mut record, step) = second(&two("pivot"));
    let unasked = || InVain { asked: false, ..InVain::of(no()) };
    let at = NOW + Millis::secs(2);
    assert!(service.tried(&mut record, step, unasked(), moment(NOW)).unwrap().is_empty());
    let (late, said) = service.late(&mut record, moment(at));
    assert_eq!(
        (late, names(&said)),
        (vec![step], vec!["SagaFailed".to_owned(), "PNeverRan".to_owned()])
    );
}

/// It may be done: a failure that is heard meanwhile, or its deadline, does not bar it.
#[test]
fn what_may_be_done_is_not_barred_before_that_is_known() {
    let of = two("pivot");
    let doubt = || InVain { is_known: false, ..InVain::of(no()) };
    let at = NOW + Millis::secs(2);
    for is_done in [true, false] {
        let (service, mut record, step) = second(&of);
        assert!(service.tried(&mut record, step, doubt(), moment(NOW)).unwrap().is_empty());
        let (_, said) = service.late(&mut record, moment(at));
        assert!(!names(&said).contains(&"PNeverRan".to_owned()), "{said:?}");
        let cancelled = of.cancel(SAGA, "A", no(), at);
        assert!(service.hear(&mut record, &cancelled, at).unwrap().is_empty());
        assert_eq!(service.tasks(&record, at).len(), 1, "it is asked what became of it");
        let (answer, state) = if is_done {
            let result = RawValue::from_string("1".to_owned()).unwrap();
            (Answered::Completed(result), State::Completed)
        } else {
            (Answered::Refused(no()), State::Compensating)
        };
        service.answered(&mut record, step, answer, moment(at)).unwrap();
        assert_eq!(record.state(), state);
    }
}

/// A service that was away has much to read before it may say that others are late.
#[test]
fn others_are_late_by_what_was_heard_of_them() {
    let of = two("pivot");
    let (service, mut record) = (of.service("P"), Record::new(of.clone(), SAGA));
    let started = of.start(SAGA, "A", "{}", NOW).unwrap();
    service.hear(&mut record, &started, NOW).unwrap();
    let by = NOW + Millis::secs(1) + GRACE;
    assert_eq!(service.wakes_at(&record, NOW), Some(by));
    let long_after = Time(by.0 + 3_600_000);
    let unread = Moment { at: long_after, heard: Time(by.0 - 1), jitter: 0 };
    let advance = service.advance(&mut record, unread);
    assert!(advance.late.is_empty() && advance.events.is_empty());
    let again = service.wakes_at(&record, long_after);
    assert_eq!(again, Some(long_after + Millis::secs(5)), "it is looked at again, now and then");
    let read = Moment { heard: by, ..unread };
    let advance = service.advance(&mut record, read);
    assert_eq!(advance.late.len(), 1);
    assert_eq!(record.state(), State::Compensating);
}
