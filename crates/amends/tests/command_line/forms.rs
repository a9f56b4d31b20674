//! The forms of data: for people, for programs, with colour and without.

use std::fs;

use serde_json::Value;

use crate::server::{Server, amends, words};

const DEFINITION: &str =
    "saga: Errand\nsteps: [{ name: wait, signal: go, deadline: 3d, on_deadline: refuse }]\n";

#[test]
fn every_form_has_the_same_data_and_stdout_has_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("errand.yaml");
    fs::write(&definition, DEFINITION).unwrap();
    let server = Server::start(&folder.path().join("data"), &definition);
    let (_, saga) = server.json(&["start", "Errand"]);
    let id = saga["saga_id"].as_str().unwrap();
    let path = definition.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["get", id],
        &["get", id, "--history"],
        &["definitions"],
        &["definitions", "get", "Errand"],
        &["dead-letters"],
        &["check", path],
    ];
    for args in commands {
        let asked = |form: &str| {
            let output = server.ask(&[args, &["-o", form]].concat());
            assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let json: Value = serde_json::from_str(&asked("json")).unwrap();
        let lines: Vec<Value> =
            asked("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        match &json {
            Value::Array(rows) => assert_eq!(&lines, rows, "{args:?}"),
            one => assert_eq!(lines, std::slice::from_ref(one), "{args:?}"),
        }
        // Enough of YAML to tell it from the others: no line of a mapping begins with a brace.
        let yaml = asked("yaml");
        assert!(!yaml.trim_start().starts_with('{'), "{args:?}: {yaml}");
        assert!(!asked("table").contains('\u{1b}'), "{args:?}: no colour in a pipe");
    }
    let shown = server.ask(&["get", id]);
    let out = String::from_utf8_lossy(&shown.stdout);
    assert!(out.contains("waits for its signal until") && !out.contains("next:"), "{out}");
    assert!(words(&shown).contains(&format!("amends signal {id} go --data JSON")), "{out}");
}

#[test]
fn colour_is_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(&path, "saga: A\n").unwrap();
    let path = path.to_str().unwrap();
    let check = |args: &[&str], no_colour: bool, expected: bool| {
        let mut command = amends();
        command.args(["check", path]).args(args).env_remove("NO_COLOR");
        if no_colour {
            command.env("NO_COLOR", "1");
        }
        let output = command.output().unwrap();
        assert_eq!(words(&output).contains('\u{1b}'), expected, "{args:?} {no_colour}");
    };
    check(&[], false, false);
    check(&["--color", "always"], false, true);
    check(&["--color=always"], true, true);
    check(&["--color", "never"], false, false);
    // Usage errors too.
    check(&["--color", "always", "--nonsense"], false, true);
}

#[test]
fn doctor_and_schema_are_for_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("errand.yaml"), DEFINITION).unwrap();
    let output = amends()
        .args(["doctor", "-o", "json", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .arg("--definitions")
        .arg(folder.path())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report.as_array().unwrap();
    assert!(rows.iter().any(|row| row["check"] == "definition"), "{report:#}");
    assert!(rows.iter().all(|row| row["verdict"] != "bad"), "{report:#}");
    let schema = amends().arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    for kind in ["SagaFile", "ChoreographyFile"] {
        assert_eq!(schema["$defs"][kind]["properties"]["$schema"]["type"], "string");
    }
}

#[test]
fn a_folder_is_checked_like_its_files_and_one_that_is_missing_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), DEFINITION).unwrap();
    fs::write(folder.path().join("b.yaml"), "saga: B\n").unwrap();
    let output = amends().arg("check").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("Errand, 1 step, can run"), "{}", words(&output));
    assert!(words(&output).contains("A021"), "{}", words(&output));
    let missing = folder.path().join("no.yaml");
    let output = amends().arg("check").arg(&missing).arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("A021"), "the others are checked: {}", words(&output));
    let empty = tempfile::tempdir().unwrap();
    let output = amends().arg("check").arg(empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
}
