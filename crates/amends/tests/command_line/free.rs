//! Free choreographies at the command line: checked, tried, drawn, and never served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::server::{Server, amends, words};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const ORDER: &str = "examples/order/order.choreography.yaml";
const LONG_FORM: &str = "crates/definition/tests/bad/free-long-form.yaml";

/// A command on a file of this repository.
fn run(command: &str, file: &str, args: &[&str]) -> Output {
    amends().current_dir(root()).arg(command).arg(file).args(args).output().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> String {
    let said = words(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

#[test]
fn a_right_one_is_found_right() {
    let said = ends_with(&run("check", ORDER, &[]), 0);
    assert!(said.contains("7 reactions among 4 services, holds in every order"), "{said}");
    let said = ends_with(&run("verify", ORDER, &["--show", "rolled-back"]), 0);
    for part in ["all of them", "it holds in every order", "1. OrderCreated is said", "OrderFailed"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let report = json(&run("verify", ORDER, &["-o", "json"]));
    assert_eq!((&report["complete"], &report["cut"]), (&true.into(), &Value::Null));
    let rules = report["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["holds"] == true), "{rules:?}");
    let ends: Vec<_> = report["ends"].as_object().unwrap().keys().collect();
    assert_eq!(ends, ["done", "undone"]);
}

#[test]
fn what_is_missing_is_named_as_the_reaction_to_write() {
    let said = ends_with(&run("check", LONG_FORM, &[]), 1);
    assert!(said.contains("+ - on: ProcessPaymentUndone + undo: InventoryService"), "{said}");
    let found = json(&run("check", LONG_FORM, &["-o", "json"]));
    let early = found.as_array().unwrap().iter().find(|found| found["id"] == "A149").unwrap();
    assert!(early["add"].as_str().unwrap().contains("- on: ProcessPaymentUndone"), "{early}");
    assert!(early["way"].as_str().unwrap().contains("ShipmentFailed"), "{early}");
}

#[test]
fn what_goes_wrong_is_told_by_its_shortest_run() {
    let output = run("verify", LONG_FORM, &[]);
    let said = ends_with(&output, 1);
    assert!(said.contains("6. InventoryService undoes ReserveInventory"), "{said}");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = shown.lines().filter(|line| !line.contains(LONG_FORM));
    assert!(lines.all(|line| line.chars().count() <= 80), "{shown}");
    let report = json(&run("verify", LONG_FORM, &["-o", "json"]));
    let rule = |id: &str| {
        let rules = report["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["id"] == id).unwrap()["holds"].clone()
    };
    assert_eq!((rule("A149"), rule("A148")), (Value::Bool(false), Value::Bool(true)));
    let found = report["findings"].as_array().unwrap();
    assert!(found.iter().all(|found| found["story"].as_array().is_some_and(|s| s.len() > 1)));
}

/// What no run shows is said beside the report, and it is no proof then.
#[test]
fn what_is_wrong_without_going_wrong_is_said() {
    let fields = "crates/definition/tests/bad/free-fields.yaml";
    let output = run("verify", fields, &[]);
    let said = ends_with(&output, 1);
    assert!(said.contains("it holds in every order"), "{said}");
    let beside = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(beside.contains("error[A144]:"), "{beside}");
}

#[test]
fn what_cannot_be_tried_or_has_no_meaning_is_a_usage_error() {
    let flow = "crates/definition/tests/bad/free-flow.yaml";
    assert!(ends_with(&run("verify", flow, &[]), 2).contains("cannot be tried"));
    for args in [&["--suppose", "PaymentService=twice"][..], &["--mermaid"]] {
        assert!(ends_with(&run("verify", ORDER, args), 2).contains(args[0]));
    }
}

#[test]
fn what_was_not_tried_to_its_end_proves_nothing() {
    let said = ends_with(&run("verify", ORDER, &["--within", "0s"]), 13);
    assert!(said.contains("that proves nothing yet"), "{said}");
    let report = json(&run("verify", ORDER, &["--within", "0s", "-o", "json"]));
    assert_eq!((&report["cut"], &report["rules"][0]["holds"]), (&"time".into(), &Value::Null));
}

#[test]
fn it_is_drawn_in_three_ways_with_its_holes() {
    for (format, part) in [("ascii", "--x PaymentFailed"), ("mermaid", "fails"), ("svg", "<svg")] {
        for file in [ORDER, LONG_FORM] {
            let said = ends_with(&run("graph", file, &["--format", format]), 0);
            assert!(said.contains(part), "{file} as {format}: {said}");
        }
    }
    let shapes = "crates/definition/tests/bad/free-shapes.yaml";
    assert!(ends_with(&run("graph", shapes, &[]), 1).contains("cannot be drawn"));
}

/// The sagas of a folder are served, whatever choreography lies beside them.
#[test]
fn beside_sagas_it_is_left_out_of_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = folder.path().join("definitions");
    fs::create_dir(&definitions).unwrap();
    for file in ["examples/order/order.yaml", ORDER] {
        let name = Path::new(file).file_name().unwrap();
        fs::copy(root().join(file), definitions.join(name)).unwrap();
    }
    let data = folder.path().join("doctored");
    let mut doctor = amends();
    doctor.args(["doctor", "--listen", "127.0.0.1:0", "-o", "json", "--data"]).arg(data);
    let rows = json(&doctor.arg("--definitions").arg(&definitions).output().unwrap());
    let of_file = |row: &&Value| row["check"] == "definition" && row.to_string().contains("free");
    let row = rows.as_array().unwrap().iter().find(of_file).unwrap();
    assert_eq!(row["verdict"], "good", "{rows}");
    let server = Server::start(&folder.path().join("data"), &definitions);
    server.says("order.choreography.yaml: a free choreography");
    let (code, types) = server.json(&["definitions"]);
    assert_eq!((code, types.to_string().matches("OrderFulfillment").count()), (0, 1), "{types}");
}

/// The page shows what commands print; `AMENDS_BLESS=1` writes it anew.
#[test]
fn the_page_is_current() {
    let path = root().join("docs/choreography.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut expected = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("```console\n$ amends ") {
        let (command, after) = after.split_once('\n').unwrap();
        let (_, after) = after.split_once("\n```\n").unwrap();
        let output = amends().args(command.split(' ')).current_dir(root()).output().unwrap();
        let mut told = String::from_utf8(output.stdout).unwrap();
        if command.starts_with("verify") {
            // How long it took is another time's.
            let (known, _) = told.trim_end().rsplit_once(',').unwrap();
            told = format!("{known}, 0.0 s)");
        }
        let told = told.trim_end();
        expected += &format!("{before}```console\n$ amends {command}\n{told}\n```\n");
        rest = after;
    }
    expected += rest;
    if std::env::var_os("AMENDS_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == expected, "docs/choreography.md: set AMENDS_BLESS=1 and test again");
    assert!(page.matches("\n$ amends ").count() == 4, "the page has its examples");
}
