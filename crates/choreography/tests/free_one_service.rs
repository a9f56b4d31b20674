//! One service's reactions: what is due by what was heard, what is said then, and what that carries.

use amends_choreography::free::{
    Answered, Carried, Data, Event, FreeChoreography, NotTaken, Outcome, Record, Service, Unfit,
};
use amends_choreography::{InVain, Moment, Reason, State, Unreadable};
use amends_core::Time;
use amends_definition::FreeChoreography as Builder;
use amends_wire::SagaId;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

const SAGA: SagaId = SagaId(7);

const FILE: &str = "
choreography: Order
starts_with: Created
ends_with: { done: Done, undone: Undone }
services:
  Stock: { fence: barrier }
  Card:  { fence: barrier }
  Mail:  { fence: barrier }
events:
  Created: [sku, total]
  Held:    [hold_id]
  Checked: [score]
  Refused: [reason]
  Told:    [letter]
reactions:
  - on: Created
    action: Stock.Hold
    compensation: Stock.Free
    then: Held
    on_failure: NotHeld
  - on: Created
    action: Card.Check
    compensation: none
    then: Checked
    on_failure: Refused
  - on: [Held, Checked]
    action: Mail.Tell
    kind: best_effort
    then: Told
  - on: Told
    action: Mail.Close
    kind: retriable
    then: Done
  - on: Refused
    undo: Stock.Hold
    then: Freed
  - on: { any_of: [Freed, Neither] }
    then: Undone
    by: Mail
  - on: NotHeld
    then: NothingHeld
    by: Card
  - on: [NothingHeld, Checked]
    then: Neither
    by: Card
";

fn order() -> FreeChoreography {
    FreeChoreography::read(FILE.as_bytes(), "order.yaml").unwrap()
}

fn now() -> Moment {
    Moment { at: Time(1_000), heard: Time(1_000), jitter: 1 << 31 }
}

fn json(value: &serde_json::Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

/// A service with what it knows.
struct One {
    service: Service,
    record: Record,
}

impl One {
    fn of(name: &str) -> Self {
        Self { service: order().service(name), record: Record::new("Order", SAGA) }
    }

    fn hears(&mut self, name: &str, data: &serde_json::Value) -> Result<(), NotTaken> {
        let data = Data::of(&data.to_string()).unwrap();
        let carried =
            Carried { data, completed_steps: vec!["Stock.Hold".into(), "nobody's".into()] };
        let event = Event {
            saga_id: SAGA,
            choreography: "Order".into(),
            name: name.into(),
            step: 1,
            carried,
            reason: None,
            by: "Test".into(),
            at: None,
            traceparent: None,
        };
        self.service.hear(&mut self.record, &event)
    }

    /// What is said by itself, and what is asked.
    fn advances(&mut self, at: u64) -> (Vec<Event>, Vec<String>) {
        let now = Moment { at: Time(at), ..now() };
        let advance = self.service.advance(&mut self.record, now);
        let ask = |(task, body): &(_, bytes::Bytes)| {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            let _: &amends_choreography::free::Task = task;
            format!("{} {}", body["command"].as_str().unwrap(), body["data"])
        };
        (advance.events, advance.asks.iter().map(ask).collect())
    }

    fn answers(&mut self, answered: Answered) -> Result<Vec<Event>, NotTaken> {
        let tasks = self.service.tasks(&self.record, Time(u64::MAX));
        self.service.answered(&mut self.record, tasks[0], answered, now())
    }
}

fn said(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event.name, event.carried.data.to_json())).collect()
}

#[test]
fn what_an_action_says_carries_what_came_and_what_its_event_adds() {
    let mut stock = One::of("Stock");
    stock.hears("Created", &json!({"sku": "A", "total": 1.50, "more": null})).unwrap();
    let (events, asks) = stock.advances(0);
    assert!(events.is_empty());
    assert_eq!(asks, [r#"Stock.Hold {"more":null,"sku":"A","total":1.5}"#]);
    let result = json!({"hold_id": "H-1", "shelf": 4});
    let events = stock.answers(Answered::Completed(json(&result))).unwrap();
    assert_eq!(said(&events), [r#"Held {"hold_id":"H-1","more":null,"sku":"A","total":1.5}"#]);
    assert_eq!(
        events[0].carried.completed_steps,
        ["Stock.Hold"],
        "what is no action here is left out"
    );
    assert_eq!((events[0].step, &*events[0].by), (1, "Stock"));
    assert_eq!(stock.advances(0).1, [""; 0], "once a run");
}

#[test]
fn a_result_without_a_field_that_is_promised_says_nothing() {
    let mut stock = One::of("Stock");
    stock.hears("Created", &json!({"sku": "A"})).unwrap();
    let before = stock.record.to_json();
    let error = stock.answers(Answered::Completed(json(&json!({"shelf": 4})))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the result of `Stock.Hold` has no `hold_id`, which `Held` adds")
    );
    let large = json!({ "hold_id": "x".repeat(amends_definition::INPUT_BYTES_MAX) });
    let error = stock.answers(Answered::Completed(json(&large))).unwrap_err();
    assert_eq!(error, NotTaken::TooLarge("Held".into()));
    assert_eq!(stock.record.to_json(), before);
}

#[test]
fn a_failure_says_why() {
    let mut card = One::of("Card");
    card.hears("Created", &json!({"total": 5})).unwrap();
    let events = card.answers(Answered::Refused(Reason::new("POOR", "no money"))).unwrap();
    let expected = r#"Refused {"reason":{"code":"POOR","message":"no money"},"total":5}"#;
    assert_eq!(said(&events), [expected]);
    assert_eq!(events[0].reason.as_ref().unwrap().code, "POOR");
}

#[test]
fn an_undo_that_comes_first_bars_its_action_and_says_its_word() {
    let mut stock = One::of("Stock");
    stock.hears("Refused", &json!({"reason": 1})).unwrap();
    assert_eq!(stock.advances(0).1, [r#"Stock.Free {"reason":1}"#]);
    // The action's own event, before the undo's handler was asked.
    stock.hears("Created", &json!({"sku": "A"})).unwrap();
    assert_eq!(stock.advances(0).1, [r#"Stock.Free {"reason":1}"#], "the undo alone");
    let events = stock.answers(Answered::Undone { anything: false }).unwrap();
    assert_eq!(said(&events), [r#"Freed {"reason":1}"#]);
    assert!(stock.advances(0).0.is_empty());
    let went: Vec<_> = stock.record.reactions().collect();
    assert_eq!(
        went,
        [("Stock.Hold", Outcome::Barred), ("undo Stock.Hold on Refused", Outcome::NothingToUndo)]
    );
    assert_eq!(stock.service.wakes_at(&stock.record, Time(0)), None);
}

#[test]
fn an_undo_of_what_is_done_or_has_failed_says_its_word() {
    for (answered, anything) in [
        (Answered::Completed(json(&json!({"hold_id": 1}))), true),
        (Answered::Refused(Reason::new("NO", "none left")), false),
    ] {
        let mut stock = One::of("Stock");
        stock.hears("Created", &json!({})).unwrap();
        stock.answers(answered).unwrap();
        stock.hears("Refused", &json!({})).unwrap();
        let advance = stock.service.advance(&mut stock.record, now());
        let body: serde_json::Value = serde_json::from_slice(&advance.asks[0].1).unwrap();
        let expected = if anything { json!({"hold_id": 1}) } else { json!(null) };
        assert_eq!(body["original_result"], expected);
        assert_eq!(body["outcome"], if anything { "completed" } else { "unknown" });
        let events = stock.answers(Answered::Undone { anything }).unwrap();
        assert_eq!(events[0].name, "Freed");
        assert!(events[0].carried.completed_steps.is_empty(), "it is done no more");
        assert_eq!(stock.service.state(&stock.record), State::Compensating);
    }
}

#[test]
fn a_join_waits_for_both_and_has_what_both_carry() {
    let mut mail = One::of("Mail");
    mail.hears("Checked", &json!({"sku": "A", "score": 7})).unwrap();
    assert_eq!(mail.advances(0).1, [""; 0]);
    mail.hears("Held", &json!({"sku": "A", "hold_id": 3})).unwrap();
    // Twice, with other words: what came first counts.
    mail.hears("Held", &json!({"hold_id": 4})).unwrap();
    let heard: Vec<_> = mail.record.heard().collect();
    assert_eq!(heard, ["Checked", "Held"]);
    assert_eq!(mail.advances(0).1, [r#"Mail.Tell {"hold_id":3,"score":7,"sku":"A"}"#]);
}

#[test]
fn the_first_of_several_is_enough_and_the_other_changes_nothing() {
    let mut mail = One::of("Mail");
    mail.hears("Neither", &json!({"way": 1})).unwrap();
    assert_eq!(said(&mail.advances(0).0), [r#"Undone {"way":1}"#]);
    mail.hears("Freed", &json!({"way": 2})).unwrap();
    assert!(mail.advances(0).0.is_empty());
}

#[test]
fn a_best_effort_is_gone_on_without() {
    let mut mail = One::of("Mail");
    mail.hears("Checked", &json!({})).unwrap();
    mail.hears("Held", &json!({})).unwrap();
    let events = mail.answers(Answered::Refused(Reason::new("NO", "no address"))).unwrap();
    assert_eq!(said(&events), [r#"Told {"letter":null}"#]);
    assert!(events[0].reason.is_some());
}

#[test]
fn what_must_be_done_is_asked_anew_however_often_it_is_refused() {
    let mut mail = One::of("Mail");
    mail.hears("Told", &json!({})).unwrap();
    let mut at = Time(0);
    for round in 1..=100 {
        let task = mail.service.tasks(&mail.record, at)[0];
        assert_eq!((task.round, task.attempt), (round, u32::from(round)));
        let refused = Answered::Refused(Reason::new("NO", "not yet"));
        let moment = Moment { at, ..now() };
        let events = mail.service.answered(&mut mail.record, task, refused, moment).unwrap();
        assert!(events.is_empty());
        assert!(mail.service.tasks(&mail.record, at).is_empty(), "it rests");
        at = mail.service.wakes_at(&mail.record, at).unwrap();
    }
    let events = mail.answers(Answered::Completed(json(&json!(null)))).unwrap();
    assert_eq!(events[0].name, "Done");
}

#[test]
fn attempts_that_come_to_nothing_are_used_up_when_that_is_known() {
    let in_vain =
        |is_known, asked| InVain { is_known, asked, ..InVain::of(Reason::new("AWAY", "")) };
    let tries = |of: &[InVain]| {
        let mut card = One::of("Card");
        card.service = card.service.with_attempts_max(2);
        card.hears("Created", &json!({})).unwrap();
        let mut names = Vec::new();
        for in_vain in of {
            let task = card.service.tasks(&card.record, Time(u64::MAX))[0];
            let events = card.service.tried(&mut card.record, task, in_vain.clone(), now());
            names.extend(events.into_iter().map(|event| event.name));
        }
        names
    };
    assert_eq!(tries(&[in_vain(true, true)]), [""; 0]);
    assert_eq!(tries(&[in_vain(true, true), in_vain(true, true)]), ["Refused"]);
    // A database that is away, and an outcome that is not known.
    assert_eq!(tries(&[in_vain(true, true), in_vain(true, false)]), [""; 0]);
    assert_eq!(tries(&[in_vain(true, true), in_vain(false, true), in_vain(true, false)]), [""; 0]);
    assert_eq!(
        tries(&[in_vain(false, true), in_vain(true, true)]),
        ["Refused"],
        "the guard knew none"
    );
}

#[test]
fn a_run_has_ended_when_that_was_heard_and_nothing_is_left_to_do() {
    let mut stock = One::of("Stock");
    stock.hears("Created", &json!({})).unwrap();
    stock.hears("Done", &json!({})).unwrap();
    assert_eq!(stock.service.state(&stock.record), State::Running);
    stock.answers(Answered::Completed(json(&json!({"hold_id": 1})))).unwrap();
    assert_eq!(stock.service.state(&stock.record), State::Completed);
    let text = stock.record.to_json();
    assert!(!text.contains("carried"), "nothing waits for what was carried: {text}");
}

#[test]
fn a_reaction_that_is_new_takes_place_in_runs_that_have_not_come_to_it() {
    let mut stock = One::of("Stock");
    stock.hears("Created", &json!({"sku": "A"})).unwrap();
    stock.answers(Answered::Completed(json(&json!({"hold_id": 1})))).unwrap();
    let more =
        "  - on: Created\n    action: Stock.Count\n    kind: best_effort\n    then: Counted\n";
    let file = FreeChoreography::read(format!("{FILE}{more}").as_bytes(), "order.yaml").unwrap();
    stock.service = file.service("Stock");
    assert_eq!(stock.advances(0).1, [""; 0], "what the event carried is gone");
    stock.record = Record::new("Order", SAGA);
    stock.hears("Created", &json!({"sku": "A"})).unwrap();
    assert_eq!(stock.advances(0).1.len(), 2);
}

#[test]
fn what_is_of_something_else_is_not_taken_in() {
    let mut stock = One::of("Stock");
    assert_eq!(stock.hears("Helf", &json!({})), Err(NotTaken::NoEvent("Helf".into())));
    assert_eq!(stock.hears("Told", &json!({})), Ok(()), "it is none of its business");
    assert_eq!(stock.record.heard().count(), 0);
    assert_eq!(stock.service.is_of_interest("Told"), Some(false));
    assert_eq!(stock.service.is_of_interest("Undone"), Some(true));
    assert_eq!(order().service("Shop").is_of_interest("Undone"), Some(false));
    let mut event = stock.service.start(SAGA, r#"{"sku":1,"total":2}"#, Time(1)).unwrap();
    event.saga_id = SagaId(8);
    assert_eq!(stock.service.hear(&mut stock.record, &event), Err(NotTaken::Foreign));
}

#[test]
fn a_start_has_the_fields_that_its_event_lists() {
    let service = order().service("Stock");
    let wrong = service.start(SAGA, r#"{"sku":1,"note":2}"#, Time(1)).unwrap_err();
    assert_eq!(
        wrong,
        [
            "it has no `total`, which `Created` carries",
            "`Created` carries no `note`: list it in `events`"
        ]
    );
    assert_eq!(service.start(SAGA, "[1]", Time(1)).unwrap_err(), ["it is no JSON object"]);
}

#[test]
fn what_services_cannot_run_is_said() {
    let read = |text: &str| FreeChoreography::read(text.as_bytes(), "order.yaml").unwrap_err();
    let changed = |from: &str, to: &str| {
        let text = FILE.replacen(from, to, 1);
        assert_ne!(text, FILE);
        read(&text)
    };
    assert_eq!(
        changed("    then: Undone\n    by: Mail\n", "    then: Undone\n"),
        Unfit::NobodySays("Undone".into())
    );
    let not_filled =
        |event: &str, field: &str| Unfit::NotFilled { event: event.into(), field: field.into() };
    assert_eq!(changed("  Told:", "  Freed: [at]\n  Told:"), not_filled("Freed", "at"));
    assert_eq!(
        changed("  Refused: [reason]", "  Refused: [reason, why]"),
        not_filled("Refused", "why")
    );
    let elsewhere =
        Unfit::UndoneElsewhere { action: "Stock.Hold".into(), compensation: "Mail.Free".into() };
    assert_eq!(changed("Stock.Free", "Mail.Free"), elsewhere);
    let long = format!("Stock.{}", "H".repeat(60));
    assert!(
        FreeChoreography::read(FILE.replace("Stock.Hold", &long).as_bytes(), "order.yaml").is_ok()
    );
    let error = changed("    on_failure: NotHeld\n", "");
    assert!(matches!(&error, Unfit::Errors(why) if why.contains("A145")), "{error}");
    assert_eq!(read("saga: Order\nsteps: []\n"), Unfit::Saga);
}

#[test]
fn one_that_is_written_in_rust_runs_as_well() {
    let reactions = Builder::named("Ping")
        .starts_with("Asked")
        .ends_with("Told", "NotTold")
        .on("Asked", |r| r.action("Echo.Tell").then("Told").on_failure("NotTold"))
        .build()
        .unwrap();
    let of = FreeChoreography::new(&reactions).unwrap();
    assert_eq!((of.name(), of.starts_with(), of.services()), ("Ping", "Asked", vec!["Echo"]));
    assert_eq!(of.service("Echo").commands(), [("Tell", None)]);
}

struct Headers(Option<&'static str>);

impl amends_wire::Headers for Headers {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.filter(|_| name == "amends-choreography")
    }
}

#[test]
fn an_event_is_read_or_it_is_said_why_not() {
    let read = |marked: bool, text: &str| {
        let headers = Headers(marked.then_some("Order"));
        Event::read(&headers, &bytes::Bytes::copy_from_slice(text.as_bytes()))
    };
    // No more has to be said by whoever has no kit.
    let id = SAGA.to_string();
    let least = json!({"type": "Held", "choreography": "Order", "context": {"saga_id": id, "data": {"a": 1}}});
    let event = read(false, &least.to_string()).unwrap();
    assert_eq!((&*event.name, event.carried.data.to_json()), ("Held", r#"{"a":1}"#.to_owned()));
    for (marked, text, what) in [
        (false, "{".to_owned(), None),
        (false, r#"{"choreography":"Order"}"#.to_owned(), None),
        (true, "{".to_owned(), Some("no JSON")),
        (true, r#"{"choreography":"Order"}"#.to_owned(), Some("missing field `type`")),
        (true, least.to_string().replace(&id, "7"), Some("no UUID")),
        (true, least.to_string().replace(r#"{"a":1}"#, "5"), Some("another type")),
        (true, least.to_string().replacen('{', r#"{"at":"noon","#, 1), Some("RFC 3339")),
        (true, least.to_string().replacen('{', r#"{"saga_id":"x","#, 1), Some("another saga")),
    ] {
        match (read(marked, &text).unwrap_err(), what) {
            (Unreadable::NotOurs, None) => {}
            (Unreadable::Damaged(why), Some(what)) => assert!(why.contains(what), "{why}"),
            (why, _) => panic!("{text}: {why}"),
        }
    }
    let newer = least.to_string().replacen('{', r#"{"format":2,"#, 1);
    assert_eq!(read(false, &newer).unwrap_err(), Unreadable::Newer(2));
}

#[test]
fn a_record_that_is_damaged_or_of_a_later_version_is_not_read() {
    let text = Record::new("Order", SAGA).to_json();
    assert!(Record::from_json(SAGA, &text).is_ok());
    assert!(Record::from_json(SAGA, &text.replace(":1", ":2")).is_err());
    assert!(Record::from_json(SAGA, "{").is_err());
}
