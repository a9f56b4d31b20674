//! What is a command and what is not, and what is said of the latter.

use super::*;
use amends_wire::{ActionOutcome, CommandBody, Undo as WireUndo};
use serde_json::{Value, json};

const SAGA: SagaId = SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab);

fn body(undo: bool, round: u16) -> Bytes {
    let undo = undo.then_some(WireUndo {
        action_round: 1,
        outcome: ActionOutcome::Completed,
        original_result: Some(b"{\"id\":7}"),
    });
    let body = CommandBody {
        saga_id: SAGA,
        saga_type: "Order",
        step_name: "reserve.0",
        command: "InventoryService.ReserveItems",
        round,
        data: b"{\"sku\":\"kettle\",\"saga_id\":\"mine\"}",
        flat: true,
        undo,
    };
    body.render().unwrap()
}

fn read(body: &Bytes) -> Result<Command, Breach> {
    Command::read("InventoryService", Some("ReserveItems"), &(), body)
}

/// The code that is said of a good body with one thing changed.
fn code_of(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> &'static str {
    let mut whole: Value = serde_json::from_slice(&body(true, 1)).unwrap();
    change(whole.as_object_mut().unwrap());
    read(&whole.to_string().into()).unwrap_err().code()
}

#[test]
fn what_the_engine_renders_is_read_back() {
    let command = read(&body(false, 1)).unwrap();
    assert_eq!(command.saga_id, SAGA.to_string());
    assert_eq!((command.id.step_name.as_str(), command.id.round), ("reserve.0", 1));
    assert_eq!((command.name.as_str(), command.saga_type.as_str()), ("ReserveItems", "Order"));
    assert_eq!(&command.data[..], b"{\"sku\":\"kettle\",\"saga_id\":\"mine\"}");
    assert!(command.undo.is_none());
    let undo = read(&body(true, 3)).unwrap();
    assert_eq!((undo.direction(), undo.id.round), (Direction::Compensation, 3));
    let said = undo.undo.unwrap();
    assert!(said.completed);
    assert_eq!(&said.original_result[..], b"{\"id\":7}");
}

#[test]
fn facts_of_the_sending_come_in_headers_or_attributes() {
    let http = [
        ("amends-attempt", "4"),
        ("amends-deadline", "2026-11-27T08:00:00.500Z"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let by_http = Command::read("InventoryService", None, &http[..], &body(false, 1)).unwrap();
    let id = format!("{SAGA}/reserve.0/action:4");
    let message = [("id", id.as_str()), ("expirytime", http[1].1), http[2]];
    let by_broker = Command::read("InventoryService", None, &message[..], &body(false, 1)).unwrap();
    assert_eq!(by_http.sending, by_broker.sending);
    assert_eq!(by_http.sending.attempt, 4);
    assert!(by_http.sending.deadline.is_some());
    let unreadable = [("amends-attempt", "many"), ("amends-deadline", "soon")];
    let command = Command::read("InventoryService", None, &unreadable[..], &body(false, 1));
    assert_eq!(command.unwrap().sending, Sending::default());
}

#[test]
fn what_is_no_command_is_told_by_its_code() {
    for text in ["", "{", "[]", "7", "{\"a\":1}x"] {
        assert_eq!(read(&Bytes::from(text)).unwrap_err().code(), "NOT_JSON", "{text}");
    }
    for field in [
        "saga_id",
        "saga_type",
        "step_name",
        "direction",
        "command",
        "idempotency_key",
        "data",
        "outcome",
        "original_result",
    ] {
        assert_eq!(code_of(|body| drop(body.remove(field))), "MISSING_FIELD", "{field}");
    }
    for (field, value) in [
        ("saga_id", json!("s-1")),
        ("saga_id", json!(7)),
        ("step_name", json!("")),
        ("step_name", json!("x".repeat(STEP_CHARS_MAX + 1))),
        ("step_name", json!("reserve.0 ")),
        ("step_name", json!("reserve\u{0}0")),
        ("direction", json!("undo")),
        ("command", json!("ReserveItems")),
        ("outcome", json!("perhaps")),
        ("outcome", Value::Null),
    ] {
        assert_eq!(
            code_of(|body| drop(body.insert(field.to_owned(), value.clone()))),
            "BAD_FIELD",
            "{field} {value}"
        );
    }
    let insert = |field: &'static str, value: &'static str| {
        code_of(move |body| drop(body.insert(field.to_owned(), json!(value))))
    };
    assert_eq!(insert("command", "PaymentService.ReserveItems"), "FOREIGN_COMMAND");
    assert_eq!(insert("command", "InventoryService.Other"), "WRONG_PATH");
    assert_eq!(insert("step_name", "other"), "BAD_KEY");
    assert_eq!(insert("direction", "action"), "BAD_KEY");
    assert_eq!(insert("idempotency_key", "k"), "BAD_KEY");
}

#[test]
fn a_field_that_is_said_twice_is_two_commands() {
    let twice = body(false, 1);
    let twice = [&b"{\"step_name\":\"other\","[..], &twice[1..]].concat();
    assert_eq!(read(&twice.into()).unwrap_err().code(), "BAD_FIELD");
}

#[test]
fn no_name_of_a_sender_begins_a_line_or_fills_a_log() {
    let evil = "Evil\r\nWARN forged\u{1b}[2J";
    for name in [format!("{evil}.Act"), format!("LedgerService.{evil}"), evil.to_owned()] {
        let mut fields: Value = serde_json::from_slice(&body(false, 1)).unwrap();
        fields["command"] = name.into();
        let text = fields.to_string().into();
        let breach = Command::read("LedgerService", Some("Act"), &(), &text).unwrap_err();
        assert!(!breach.to_string().contains(char::is_control), "{breach}");
    }
    let mut fields: Value = serde_json::from_slice(&body(false, 1)).unwrap();
    fields["command"] = format!("{}.Act", "x".repeat(100_000)).into();
    let breach = read(&fields.to_string().into()).unwrap_err();
    assert_eq!(breach.code(), "BAD_FIELD");
    assert!(breach.to_string().len() < 200);
}

#[test]
fn nothing_of_a_body_is_shown() {
    let shown = format!("{:?}", read(&body(true, 1)).unwrap());
    assert!(!shown.contains("kettle"), "{shown}");
}
