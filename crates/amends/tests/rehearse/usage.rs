//! What a person meets: nothing is sent by accident, what is not there is told apart from what is
//! broken, and no secret is shown.

use std::net::TcpListener;

use crate::participant::{Breaks, Fence, Participant};
use crate::{DATA, amends, output, rehearse, written};

/// Runs a rehearsal that says nothing of rules, and gives its words.
#[track_caller]
fn refused(args: &[&str], expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let output = amends().arg("rehearse").arg(&file).args(args).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(output.stdout.is_empty());
    for part in expected {
        assert!(words.contains(part), "{args:?} does not say {part:?}: {words}");
    }
}

#[test]
fn nothing_is_sent_anywhere_that_was_not_named() {
    refused(&["--data", DATA], &["where Honest is on the test system is not said", "--as-bound"]);
    let far = ["--data", DATA, "--against", "https://shop.example/api"];
    refused(&far, &["beyond this machine", "--allow-host shop.example"]);
}

#[test]
fn what_is_not_there_is_told_apart_from_what_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let words = ["Honest cannot be reached", "nothing is said of its rules"];
    refused(&["--data", DATA, "--against", &url], &words);
}

#[test]
fn data_that_a_service_refuses_is_no_broken_rule() {
    let tried = Participant::start(Fence::Barrier, Breaks::Nothing);
    let bad = r#"{"pair_id": "p", "bad_at": "first"}"#;
    let words = ["without any fault the saga does not complete", "422", "NO_CARD", "--data"];
    refused(&["--data", bad, "--against", &tried.url], &words);
    let none = ["there is no data to start sagas with", "--data"];
    refused(&["--against", &tried.url], &none);
}

/// It would be green for ever.
#[test]
fn a_saga_none_of_whose_steps_runs_says_nothing_of_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pair.yaml");
    let never = "compensation: Honest.Undo, when: \"${ data.pair_id == 'q' }\" }";
    let definition = crate::DEFINITION.replace("compensation: Honest.Undo }", never);
    let never = "compensation: Tried.Undo, when: \"${ data.pair_id == 'q' }\" }";
    let definition = definition.replace("compensation: Tried.Undo }", never);
    std::fs::write(&file, definition.replace("FENCE", "barrier")).unwrap();
    let tried = Participant::start(Fence::Barrier, Breaks::Nothing);
    let mut command = amends();
    command.arg("rehearse").arg(&file).args(["--data", DATA, "--against", &tried.url]);
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}\n{shown}");
    assert!(words.contains("no step was commanded") && words.contains("--data"), "{words}");
    assert!(shown.contains("no step was commanded"), "{shown}");
}

#[test]
fn what_is_misspelt_is_told_what_there_is() {
    let against = ["--data", DATA, "--against", "http://127.0.0.1:9"];
    let with = |more: &[&'static str]| [&against[..], more].concat();
    refused(&with(&["--only", "secund"]), &["no step \"secund\"", "first, second", "crash_after"]);
    refused(&with(&["--refused", "secund={}"]), &["no step \"secund\""]);
    refused(&with(&["--vary", "order_id"]), &["no field order_id to vary"]);
}

#[test]
fn an_address_or_a_patience_that_cannot_be_meant_is_refused_with_what_can() {
    let with = |more: &[&'static str]| [&["--data", DATA], more].concat();
    let twice =
        ["--against", "Honest=http://127.0.0.1:9", "--against", "Honest=http://127.0.0.1:8"];
    refused(&with(&twice), &["says twice where Honest is: at 127.0.0.1:9, and at 127.0.0.1:8"]);
    let ftp = ["--against", "Honest=ftp://x"];
    refused(&with(&ftp), &["Honest is no http:// or https:// URL", "Honest=http://127.0.0.1:PORT"]);
    let against = ["--against", "http://127.0.0.1:9", "--patience"];
    refused(&with(&[&against[..], &["400ms"]].concat()), &["at least 500ms"]);
    refused(&with(&[&against[..], &["2m"]].concat()), &["at most 1m"]);
}

#[test]
fn only_what_was_asked_for_is_played() {
    let (code, report) = rehearse(Fence::Barrier, Breaks::Tombstone, &["--only", "first,late"]);
    assert_eq!((code, &report["scenarios"]), (0, &serde_json::json!(2)));
    let (code, report) = rehearse(Fence::Barrier, Breaks::Tombstone, &["--only", "second,late"]);
    assert_eq!((code, &report["scenarios"]), (1, &serde_json::json!(2)));
}

#[test]
fn a_broken_rule_is_told_with_the_exchange_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=";
    std::fs::write(&file, text.replace("url: ", "secret: env.PAIR_SECRET, url: ")).unwrap();
    // The secret is the process's, not this test's.
    let (honest, tried) = (
        Participant::start(Fence::Barrier, Breaks::Nothing),
        Participant::start(Fence::Barrier, Breaks::Repeat),
    );
    let output = amends()
        .env("PAIR_SECRET", secret)
        .args(["rehearse", file.to_str().unwrap(), "--data", DATA, "--allow-env", "PAIR_SECRET"])
        .args(["--against", &format!("Honest={}", honest.url)])
        .args(["--against", &format!("Tried={}", tried.url)])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}{said}");
    for part in ["✗ BROKEN", "POST /Do", "/second/action", "← 200 {\"id\":", "charged twice", "S4"]
    {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
    for hidden in ["hunter", "aHVudGVy", "whsec"] {
        assert!(!words.contains(hidden) && !said.contains(hidden), "{words}{said}");
    }
}

#[test]
fn the_table_fits_a_line_of_eighty_and_says_why_a_rule_was_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let tried = Participant::start(Fence::Barrier, Breaks::Nothing);
    let output = output(&file, &tried, &[], "table");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    let table: Vec<&str> = words.lines().take(16).collect();
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{words}");
    assert!(
        words.contains("· acknowledges a second round: no action was done after its undo"),
        "{words}"
    );
    assert!(words.contains("every rule that was tried was kept: Pair in"), "{words}");
}

/// It says what it leaves behind, and not that a rule was kept.
#[test]
#[cfg(target_os = "linux")]
fn who_interrupts_it_is_told_what_that_leaves_behind() {
    // Whoever connects is never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let mut command = amends();
    command.arg("rehearse").arg(&file).args(["--data", DATA, "--against", &url]);
    command.args(["--patience", "1m"]).stderr(std::process::Stdio::piped());
    let process = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let hears = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        const SIGINT: u64 = 1 << 1;
        u64::from_str_radix(caught.trim(), 16).unwrap() & SIGINT != 0
    };
    while !hears() {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(process.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = process.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(
        words.contains("interrupted, so nothing is said") && words.contains("not undone"),
        "{words}"
    );
    assert!(output.stdout.is_empty());
}
