//! What a person meets when something is wrong: the words, and the exit code.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::server::{Server, amends, words};

const DEFINITION: &str = "\
saga: Errand
steps:
  - name: wait
    signal: go
    deadline: 3d
    on_deadline: refuse
";

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Runs a command without a server, and holds its words and code against what is expected.
#[track_caller]
fn check(args: &[&str], code: i32, expected: &[&str]) {
    let output = amends().args(args).output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{args:?} does not say {part:?}: {said}");
    }
}

#[test]
fn a_mistyped_file_is_named_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "errand.yaml", DEFINITION);
    let typed = folder.path().join("erand.yaml");
    let typed = typed.to_str().unwrap();
    check(&["check", typed], 2, &["erand.yaml cannot be read", "did you mean", "errand.yaml"]);
    check(&["serve", "--definitions", typed], 2, &["did you mean"]);
    check(&["graph", folder.path().to_str().unwrap()], 2, &["is a folder"]);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    check(&["check", &at("order.yaml")], 2, &["cannot be read", "there is no definition"]);
    check(&["verify", &at("sagas/order.yaml")], 2, &["cannot be read", "not there either"]);
    written(folder.path(), "errand.yaml", DEFINITION);
    for command in ["check", "verify", "graph"] {
        let expected = ["cannot be read", "name one that is there", "errand.yaml"];
        check(&[command, &at("order.yaml")], 2, &expected);
    }
    check(&["graph", &at("")], 2, &["is a folder", "name one that is there", "errand.yaml"]);
}

#[test]
fn data_that_cannot_be_read_is_told_how_it_is_given() {
    let args = ["start", "Order", "--data", "@/no/such/data.json"];
    check(&args, 2, &["/no/such/data.json cannot be read", "@file, or - for stdin"]);
}

#[test]
fn a_file_that_is_too_large_is_told_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "large.yaml", &"# a line\n".repeat(400_000));
    let path = path.to_str().unwrap();
    check(&["check", path], 1, &["A002", "more than 1048576 bytes (1 MiB)", "keep data out of it"]);
}

#[test]
fn a_definition_with_errors_is_shown_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let bad = DEFINITION.replace("deadline: 3d", "deadlin: 3d");
    let path = written(folder.path(), "bad.yaml", &bad);
    let path = path.to_str().unwrap();
    let data = folder.path().join("data");
    check(&["check", path], 1, &["A010", "did you mean `deadline`?", "^^^^"]);
    check(&["graph", path], 1, &["A010", "cannot be drawn"]);
    let serve = ["serve", "--data", data.to_str().unwrap(), "--definitions", path];
    check(&serve, 2, &["A010", "not served because of errors"]);
    assert!(!data.exists(), "nothing was opened");
}

#[test]
fn a_changed_file_of_a_said_version_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let said = format!("{DEFINITION}version: 1\n");
    let path = written(folder.path(), "errand.yaml", &said);
    let data = folder.path().join("data");
    assert_eq!(Server::start(&data, &path).terminate(), Some(0));
    fs::write(&path, said.replace("deadline: 3d", "deadline: 4d")).unwrap();
    let serve =
        ["serve", "--data", data.to_str().unwrap(), "--definitions", path.to_str().unwrap()];
    let serve = [&serve[..], &["--listen", "127.0.0.1:0"]].concat();
    let lines = ["- steps.wait.deadline: 3d", "+ steps.wait.deadline: 4d"];
    check(&serve, 4, &["Errand version 1", "give the changed file version 2", lines[0], lines[1]]);
}

#[test]
fn a_taken_port_and_a_taken_folder_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let definition = written(folder.path(), "errand.yaml", DEFINITION);
    let data = folder.path().join("data");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let (address, port) = (taken.to_string(), taken.port().to_string());
    let data = data.to_str().unwrap();
    check(
        &["serve", "--data", data, "--listen", &address],
        4,
        &[&port, "is taken", "another port"],
    );

    let server = Server::start(Path::new(data), &definition);
    let pid = format!("process {}", server.pid());
    check(&["serve", "--data", data, "--listen", "127.0.0.1:0"], 4, &[data, &pid]);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_newer_data_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let definition = written(folder.path(), "errand.yaml", DEFINITION);
    let data = folder.path().join("data");
    assert_eq!(Server::start(&data, &definition).terminate(), Some(0));
    let format = data.join("format");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace("format 1\n", "format 2\n")).unwrap();
    let content = || {
        let files = fs::read_dir(&data).unwrap().map(|file| file.unwrap().path());
        let mut content: Vec<_> =
            files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        content.sort();
        content
    };
    let before = content();
    let data = data.to_str().unwrap();
    let next = "open it with the version that wrote it, or a newer one";
    for definitions in [&[][..], &["--definitions", definition.to_str().unwrap()]] {
        let serve = [&["serve", "--data", data, "--listen", "127.0.0.1:0"][..], definitions];
        check(&serve.concat(), 1, &[data, "has format 2", "reads formats up to 1", next]);
    }
    assert!(content() == before, "the refused server has changed the folder");
}

#[test]
fn a_server_that_others_reach_wants_tokens() {
    check(&["serve", "--listen", "0.0.0.0:0"], 2, &["callers must show tokens", "--tokens"]);
    check(&["serve", "--tokens", "/no/such.toml"], 2, &["/no/such.toml"]);
}

#[test]
fn a_server_that_does_not_answer_is_told_from_one_that_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let next = "amends serve";
    check(&["list", "--server", &url], 5, &[&url, next]);
    check(&["start", "Errand", "--server", &url], 5, &[&url, next]);
    check(&["watch", "01890000", "--server", &url], 5, &[&url, next]);
    check(&["list", "--server", "localhost"], 2, &["is no address", "http://"]);
}

#[test]
fn every_refusal_has_its_code_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let definition = written(folder.path(), "errand.yaml", DEFINITION);
    let server = Server::start(&folder.path().join("data"), &definition);
    let (code, saga) = server.json(&["start", "Errand", "--key", "k"]);
    assert_eq!((code, saga["state"].as_str()), (0, Some("started")));
    let id = saga["saga_id"].as_str().unwrap();
    let unknown = "01890000-0000-7000-8000-000000000000";
    let cases: [(&[&str], i32, &str); 14] = [
        (&["start", "Nothing"], 3, "amends definitions"),
        (&["start", "Errand", "--version", "9"], 3, "no version 9"),
        (&["start", "Errand", "--data", "{"], 2, "--data is no JSON"),
        (&["start", "Errand", "--data", "[]"], 2, "object"),
        (&["start", "Errand", "--key", "k", "--data", r#"{"other":1}"#], 4, "idempotency key"),
        (&["start", "Errand", "--wait", "soon"], 2, "is no time"),
        (&["start", "Errand", "--wait", "10ms"], 12, "amends watch"),
        (&["get", unknown], 3, "amends list"),
        (&["get", "no-such-key"], 3, "no saga"),
        (&["signal", id, "stop"], 3, "signal"),
        (&["retry", id, "nowhere", "--reason", "why not"], 3, "nowhere"),
        (&["pause", id, "--reason", "x", "--if-seq", "999"], 4, "has moved"),
        (&["pause", id], 2, "a reason is needed"),
        (&["cancel", id, "--reason", "x"], 2, "--yes"),
    ];
    for (args, code, expected) in cases {
        let output = server.ask(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", words(&output));
        assert!(words(&output).contains(expected), "{args:?}: {}", words(&output));
    }
    let (code, paused) = server.json(&["pause", id, "--reason", "lunch"]);
    assert_eq!((code, paused["paused"].as_bool()), (0, Some(true)));
    assert_eq!(server.json(&["resume", id, "--reason", "back"]).0, 0);
    let (code, _) = server.json(&["signal", id, "go", "--data", r#"{"approved":true}"#]);
    assert_eq!(code, 0);
    let watched = server.ask(&["watch", id]);
    assert_eq!(watched.status.code(), Some(0), "{}", words(&watched));
    assert!(words(&watched).contains("completed"), "{}", words(&watched));
    let late = server.ask(&["cancel", id, "--reason", "x", "--yes"]);
    assert_eq!(late.status.code(), Some(4), "{}", words(&late));
    let stuck = server.ask(&["list", "--stuck"]);
    assert!(words(&stuck).contains("no saga fits"), "{}", words(&stuck));
    let empty = server.ask(&["dlq"]);
    assert_eq!(empty.status.code(), Some(0), "{}", words(&empty));
    let preview = server.ask(&["dlq", "retry", "--dry-run"]);
    assert!(words(&preview).contains("0 would be sent again"), "{}", words(&preview));
}

#[test]
fn settings_come_from_the_file_and_a_mistyped_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = written(folder.path(), "good.toml", "server = 'http://127.0.0.1:1'\n");
    let bad = written(folder.path(), "bad.toml", "servr = 'x'\n");
    check(&["list", "--config", good.to_str().unwrap()], 5, &["http://127.0.0.1:1"]);
    check(&["list", "--config", bad.to_str().unwrap()], 2, &["unknown key \"servr\"", "server"]);
    check(&["list", "--config", "/no/such.toml"], 2, &["/no/such.toml cannot be read"]);
}
