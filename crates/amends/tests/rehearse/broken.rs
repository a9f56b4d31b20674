//! The mutation test: each rule broken on purpose is found, alone, and told with what mends it.

use serde_json::Value;

use crate::participant::{Breaks, Fence};
use crate::{each, rehearse};

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
    each(&[Fence::Barrier, Fence::Settle], |&fence| {
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
    });
}

pub const EVERYWHERE: [&str; 14] = [
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
    "unknown_undo",
    "foreign_command",
];

#[test]
fn a_participant_with_a_barrier_that_keeps_every_rule_passes() {
    kept(Fence::Barrier, &[&EVERYWHERE[..], &["tombstone"]].concat());
}

#[test]
fn a_participant_that_settles_and_keeps_every_rule_passes() {
    kept(Fence::Settle, &[&EVERYWHERE[..], &["second_round"]].concat());
}

/// Only the faults that could be taken for this one: this participant is slow.
pub const ALIKE: [&str; 2] = ["--only", "second,at_once,crash_after,duplicate"];

#[test]
fn each_rule_that_is_broken_is_found_alone() {
    let cases = [
        (Fence::Barrier, Breaks::Answers, &[][..], "answers"),
        (Fence::Barrier, Breaks::Repeat, &[][..], "repeat"),
        (Fence::Barrier, Breaks::AtOnce, &ALIKE[..], "at_once"),
        (Fence::Barrier, Breaks::Refusal, &[][..], "refusal"),
        (Fence::Barrier, Breaks::Undo, &[][..], "undo"),
        (Fence::Barrier, Breaks::UndoByRefusing, &[][..], "undo"),
        (Fence::Barrier, Breaks::BlindUndo, &[][..], "blind_undo"),
        (Fence::Barrier, Breaks::UndoRepeat, &[][..], "undo_repeat"),
        (Fence::Barrier, Breaks::UndoAtOnce, &ALIKE[..], "undo_at_once"),
        (Fence::Barrier, Breaks::UndoFirst, &[][..], "undo_first"),
        (Fence::Barrier, Breaks::Tombstone, &[][..], "tombstone"),
        (Fence::Settle, Breaks::SecondRound, &[][..], "second_round"),
        (Fence::Barrier, Breaks::AfterUndo, &[][..], "after_undo"),
        (Fence::Barrier, Breaks::UnknownCommand, &[][..], "unknown_command"),
        (Fence::Barrier, Breaks::Garbage, &[][..], "garbage"),
    ];
    each(&cases, |&(fence, breaks, more, rule)| check(fence, breaks, more, rule));
}
