//! A participant whose process ends: that is said with what it was asked, and what was found by then is
//! kept.

use serde_json::Value;

use crate::broken::broken;
use crate::participant::{Breaks, Fence, Participant};
use crate::{output, rehearse, written};

/// The only one that stopped.
fn stopped(report: &Value) -> &Value {
    let [stopped] = &report["stopped"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(stopped["service"], "Tried");
    assert!(stopped["why"].as_str().unwrap().contains("refused"), "{stopped:#}");
    stopped
}

#[test]
fn a_service_that_stops_at_a_repeat_is_told_with_the_repeat() {
    let (code, report) =
        rehearse(Fence::Barrier, Breaks::StopsAtRepeat, &["--only", "second,crash_after"]);
    assert_eq!(code, 1, "{report:#}");
    let stopped = stopped(&report);
    // The undo of another scenario may have been at work at the same time.
    let left = stopped["unanswered"].as_array().unwrap();
    let repeat = left.iter().find(|left| left["scenario"] == "second: crash_after").unwrap();
    let exchange = &repeat["exchange"];
    assert!(
        exchange["idempotency_key"].as_str().unwrap().ends_with("/second/action"),
        "{repeat:#}"
    );
    assert!(exchange["answer"].as_str().unwrap().contains("broke off"), "{repeat:#}");
}

#[test]
fn what_was_found_before_a_service_stopped_is_kept_and_nothing_is_blamed_on_what_never_arrived() {
    let (code, report) = rehearse(Fence::Barrier, Breaks::StopsAtRepeat, &[]);
    assert_eq!((code, &report["all_kept"]), (1, &Value::Bool(false)), "{report:#}");
    let unknown = ("Tried".to_owned(), "unknown_command".to_owned());
    assert_eq!(broken(&report), [unknown], "{report:#}");
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert!(!stopped(&report)["unanswered"].as_array().unwrap().is_empty(), "{report:#}");
    let not_played = report["not_played"].as_u64().unwrap();
    assert!(not_played > 0, "{report:#}");
    let rules = report["services"][0]["rules"].as_array().unwrap();
    let of_honest = |name: &str| rules.iter().find(|rule| rule["rule"] == name).unwrap();
    assert_eq!(of_honest("answers")["verdict"], "kept");
    let why = "a service stopped answering before this was tried";
    assert!(rules.iter().all(|rule| rule["verdict"] != "broken"), "{report:#}");
    let rules = report["services"][1]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["why"] == why), "{report:#}");
}

#[test]
fn a_service_that_stops_at_its_first_command_was_there() {
    let (code, report) = rehearse(Fence::Barrier, Breaks::StopsAtOnce, &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(stopped(&report)["scenario"], "without any fault");
    assert_eq!(broken(&report), []);
    assert!(report["not_played"].as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn people_are_told_who_stopped_at_what_and_what_was_not_played() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let tried = Participant::start(Fence::Barrier, Breaks::StopsAtRepeat);
    let output = output(&file, &tried, &[], "table");
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "✗ Tried stopped answering",
        "it cannot be reached any more",
        "one of which may have made it stop",
        "POST /Do",
        "with this service gone",
        "✗ 1. Tried: refuses an unknown command",
        "a service stopped answering before this was tried",
    ] {
        assert!(flat.contains(part), "{part:?} is not in {words}");
    }
}
