//! Services that answer later: each rule is tried as in the exchange, whatever callbacks do on their
//! way, and one that does not answer what it has accepted is found.

use serde_json::Value;

use crate::broken::{ALIKE, EVERYWHERE, broken};
use crate::manner::Manner;
use crate::participant::{Breaks, Fence, Participant};
use crate::{each, output, rehearse_in, written};

/// A service keeps every rule, of which these were tried.
#[track_caller]
fn kept(manner: Manner, fence: Fence, tried: &[&str]) {
    let (code, report) = rehearse_in(manner, fence, Breaks::Nothing, &[]);
    assert_eq!(broken(&report), [], "{report:#}");
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert_eq!(report["not_made"], serde_json::json!([]));
    assert_eq!(code, 0, "{report:#}");
    for rule in report["services"][1]["rules"].as_array().unwrap() {
        let name = rule["rule"].as_str().unwrap();
        let expected = if tried.contains(&name) { "kept" } else { "not_tried" };
        assert_eq!(rule["verdict"], expected, "{rule}");
    }
}

/// One rule is found broken, alone.
#[track_caller]
fn found(manner: Manner, fence: Fence, breaks: Breaks, more: &[&str], rule: &str) -> Value {
    let (code, report) = rehearse_in(manner, fence, breaks, more);
    assert_eq!(broken(&report), [("Tried".to_owned(), rule.to_owned())], "{report:#}");
    assert_eq!(code, 1);
    report["broken"][0].clone()
}

fn with_barrier() -> Vec<&'static str> {
    [&EVERYWHERE[..], &["accepted", "tombstone"]].concat()
}

#[test]
fn a_service_that_answers_all_by_callback_passes() {
    let settles = [&EVERYWHERE[..], &["accepted", "second_round"]].concat();
    let cases = [(Fence::Barrier, with_barrier()), (Fence::Settle, settles)];
    each(&cases, |(fence, tried)| kept(Manner::Callback, *fence, tried));
}

#[test]
fn a_service_that_answers_its_undos_alone_by_callback_passes() {
    kept(Manner::UndosByCallback, Fence::Barrier, &with_barrier());
}

#[test]
fn callbacks_that_come_twice_or_before_the_202_or_beside_the_answer_are_understood() {
    let cases = [
        (Manner::Twice, with_barrier()),
        (Manner::Early, with_barrier()),
        (Manner::Both, [&EVERYWHERE[..], &["tombstone"]].concat()),
    ];
    each(&cases, |(manner, tried)| kept(*manner, Fence::Barrier, tried));
}

#[test]
fn one_callback_for_two_copies_is_enough() {
    kept(Manner::Once, Fence::Barrier, &with_barrier());
}

#[test]
fn callbacks_come_to_the_address_that_was_said() {
    // Free a moment ago; the address is one that this machine alone has another name for.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (listen, url) = (free.to_string(), format!("http://localhost:{}/", free.port()));
    let more = ["--only", "second,duplicate", "--listen", &listen, "--reply-url", &url];
    let (code, report) = rehearse_in(Manner::Callback, Fence::Barrier, Breaks::Nothing, &more);
    assert_eq!(code, 0, "{report:#}");
    let rules = report["services"][1]["rules"].as_array().unwrap();
    let accepted = rules.iter().find(|rule| rule["rule"] == "accepted").unwrap();
    assert_eq!(accepted["verdict"], "kept", "{accepted}");
}

#[test]
fn other_machines_are_let_in_only_when_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let tried = Participant::start(Fence::Barrier, Breaks::Nothing);
    let far = ["--listen", "0.0.0.0:7", "--reply-url", "http://test-host:7"];
    let output = output(&written(folder.path(), Fence::Barrier), &tried, &far, "table");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("can be reached from other machines"), "{words}");
    assert!(words.contains("--tls-cert chain.pem --tls-key key.pem, or --insecure"), "{words}");
}

#[test]
fn a_slow_service_passes() {
    let more = ["--only", "second,time_out,late,again,refused"];
    let (code, report) = rehearse_in(Manner::Slow, Fence::Barrier, Breaks::Nothing, &more);
    assert_eq!((code, &report["unfinished"]), (0, &serde_json::json!([])), "{report:#}");
    assert_eq!(report["not_made"], serde_json::json!([]));
    let rules = report["services"][1]["rules"].as_array().unwrap();
    for tried in ["accepted", "refusal", "blind_undo", "undo_repeat", "tombstone", "after_undo"] {
        let rule = rules.iter().find(|rule| rule["rule"] == tried).unwrap();
        assert_eq!(rule["verdict"], "kept", "{rule}");
    }
}

/// What is not answered is waited for that long.
const SHORT: [&str; 2] = ["--patience", "2s"];

#[test]
fn a_service_that_never_calls_back_is_named_as_that() {
    let broken = found(Manner::Never, Fence::Barrier, Breaks::Nothing, &SHORT, "accepted");
    assert_eq!(broken["what"], "it says 202, and no callback came within 2 s");
    assert_eq!(broken["exchanges"][0]["answer"], "202");
    assert_eq!(broken["exchanges"][0]["callbacks"], serde_json::json!([]));
}

#[test]
fn a_service_that_accepts_a_repeat_and_does_not_answer_it_is_found() {
    let broken = found(Manner::Forgetful, Fence::Barrier, Breaks::Nothing, &SHORT, "accepted");
    let exchanges = broken["exchanges"].as_array().unwrap();
    let callbacks = exchanges.iter().map(|e| e["callbacks"].as_array().unwrap().len());
    assert_eq!(callbacks.collect::<Vec<_>>(), [1, 0], "the answer at first, and none again");
}

#[test]
fn a_callback_that_is_no_reply_is_shown_with_what_is_wrong() {
    let cases = [(Manner::Nameless, Breaks::Nothing), (Manner::Callback, Breaks::Answers)];
    each(&cases, |&(manner, breaks)| {
        let broken = found(manner, Fence::Barrier, breaks, &SHORT, "accepted");
        let what = broken["what"].as_str().unwrap();
        assert!(what.contains("its callback was refused: the reply's type is Done"), "{what}");
        let shown = broken["exchanges"][0]["callbacks"][0].as_str().unwrap();
        assert!(shown.starts_with("callback {\"type\":\"Done\""), "{shown}");
        let hidden = r#""address":"[secret]","by_token":"[secret]""#;
        assert!(shown.contains(hidden), "{shown}");
        assert!(shown.contains("(refused: the reply's type is Done"), "{shown}");
    });
}

#[test]
fn a_second_callback_that_says_another_thing_is_found() {
    let only = ["--only", "second,refuse_before"];
    let broken = found(Manner::TwoFaced, Fence::Barrier, Breaks::Nothing, &only, "repeat");
    let callbacks = broken["exchanges"][0]["callbacks"].as_array().unwrap();
    assert_eq!(callbacks.len(), 2, "{broken}");
    assert_eq!(broken["what"], "a callback says something else than its first answer");
}

#[test]
fn each_rule_that_is_broken_by_callback_is_found_alone() {
    let settled = (Fence::Settle, Breaks::SecondRound, "second_round");
    let cases: Vec<_> = [
        (Breaks::Repeat, "repeat"),
        (Breaks::Refusal, "refusal"),
        (Breaks::Undo, "undo"),
        (Breaks::UndoByRefusing, "undo"),
        (Breaks::BlindUndo, "blind_undo"),
        (Breaks::UndoRepeat, "undo_repeat"),
        (Breaks::UndoFirst, "undo_first"),
        (Breaks::Tombstone, "tombstone"),
        (Breaks::AfterUndo, "after_undo"),
        (Breaks::UnknownCommand, "unknown_command"),
        (Breaks::Garbage, "garbage"),
    ]
    .map(|(breaks, rule)| (Fence::Barrier, breaks, rule))
    .into_iter()
    .chain([settled])
    .collect();
    each(&cases, |&(fence, breaks, rule)| {
        found(Manner::Callback, fence, breaks, &[], rule);
    });
}

#[test]
fn two_copies_at_once_that_are_done_twice_are_found_by_their_callbacks() {
    let broken = found(Manner::Callback, Fence::Barrier, Breaks::AtOnce, &ALIKE, "at_once");
    let exchange = &broken["exchanges"][1];
    let shown = exchange["callbacks"][0].as_str().unwrap();
    assert!(shown.starts_with("callback {\"type\":\"SagaStepCompleted\""), "{shown}");
    found(Manner::Callback, Fence::Barrier, Breaks::UndoAtOnce, &ALIKE, "undo_at_once");
}
