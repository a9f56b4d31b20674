//! Command bodies against golden files, and their keys.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const ID: SagaId = SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab);

fn action(data: &'static str) -> CommandBody<'static> {
    CommandBody {
        saga_id: ID,
        saga_type: "OrderFulfillment",
        step_name: "reserve_inventory",
        command: "InventoryService.ReserveItems",
        round: 1,
        data: data.as_bytes(),
        flat: true,
        undo: None,
    }
}

fn undo(data: &'static str, undo: Undo<'static>) -> CommandBody<'static> {
    CommandBody { undo: Some(undo), command: "InventoryService.ReleaseReservation", ..action(data) }
}

const KNOWN: Undo<'static> = Undo {
    action_round: 1,
    outcome: ActionOutcome::Completed,
    original_result: Some(br#"{"reservation_id":"r-1","weight":1.10}"#),
};
const UNKNOWN: Undo<'static> =
    Undo { action_round: 1, outcome: ActionOutcome::Unknown, original_result: None };

const ORDER: &str =
    r#"{"order_id":"o-1","total":12.50,"big":12345678901234567890,"items":[{"sku":"a","n":2}]}"#;

/// The stored bytes of a body must never change: a saga in flight is sent again after an upgrade.
fn golden(body: &CommandBody<'_>, stored: &str) {
    let rendered = body.render().unwrap();
    assert_eq!(std::str::from_utf8(&rendered).unwrap(), stored.trim_end());
}

#[test]
fn an_action_is_byte_exact() {
    golden(&action(ORDER), include_str!("../../golden/action.json"));
}

#[test]
fn an_action_that_is_not_flat_is_byte_exact() {
    golden(
        &CommandBody { flat: false, ..action(ORDER) },
        include_str!("../../golden/action_not_flat.json"),
    );
}

#[test]
fn a_compensation_is_byte_exact() {
    golden(&undo(ORDER, KNOWN), include_str!("../../golden/compensation.json"));
}

#[test]
fn a_second_round_without_a_result_is_byte_exact() {
    golden(
        &CommandBody { round: 2, ..undo(ORDER, UNKNOWN) },
        include_str!("../../golden/compensation_round_2_unknown.json"),
    );
}

#[test]
fn a_run_of_a_for_each_step_is_byte_exact() {
    let run = CommandBody { step_name: "create_shipment.3", ..action("{\"parcel\":3}") };
    golden(&run, include_str!("../../golden/action_run.json"));
}

#[test]
fn our_names_win_on_a_clash_however_they_are_spelled() {
    let body =
        action(r#"{"saga_id":"forged","\u0073aga_type":"forged","outcome":"mine","data":1}"#);
    golden(&body, include_str!("../../golden/action_clash.json"));
    let top: Value = serde_json::from_slice(&body.render().unwrap()).unwrap();
    assert_eq!(top["saga_id"], ID.to_string());
    assert_eq!(top["saga_type"], "OrderFulfillment");
    assert_eq!(top["outcome"], "mine", "an action has no outcome of its own");
    assert_eq!(top["data"]["data"], 1);

    let data = r#"{"outcome":"forged","action_key":"forged","original_result":"forged"}"#;
    let top: Value = serde_json::from_slice(&undo(data, UNKNOWN).render().unwrap()).unwrap();
    assert_eq!(top["outcome"], "unknown");
    assert_eq!(top["action_key"], format!("{ID}/reserve_inventory/action"));
    assert_eq!(top["original_result"], Value::Null);
    assert_eq!(top["data"]["outcome"], "forged");
}

#[test]
fn data_that_is_no_object_stands_only_under_data() {
    for data in ["[1,2]", "null", "7", "\"s\""] {
        let top: Value = serde_json::from_slice(&action(data).render().unwrap()).unwrap();
        assert_eq!(top.as_object().unwrap().len(), NAMES.len());
        assert_eq!(top["data"], serde_json::from_str::<Value>(data).unwrap());
    }
}

#[test]
fn duplicate_keys_are_copied_and_break_nothing() {
    let text = String::from_utf8(action(r#"{"a":1,"a":2}"#).render().unwrap().to_vec()).unwrap();
    assert!(text.ends_with(r#","data":{"a":1,"a":2},"a":1,"a":2}"#), "{text}");
}

#[test]
fn data_that_is_not_json_is_refused_flat_or_not() {
    for flat in [true, false] {
        let body = CommandBody { flat, ..action(r#"{},"saga_id":"forged""#) };
        assert!(matches!(body.render(), Err(CommandBodyError::Data(_))));
    }
    let broken = Undo { original_result: Some(b"1,\"outcome\":2"), ..KNOWN };
    assert!(matches!(undo("{}", broken).render(), Err(CommandBodyError::OriginalResult(_))));
}

#[test]
fn a_key_reads_back_only_as_it_is_written() {
    let key = format!("{ID}/create_shipment.3/compensation/2");
    let id: CommandId = key.parse().unwrap();
    assert_eq!(
        id,
        CommandId {
            saga_id: ID,
            step_name: "create_shipment.3".to_owned(),
            direction: Direction::Compensation,
            round: 2
        }
    );
    assert_eq!(id.to_string(), key);
    for wrong in [
        "",
        "/s/action",
        &format!("{ID}"),
        &format!("{ID}/action"),
        &format!("{ID}//action"),
        &format!("{ID}/s/undo"),
        &format!("{ID}/s/action/1"),
        &format!("{ID}/s/action/02"),
        &format!("{ID}/s/action/+2"),
        &format!("{ID}/s/action/65536"),
        &format!("{ID}/s/action/2 "),
        &format!("{{{ID}}}/s/action"),
        &format!("é{ID}/s/action"),
    ] {
        assert_eq!(wrong.parse::<CommandId>(), Err(BadCommandId), "{wrong}");
    }
}

proptest! {
    #[test]
    fn every_key_reads_back(saga: u128, step in "[a-z/.0-9ü\"]{1,12}", undo: bool, round in 1u16..) {
        let direction = if undo { Direction::Compensation } else { Direction::Action };
        let id = CommandId { saga_id: SagaId(saga), step_name: step, direction, round };
        prop_assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
    }

    #[test]
    fn any_body_is_one_json_object_that_says_what_went_in(
        step in "\\PC{1,8}",
        saga_type in any::<String>(),
        fields in prop::collection::btree_map("[a-z_]{1,16}", any::<i64>(), 0..5),
        flat: bool,
    ) {
        let data = serde_json::to_vec(&fields).unwrap();
        let body = CommandBody {
            saga_type: &saga_type, step_name: &step, data: &data, flat, ..action("")
        };
        let rendered = body.render().unwrap();
        prop_assert_eq!(body.render().unwrap(), rendered.clone());
        let top: Value = serde_json::from_slice(&rendered).unwrap();
        prop_assert_eq!(&top["saga_type"], &Value::from(saga_type));
        let key = idempotency_key(ID, &step, Direction::Action, 1);
        prop_assert_eq!(&top["idempotency_key"], &Value::from(key));
        prop_assert_eq!(&top["data"], &serde_json::to_value(&fields).unwrap());
        for (name, value) in &fields {
            let shown = top.get(name);
            prop_assert_eq!(shown.is_some(), flat || NAMES.contains(&name.as_str()));
            if flat && !NAMES.contains(&name.as_str()) {
                prop_assert_eq!(shown, Some(&Value::from(*value)));
            }
        }
    }
}
