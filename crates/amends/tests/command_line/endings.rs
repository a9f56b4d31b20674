//! How commands end when it is not the command line that is wrong: a saga that needs a person, a
//! server that is busy or something else, and a reader that has gone.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::server::{Server, amends, words};

/// Answers every request with what `answer` makes of its first line, until the test ends.
fn answering(answer: fn(&str) -> (u16, String)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            let mut bytes = [0; 4096];
            // Requests are small; their heads and bodies come in one piece or two.
            while let Ok(read @ 1..) = connection.read(&mut bytes) {
                request.extend_from_slice(&bytes[..read]);
                if is_whole(&request) {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&request);
            let (status, body) = answer(text.lines().next().unwrap_or_default());
            let length = body.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
        }
    });
    url
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

#[test]
fn a_saga_whose_undo_fails_needs_a_person_and_the_commands_that_help_are_named() {
    let flaky = answering(|line| match line.split(' ').nth(1) {
        Some("/UndoA") => (500, "{}".to_owned()),
        Some("/DoB") => (409, r#"{"error":{"code":"NO","message":"not today"}}"#.to_owned()),
        _ => (200, "{}".to_owned()),
    });
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("trip.yaml");
    let text = format!(
        "saga: Trip\nbusiness_key: \"${{ data.id }}\"\ndefaults:\n  \
         undo_policy: {{ retry: {{ max_attempts: 1, backoff: {{ initial: 1ms, max: 1ms }} }} }}\n\
         steps:\n  \
         - {{ name: a, action: F.DoA, compensation: F.UndoA }}\n  \
         - {{ name: b, action: F.DoB, compensation: F.UndoB }}\n\
         services: {{ F: {{ fence: barrier, http: {{ url: \"{flaky}\" }} }} }}\n"
    );
    fs::write(&definition, text).unwrap();
    let server = Server::start(&folder.path().join("data"), &definition);
    let began = Instant::now();
    let started = server.ask(&["start", "Trip", "--data", r#"{"id":"t-1"}"#, "--wait", "10m"]);
    let said = words(&started);
    assert_eq!(started.status.code(), Some(11), "{said}");
    assert!(began.elapsed() < Duration::from_secs(300), "it is told when it is known");
    assert!(said.contains("amends retry t-1 a") && said.contains("amends skip t-1 a"), "{said}");

    // By the key, though the list may not have it yet.
    let (code, saga) = server.json(&["get", "t-1"]);
    assert_eq!((code, saga["state"].as_str()), (0, Some("compensating")));
    let preview = server.ask(&["dead-letters", "retry", "--dry-run"]);
    assert!(words(&preview).contains("1 would be sent again"), "{}", words(&preview));
    let unsure = server.ask(&["skip", "t-1", "a", "--reason", "it never happened"]);
    assert_eq!(unsure.status.code(), Some(2), "{}", words(&unsure));
    assert!(words(&unsure).contains("go on without the undo of a"), "{}", words(&unsure));
    let (code, saga) =
        server.json(&["skip", "t-1", "a", "--force", "--yes", "--reason", "it never happened"]);
    assert_eq!((code, saga["state"].as_str()), (0, Some("failed")), "{saga:#}");
    let watched = server.ask(&["watch", saga["saga_id"].as_str().unwrap()]);
    assert_eq!(watched.status.code(), Some(10), "{}", words(&watched));
}

#[test]
fn a_server_that_is_busy_broken_or_something_else_has_its_code() {
    let check = |answer, code, expected: &str| {
        let output = amends().args(["list", "--server", &answering(answer)]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", words(&output));
        assert!(words(&output).contains(expected), "{}", words(&output));
    };
    check(
        |_| (503, r#"{"code":"busy","detail":"full up","retry_after_secs":3}"#.to_owned()),
        7,
        "try again in 3 s",
    );
    check(|_| (500, r#"{"detail":"the disk is full"}"#.to_owned()), 1, "the disk is full");
    check(|_| (502, "<html>".to_owned()), 1, "is this the address of an amends server?");
    check(|_| (200, "<html>".to_owned()), 1, "not what an amends server gives");
}

#[test]
fn a_reader_that_has_gone_ends_nothing_with_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(&path, "saga: A\nstepz: []\n").unwrap();
    let good = folder.path().join("good.yaml");
    fs::write(
        &good,
        "saga: A\nsteps: [{ name: a, signal: s, deadline: 1d, on_deadline: refuse }]\n",
    )
    .unwrap();
    let [bad, good] = [&path, &good].map(|path| path.to_str().unwrap());
    let cases: [(&[&str], i32); 9] = [
        (&["check", bad], 1),
        (&["check", bad, "-o", "json"], 1),
        (&["check", good], 0),
        (&["graph", good], 0),
        (&["graph", bad], 1),
        (&["schema"], 0),
        (&["completions", "zsh"], 0),
        (&["list", "--server", "http://127.0.0.1:1"], 5),
        (&[], 2),
    ];
    for (args, code) in cases {
        let gone = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            Stdio::from(writer)
        };
        let status = amends().args(args).stdout(gone()).stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
