//! The mutation test: each rule broken on purpose is found, alone, and told with what mends it.

use serde_json::Value;

use crate::participant::{Breaks, Fence};
use crate::rehearse;

/// The rules found broken, by service.
pub fn broken(report: &Value) -> Vec<(String, String)> {
    let list = report["broken"].as_array().unwrap();
    list.iter()
        .map(|broken| {
            let text = |field: &str| broken[field].as_str().unwrap().to_owned();
            assert!(!text("fix").is_empty() && !text("in_production").is_empty());
            assert!(!broken["exchanges"].as_array().unwrap().is_empty(), "{broken}");
            (text("service"), text("rule"))
        })
        .collect()
}

#[track_caller]
fn check(fence: Fence, breaks: Breaks, more: &[&str], rule: &str) {
    let (code, report) = rehearse(fence, breaks, more);
    assert_eq!(broken(&report), [("Tried".to_owned(), rule.to_owned())], "{report:#}");
    assert_eq!(code, 1);
    assert_eq!(report["all_kept"], false);
}

#[track_caller]
fn kept(fence: Fence, tried: &[&str]) {
    let (code, report) = rehearse(fence, Breaks::Nothing, &[]);
    assert_eq!(broken(&report), [], "{report:#}");
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert_eq!(report["not_made"], serde_json::json!([]));
    assert_eq!(code, 0, "{report:#}");
    let second = &report["services"][1];
    assert_eq!(second["service"], "Tried");
    for rule in second["rules"].as_array().unwrap() {
        let name = rule["rule"].as_str().unwrap();
        let expected = if tried.contains(&name) { "kept" } else { "not_tried" };
        assert_eq!(rule["verdict"], expected, "{rule}");
    }
}

#[test]
fn an_undo_without_the_result_that_does_not_say_what_it_undid_is_no_proof_of_anything() {
    for fence in [Fence::Barrier, Fence::Settle] {
        let (code, report) = rehearse(fence, Breaks::Unsaid, &["--only", "second"]);
        assert_eq!((code, broken(&report)), (0, vec![]), "{report:#}");
        let rules = report["services"][1]["rules"].as_array().unwrap();
        let of = |name: &str| rules.iter().find(|rule| rule["rule"] == name).unwrap();
        assert_eq!(of("blind_undo")["verdict"], "not_tried");
        assert!(of("blind_undo")["why"].as_str().unwrap().contains("does not say `undone`"));
        // With the result an acknowledgement is all that the engine asks for.
        for acknowledged in ["undo", "undo_repeat", "undo_first"] {
            assert_eq!(of(acknowledged)["verdict"], "kept", "{report:#}");
        }
    }
}

pub const EVERYWHERE: [&str; 12] = [
    "answers",
    "repeat",
    "at_once",
    "refusal",
    "undo",
    "blind_undo",
    "undo_repeat",
    "undo_at_once",
    "undo_first",
    "after_undo",
    "unknown_command",
    "garbage",
];

#[test]
fn a_participant_with_a_barrier_that_keeps_every_rule_passes() {
    kept(Fence::Barrier, &[&EVERYWHERE[..], &["tombstone"]].concat());
}

#[test]
fn a_participant_that_settles_and_keeps_every_rule_passes() {
    kept(Fence::Settle, &[&EVERYWHERE[..], &["second_round"]].concat());
}

#[test]
fn an_answer_that_is_no_answer_is_found() {
    check(Fence::Barrier, Breaks::Answers, &[], "answers");
}

#[test]
fn a_second_effect_at_a_repeat_is_found() {
    check(Fence::Barrier, Breaks::Repeat, &[], "repeat");
}

/// Only the faults that could be taken for this one: this participant is slow.
pub const ALIKE: [&str; 2] = ["--only", "second,at_once,crash_after,duplicate"];

#[test]
fn a_second_effect_of_two_copies_at_once_is_found() {
    check(Fence::Barrier, Breaks::AtOnce, &ALIKE, "at_once");
}

#[test]
fn a_refusal_that_does_not_stay_is_found() {
    check(Fence::Barrier, Breaks::Refusal, &[], "refusal");
}

#[test]
fn an_undo_that_finds_nothing_of_what_it_did_is_found() {
    check(Fence::Barrier, Breaks::Undo, &[], "undo");
}

#[test]
fn an_undo_that_is_refused_is_found() {
    check(Fence::Barrier, Breaks::UndoByRefusing, &[], "undo");
}

#[test]
fn an_undo_that_needs_the_result_is_found() {
    check(Fence::Barrier, Breaks::BlindUndo, &[], "blind_undo");
}

#[test]
fn an_undo_that_answers_a_repeat_otherwise_is_found() {
    check(Fence::Barrier, Breaks::UndoRepeat, &[], "undo_repeat");
}

#[test]
fn an_undo_that_cannot_tell_two_copies_at_once_is_found() {
    check(Fence::Barrier, Breaks::UndoAtOnce, &ALIKE, "undo_at_once");
}

#[test]
fn an_undo_of_nothing_that_fails_is_found() {
    check(Fence::Barrier, Breaks::UndoFirst, &[], "undo_first");
}

#[test]
fn a_missing_tombstone_is_found() {
    check(Fence::Barrier, Breaks::Tombstone, &[], "tombstone");
}

#[test]
fn a_second_round_that_gets_the_answer_of_the_first_is_found() {
    check(Fence::Settle, Breaks::SecondRound, &[], "second_round");
}

#[test]
fn an_action_that_is_done_anew_after_its_undo_is_found() {
    check(Fence::Barrier, Breaks::AfterUndo, &[], "after_undo");
}

#[test]
fn a_success_for_an_unknown_command_is_found() {
    check(Fence::Barrier, Breaks::UnknownCommand, &[], "unknown_command");
}

#[test]
fn a_server_error_for_a_body_that_is_none_is_found() {
    check(Fence::Barrier, Breaks::Garbage, &[], "garbage");
}
