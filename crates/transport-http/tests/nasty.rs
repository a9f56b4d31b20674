//! Peers that do not behave: what is unknown, what was never sent, and what is a breach.

mod peers;

use std::sync::Arc;
use std::time::Duration;

use amends_transport_http::{ANSWER_BYTES_MAX, HttpService, Options};
use amends_wire::Outcome;
use peers::{Sender, action, answering, json, request, server, undo, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

#[track_caller]
fn is_unknown(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Unknown { contract: None, .. }), "{outcome:?}");
}

#[track_caller]
fn is_breach(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unknown { contract: Some(note), .. } => note,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_not_sent(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotSent { error } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn comes_to(bytes: impl Into<Vec<u8>>) -> Outcome {
    Sender::to(answering(bytes).await).exchange(action()).await
}

#[tokio::test]
async fn garbage_is_unknown() {
    for bytes in [&b"\x00\xff\x13garbage\r\n\r\n"[..], b"HTTP/9.9 200 OK\r\n\r\n", b"\r\n\r\n", b""]
    {
        is_unknown(&comes_to(bytes).await);
    }
}

#[tokio::test]
async fn half_an_answer_is_unknown_whatever_its_status() {
    for status in ["200 OK", "409 Conflict", "503 Busy"] {
        let whole = json(status, "{\"error\":\"cut\"}");
        for cut in [1, 12, 40, whole.len() - 1] {
            is_unknown(&comes_to(&whole.as_bytes()[..cut]).await);
        }
    }
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n";
    is_unknown(&comes_to(chunked).await);
}

#[tokio::test]
async fn a_chunked_answer_is_put_together() {
    let parts =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
    let expected = Outcome::Completed { result: Some("{\"a\":1}".into()), undone: None };
    assert_eq!(comes_to(parts).await, expected);
}

#[tokio::test]
async fn a_connection_that_is_hung_up_after_the_request_is_unknown() {
    let address = server(|_, mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    is_unknown(&sender.exchange(action()).await);
}

#[tokio::test]
async fn an_answer_of_five_mebibytes_is_a_breach() {
    let large = format!("\"{}\"", "x".repeat(5 * 1024 * 1024));
    let outcome = comes_to(json("200 OK", &large)).await;
    let note = is_breach(&outcome);
    assert!(note.contains("larger than") && note.contains("\"xxx") && note.len() < 600, "{note}");

    let chunk = "x".repeat(64 * 1024);
    let chunks = format!("{:x}\r\n{chunk}\r\n", chunk.len()).repeat(17);
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    is_breach(&comes_to(endless).await);

    let fits = format!("\"{}\"", "x".repeat(ANSWER_BYTES_MAX - 2));
    let outcome = comes_to(json("200 OK", &fits)).await;
    assert!(matches!(outcome, Outcome::Completed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn headers_without_end_are_unknown() {
    let many = "x-filler: 1\r\n".repeat(10_000);
    is_unknown(&comes_to(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await);
    let long = "x".repeat(1024 * 1024);
    is_unknown(&comes_to(format!("HTTP/1.1 200 OK\r\nx-filler: {long}\r\n\r\n")).await);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (arrived, mut requests) = mpsc::unbounded_channel();
    let address = server(move |_, mut stream| {
        let arrived = arrived.clone();
        async move {
            while let Some((head, _)) = request(&mut stream).await {
                let _ = arrived.send(head);
                let answer =
                    "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    is_breach(&sender.exchange(action()).await);
    assert!(requests.recv().await.unwrap().starts_with("POST /Act HTTP/1.1"));
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn slow_headers_time_out_and_still_count_when_they_are_whole() {
    let go_on = Arc::new(Notify::new());
    let finish = Arc::clone(&go_on);
    let address = server(move |_, mut stream| {
        let finish = Arc::clone(&finish);
        async move {
            request(&mut stream).await;
            let answer = json("200 OK", "{\"n\":1}");
            let (first, rest) = answer.split_at(20);
            let _ = stream.write_all(first.as_bytes()).await;
            finish.notified().await;
            let _ = stream.write_all(rest.as_bytes()).await;
        }
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    let mut outgoing = action();
    outgoing.patience.timeout = Duration::from_millis(1);
    sender.send(outgoing);
    within(async {
        use amends_transport::Transport as _;
        while sender.transport.kept_open() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    go_on.notify_one();
    let expected = Outcome::Completed { result: Some("{\"n\":1}".into()), undone: None };
    assert_eq!(sender.ended().await, (1, expected));
}

#[tokio::test]
async fn a_peer_that_never_answers_ends_as_unknown() {
    let address =
        server(|_, mut stream| async move { while request(&mut stream).await.is_some() {} }).await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    let mut outgoing = action();
    outgoing.patience.timeout = Duration::from_millis(1);
    outgoing.patience.keep_open_for = Duration::from_millis(5);
    is_unknown(&sender.exchange(outgoing).await);
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    let why = is_not_sent(&sender.exchange(action()).await);
    assert!(why.starts_with(&format!("http://{address}/")), "{why}");
    assert!(why.ends_with(": connection refused"), "{why}");
    let mut sender = Sender::to(HttpService::at("http://no-such-host.invalid"));
    let why = is_not_sent(&sender.exchange(action()).await);
    assert!(why.starts_with("http://no-such-host.invalid/"), "{why}");
    for noise in ["client error", "os error"] {
        assert!(!why.contains(noise), "{why}");
    }
    let mut unbound = action();
    unbound.service = "T".into();
    let why = is_not_sent(&sender.exchange(unbound).await);
    assert!(why.contains("T is bound to no address"), "{why}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_or_hangs_is_not_sent() {
    let garbage = server(|_, mut stream| async move {
        let _ = stream.write_all(b"this is no handshake").await;
        let _ = stream.shutdown().await;
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("https://{garbage}")));
    is_not_sent(&sender.exchange(action()).await);

    let silent = server(|_, stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    let options =
        Options { connect_timeout: Duration::from_millis(20), ..Options::new(Handle::current()) };
    let mut sender = Sender::with(options, HttpService::at(format!("https://{silent}")));
    let why = is_not_sent(&sender.exchange(action()).await);
    assert!(why.contains("no connection within"), "{why}");
}

/// The peer closes its side of a kept connection, without a word. What is sent next must go over
/// another connection, and must not be called unknown.
#[tokio::test]
async fn a_kept_connection_that_the_peer_has_closed_is_not_used() {
    let (closed, mut was_closed) = mpsc::unbounded_channel();
    let address = server(move |_, mut stream| {
        let closed = closed.clone();
        async move {
            if request(&mut stream).await.is_some() {
                let _ = stream.write_all(json("200 OK", "{}").as_bytes()).await;
                let _ = stream.shutdown().await;
                drop(stream);
                let _ = closed.send(());
            }
        }
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    for _ in 0..50 {
        let outcome = sender.exchange(action()).await;
        assert!(matches!(outcome, Outcome::Completed { .. }), "{outcome:?}");
        within(was_closed.recv()).await;
        // The client's own connection task sees the end of the stream in its next turns.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn connections_are_kept_between_exchanges() {
    let (opened, mut connections) = mpsc::unbounded_channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        async move {
            while request(&mut stream).await.is_some() {
                let _ = stream.write_all(json("200 OK", "{}").as_bytes()).await;
            }
        }
    })
    .await;
    let mut sender = Sender::to(HttpService::at(format!("http://{address}")));
    for _ in 0..20 {
        sender.exchange(action()).await;
    }
    assert_eq!(connections.recv().await, Some(0));
    assert!(connections.try_recv().is_err(), "a second connection was opened");
}

#[tokio::test]
async fn what_a_peer_echoes_of_our_secrets_is_hidden() {
    let address = server(|_, mut stream| async move {
        if let Some((head, _)) = request(&mut stream).await {
            let echo: String = ["authorization", "x-key", "amends-reply-to"]
                .iter()
                .filter_map(|name| peers::header(&head, name))
                .chain(["token=TOKEN-OF-IT"])
                .collect::<Vec<_>>()
                .join(" | ");
            let _ = stream
                .write_all(json("400 Bad Request", &format!("{{\"error\":\"{echo}\"}}")).as_bytes())
                .await;
        }
    })
    .await;
    let mut service = HttpService::at(format!("http://{address}")).bearer("hunter2-hunter2");
    service.headers.push(("x-key".to_owned(), "correct-horse".to_owned()));
    let mut sender = Sender::to(service);
    let mut outgoing = action();
    outgoing.reply_to = Some("http://us/v1/replies/TOKEN-OF-IT".to_owned());
    let outcome = sender.exchange(outgoing).await;
    let note = is_breach(&outcome);
    assert!(note.contains("Bearer [secret] | [secret] | [secret] | token=[secret]"), "{note}");
    let shown = format!("{outcome:?}");
    for secret in ["hunter2", "correct-horse", "TOKEN"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn the_service_says_what_not_found_and_a_refusal_look_like() {
    let not_found = json("404 Not Found", "{}");
    let mut service = answering(not_found.as_str()).await;
    let unproven = Sender::to(service.clone()).exchange(undo()).await;
    assert_eq!(unproven, Outcome::Gone { proven: false });
    service.not_found_is_gone = true;
    assert_eq!(Sender::to(service).exchange(undo()).await, Outcome::Gone { proven: true });

    let mut service = answering(json("200 OK", "{\"status\":\"DECLINED\"}")).await;
    let declined = |body: &[u8]| Some(String::from_utf8_lossy(body).contains("DECLINED"));
    service.refused_when = Some(Arc::new(declined));
    let outcome = Sender::to(service).exchange(action()).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}
