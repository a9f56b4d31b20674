//! `amends verify`: what is proved of the worked sagas, each kind of finding, and what comes of
//! each broken promise. No test depends on how fast the machine is: where a number of faults is
//! tried to its end, there is time enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::server::{amends, words};

/// However slow the machine, what is tried to its end gets there.
const AMPLE: &str = "1h";

/// How it ends where nothing is proved: neither well, nor as with a broken law.
const UNPROVED: i32 = 13;

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

fn verify(file: &Path, args: &[&str]) -> Output {
    amends().arg("verify").arg(file).args(["--within", AMPLE]).args(args).output().unwrap()
}

#[track_caller]
fn report(file: &Path, args: &[&str], code: i32) -> Value {
    let output = verify(file, &[args, &["-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A definition in a folder that goes with the test.
struct Written {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn written(text: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saga.yaml");
    fs::write(&path, text).unwrap();
    Written { _folder: folder, path }
}

/// A saga of two services with these steps, `A` and `B` with these fences.
fn saga(steps: &str, a: &str, b: &str) -> Written {
    let service = |name: &str, fence: &str| {
        let fence = if fence.is_empty() { String::new() } else { format!("fence: {fence}, ") };
        format!("  {name}: {{ {fence}http: {{ url: \"http://127.0.0.1:1\" }} }}\n")
    };
    let services = format!("{}{}", service("A", a), service("B", b));
    written(&format!(
        "saga: Small\ndefaults: {{ timeout: 10s, deadline: 5m }}\nservices:\n{services}steps:\n{steps}"
    ))
}

const TWO: &str = "  - { name: first, action: A.Do, compensation: A.Undo }
  - { name: second, action: B.Do, compensation: B.Undo }
";

const PAST_PIVOT: &str = "  - { name: pay, kind: pivot, action: A.Pay }
  - { name: ship, kind: retriable, action: B.Ship }
";

fn ids(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    let id = |finding: &'_ Value| -> (&str, &str) {
        let text = |key: &str| {
            // The report outlives the names that are taken from it.
            let text = finding[key].as_str().unwrap();
            Box::leak(text.to_owned().into_boxed_str()) as &str
        };
        (text("id"), text("step"))
    };
    findings.iter().map(id).collect()
}

#[test]
fn of_the_worked_sagas_every_law_holds_and_each_ends_both_ways() {
    for (path, faults) in [
        ("order/order.yaml", 1),
        ("bank/transfer.yaml", 1),
        ("approval/approval.yaml", 1),
        ("travel/travel.yaml", 0),
    ] {
        let report = report(&example(path), &["--faults", &faults.to_string()], 0);
        let levels = report["levels"].as_array().unwrap();
        assert_eq!(levels.len(), faults + 1, "{path}");
        for level in levels {
            assert_eq!(level["complete"], true, "{path}: {level}");
            assert!(level["states"].as_u64().unwrap() > 20, "{path}: {level}");
        }
        assert_eq!(report["cut"], Value::Null, "{path}");
        assert_eq!(report["counterexample"], Value::Null, "{path}");
        for end in ["completed", "rolled_back"] {
            assert!(report["ends"][end]["states"].as_u64().unwrap() > 0, "{path}: {end}");
        }
    }
}

#[test]
fn a_service_that_does_not_say_its_fence_may_leave_a_step_unproven() {
    let order = report(&example("order/order.yaml"), &["--faults", "1"], 0);
    let expected = ["reserve_inventory", "process_payment", "create_shipment", "send_confirmation"];
    assert_eq!(ids(&order), expected.map(|step| ("unproven", step)));
    let first = &order["findings"][0];
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(25), Some(3)));
    assert!(first["fix"].as_str().unwrap().contains("`fence: barrier` on InventoryService"));
    let lines = first["story"]["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["fate"] == "lost"), "{lines:#?}");
    assert_eq!(first["story"]["ledger"][0]["action"], "InventoryService.ReserveItems");
    let bank = report(&example("bank/transfer.yaml"), &["--faults", "1"], 0);
    assert_eq!(ids(&bank), [], "with barriers nobody is needed");
}

#[test]
fn each_kind_of_finding_is_found_and_a_fence_takes_it_away() {
    let expression = "  - { name: pay, kind: pivot, action: A.Pay }
  - { name: ship, kind: retriable, action: B.Ship, input: { to: \"${ data.to }\" } }
";
    let cases = [
        (TWO, "none", "barrier", ("outcome_unknown", "first")),
        (TWO, "settle", "barrier", ("unproven", "first")),
        (PAST_PIVOT, "none", "barrier", ("pivot_unknown", "pay")),
        (PAST_PIVOT, "barrier", "none", ("retriable_slow", "ship")),
        (expression, "barrier", "barrier", ("expression", "ship")),
    ];
    for (steps, a, b, expected) in cases {
        let written = saga(steps, a, b);
        let report = report(&written.path, &["--faults", "1"], 0);
        assert_eq!(ids(&report), [expected]);
        let story = &report["findings"][0]["story"]["lines"];
        assert!(!story.as_array().unwrap().is_empty(), "{expected:?}");
        let output = verify(&written.path, &["--faults", "1", "--no-person"]);
        assert_eq!(output.status.code(), Some(1), "{expected:?}");
    }
    for steps in [TWO, PAST_PIVOT] {
        let report = report(&saga(steps, "barrier", "barrier").path, &["--faults", "2"], 0);
        assert_eq!(ids(&report), []);
    }
}

#[test]
fn each_broken_promise_breaks_a_law_and_is_shown_with_the_fix() {
    let cases = [
        ("no-tombstone", "barrier", "S1"),
        ("forgets-answers", "barrier", "S1"),
        ("refusal-not-final", "settle", "S1"),
        ("twice", "barrier", "S4"),
        ("refuses-undo", "barrier", "L3"),
        ("ignores-undo", "barrier", "S1"),
    ];
    for (promise, fence, law) in cases {
        let written = saga(TWO, fence, "barrier");
        let suppose = format!("A={promise}");
        let args = ["--suppose", &suppose, "--faults", "2"];
        let report = report(&written.path, &args, 1);
        let found = &report["counterexample"];
        assert_eq!(found["id"], law, "{promise}: {found:#}");
        assert_eq!(report["supposed"][0], suppose.as_str());
        assert_eq!(found["line"], 4, "{promise}: it points at the service");
        assert!(!found["fix"].as_str().unwrap().is_empty());
        let ledger = found["story"]["ledger"].as_array().unwrap();
        assert_eq!(ledger[0]["action"], "A.Do", "{promise}");
        let told = String::from_utf8(verify(&written.path, &args).stdout).unwrap();
        assert!(told.contains(&format!("error[{law}]: not kept:")), "{promise}: {told}");
        assert!(told.contains("A.Do "), "{promise}: the ledger: {told}");
    }
}

#[test]
fn what_cannot_be_supposed_or_tried_is_a_usage_error() {
    let good = saga(TWO, "settle", "barrier");
    for suppose in ["A=no-tombstone", "C=twice", "A=nonsense", "A"] {
        let output = verify(&good.path, &["--suppose", suppose]);
        assert_eq!(output.status.code(), Some(2), "{suppose}: {}", words(&output));
        assert!(!words(&output).is_empty(), "{suppose}");
    }
    let bad = written("saga: A\n");
    let output = verify(&bad.path, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("A021"), "{}", words(&output));
    let output = verify(&bad.path.with_extension("gone"), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
}

/// A choreography of two services, of which the first undoes what it did when the second refuses.
fn dance() -> Written {
    written(
        "saga: Dance\npattern: choreography\n\
         services:\n  A: { fence: barrier, nats: { stream: A, commands: a, replies: r } }\n  \
         B: { fence: barrier, nats: { stream: B, commands: b, replies: r } }\n\
         steps:\n  - { name: lead, action: A.Do, compensation: A.Undo }\n  \
         - { name: follow, action: B.Do, compensation: B.Undo }\n",
    )
}

#[test]
fn a_choreography_is_tried_among_its_services() {
    let dance = dance();
    let output = verify(&dance.path, &["--faults", "2", "--show", "rolled-back"]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let mut lines = said.lines().filter(|line| !line.contains("saga.yaml"));
    assert!(lines.all(|line| line.chars().count() <= 80), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "every law holds with any 2 faults",
        "follow decides how it ends",
        "2 steps among 2 services",
        "A undoes lead",
        "B says that follow never ran",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = verify(&dance.path, &["--faults", "1", "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["arbiter"], "follow");
    assert_eq!((&report["proved_faults"], &report["cut"]), (&1.into(), &Value::Null));
    let ends = report["ends"].as_object().unwrap();
    assert!(["completed", "rolled_back", "nothing_done"].iter().all(|end| ends.contains_key(*end)));
    let laws = report["laws"].as_array().unwrap();
    assert!(laws.iter().all(|law| law["holds"] == true), "{laws:?}");
}

#[test]
fn what_has_no_meaning_for_a_choreography_is_refused() {
    for args in [&["--suppose", "A=no-tombstone"][..], &["--mermaid"]] {
        let output = verify(&dance().path, args);
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(words(&output).contains(args[0]), "{}", words(&output));
    }
}

#[test]
fn twelve_steps_are_told_as_far_as_the_time_went() {
    let steps: String = (0..12)
        .map(|i| format!("  - {{ name: s{i}, action: A.Do{i}, compensation: A.Undo{i} }}\n"))
        .collect();
    let written =
        saga(&format!("{steps}  - {{ name: last, action: B.Do, compensation: none }}\n"), "", "");
    let output = amends()
        .args(["verify", "--within", "1s", "-o", "json"])
        .arg(&written.path)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let levels = report["levels"].as_array().unwrap();
    let whole = levels.iter().filter(|level| level["complete"] == true).count();
    assert!(levels.len() - whole <= 1, "only the last is cut: {levels:?}");
    assert_eq!(report["cut"].is_string(), whole < levels.len(), "a cut is said: {levels:?}");
    let code = if whole == 0 { UNPROVED } else { 0 };
    assert_eq!(output.status.code(), Some(code), "{levels:?}");
    let proved = whole.checked_sub(1).map_or(Value::Null, |faults| faults.into());
    assert_eq!(report["proved_faults"], proved, "{levels:?}");
    assert_eq!(report["steps"], 13);
}

/// Six steps side by side: more orders than a moment is enough for.
fn abreast(head: &str) -> Written {
    let steps: String = (0..6)
        .map(|i| format!("      - {{ name: s{i}, action: A.Do{i}, compensation: A.Undo{i} }}\n"))
        .collect();
    let saga = saga(&format!("  - parallel:\n{steps}"), "", "barrier");
    let text = fs::read_to_string(&saga.path).unwrap();
    fs::write(&saga.path, format!("{head}{text}")).unwrap();
    saga
}

#[test]
fn what_was_not_tried_to_its_end_proves_nothing() {
    let written = abreast("");
    let none = |more: &[&str]| {
        amends()
            .arg("verify")
            .arg(&written.path)
            .args(["--within", "0s"])
            .args(more)
            .output()
            .unwrap()
    };
    let output = none(&[]);
    assert_eq!(output.status.code(), Some(UNPROVED), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nothing is proved"), "{said}");
    assert!(said.contains("--within 6s"), "{said}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("Not looked at, because no level was tried to its end: L1, L3."),
        "{told}"
    );
    assert!(told.contains("  S1 ") && !told.contains("  L1 "), "{told}");
    assert!(!told.contains("all laws hold"), "{told}");
    assert!(told.contains("No law is broken in what was tried, and that proves nothing"), "{told}");
    let report: Value = serde_json::from_slice(&none(&["-o", "json"]).stdout).unwrap();
    let holds = |report: &Value, id: &str| {
        let laws = report["laws"].as_array().unwrap();
        laws.iter().find(|law| law["id"] == id).unwrap()["holds"].clone()
    };
    assert_eq!((holds(&report, "S1"), holds(&report, "L1")), (Value::Null, Value::Null));
    let whole = self::report(&saga(TWO, "settle", "barrier").path, &["--faults", "0"], 0);
    assert_eq!((holds(&whole, "S1"), holds(&whole, "L3")), (Value::Bool(true), Value::Bool(true)));
    assert_eq!(whole["proved_faults"], 0);
}

#[test]
fn what_the_checker_warns_of_is_said() {
    let short = |steps: &str| {
        let saga = saga(steps, "settle", "barrier");
        let text = fs::read_to_string(&saga.path).unwrap();
        fs::write(&saga.path, format!("deadline: 1m\n{text}")).unwrap();
        saga
    };
    let written = short(TWO);
    let output = verify(&written.path, &["--faults", "0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let place = format!("warning[A067]: {}:1:11: the saga has 1m", written.path.display());
    assert!(said.contains(&place) && said.contains("amends check"), "{said}");
    let report = report(&written.path, &["--faults", "0"], 0);
    assert_eq!(report["warnings"][0]["id"], "A067", "{report:#}");
    // What is only worth knowing is no warning.
    let noted = saga(TWO, "", "barrier");
    let output = verify(&noted.path, &["--faults", "0"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The process has said that it hears Ctrl-C.
#[cfg(target_os = "linux")]
pub fn hears_interrupts(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    const SIGINT: u64 = 1 << 1;
    u64::from_str_radix(caught.trim(), 16).unwrap() & SIGINT != 0
}

#[test]
#[cfg(target_os = "linux")]
fn who_interrupts_it_is_told_what_was_tried_by_then() {
    let written = abreast("");
    let mut process = amends();
    process.arg("verify").arg(&written.path).args(["--within", AMPLE]);
    process.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let process = process.spawn().unwrap();
    while !hears_interrupts(process.id()) {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(process.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = process.wait_with_output().unwrap();
    let (told, said) = (String::from_utf8_lossy(&output.stdout), words(&output));
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(told.contains("not all: interrupted"), "{told}");
    assert!(said.contains("interrupted before all was tried"), "{said}");
}

#[test]
fn a_report_fits_a_terminal_and_tells_what_is_asked_for() {
    let order = example("order/order.yaml");
    let args =
        ["--faults", "1", "--show", "completed", "--show", "rolled-back", "--show", "person"];
    let output = verify(&order, &args);
    let told = String::from_utf8(output.stdout).unwrap();
    for line in told.lines() {
        // A path is as long as it is.
        let fits = line.chars().count() <= 80 || line.contains("order.yaml");
        assert!(fits, "wider than 80: {line}");
    }
    assert!(told.contains("RefundPayment never"), "{told}");
    assert_eq!(told.matches("is unproven").count(), 4, "{told}");
    let output = verify(&order, &[&args, &["--mermaid"][..]].concat());
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.matches("sequenceDiagram").count(), 6, "{told}");
    assert!(told.contains("amends->>PaymentService: ProcessPayment"), "{told}");
}

/// The page shows what a command prints; `AMENDS_BLESS=1` writes it anew.
#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verify.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut expected = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("```console\n$ amends verify ") {
        let (command, after) = after.split_once('\n').unwrap();
        let (_, after) = after.split_once("\n```\n").unwrap();
        let mut process = amends();
        process.arg("verify").args(command.split(' ')).args(["--within", AMPLE]);
        let output = process.current_dir(example("order")).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        // How long it took is another time's.
        let (told, _) = told.trim_end().rsplit_once(',').unwrap();
        expected +=
            &format!("{before}```console\n$ amends verify {command}\n{told}, 0.1 s)\n```\n");
        rest = after;
    }
    expected += rest;
    if std::env::var_os("AMENDS_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == expected,
        "docs/verify.md is not current: set AMENDS_BLESS=1 and test again"
    );
    assert!(page.matches("$ amends verify ").count() >= 2, "the page has its examples");
}
