//! The server as a component, over real connections.

use std::net::SocketAddr;
use std::sync::Arc;

use super::bench::{PATIENCE, TOKENS, engine};
use crate::{Error, Options, Server, Tls, Tokens};
use amends_engine::Engine;
use amends_store::memory::Disk;
use amends_wire::TokenKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

async fn an_engine() -> Engine {
    engine(&Disk::new(), &TokenKey::new(&[7; 32]).unwrap()).await
}

fn anywhere() -> Options {
    Options { listen: "127.0.0.1:0".parse().unwrap(), ..Options::default() }
}

/// Sends a request and reads to the end of the connection.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("an answer").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_listens_answers_and_stops() {
    let engine = an_engine().await;
    let server = Server::bind(anywhere(), engine.handle()).await.unwrap();
    let address = server.local_addr();
    assert_ne!(address.port(), 0);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = talk(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("{\"status\":\"alive\"}"), "{answer}");

    // A stream and an idle connection do not hold up the end.
    let mut events = TcpStream::connect(address).await.unwrap();
    events.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut begun = [0; 15];
    events.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let _idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, running).await.expect("it stops").unwrap();
    let mut rest = String::new();
    events.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the stream is ended, not cut off: {rest}");
    assert!(TcpStream::connect(address).await.is_err());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_said_at_once() {
    let engine = an_engine().await;
    let first = Server::bind(anywhere(), engine.handle()).await.unwrap();
    let options = Options { listen: first.local_addr(), ..Options::default() };
    let error = Server::bind(options, engine.handle()).await.unwrap_err();
    assert!(matches!(error, Error::PortTaken { .. }));
    let port = first.local_addr().port().to_string();
    let text = error.to_string();
    assert!(text.contains(&port) && text.contains("another port"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_addresses_need_tokens_and_tls() {
    let engine = an_engine().await;
    let tokens = || Some(Tokens::parse(TOKENS).unwrap());
    for listen in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:0"] {
        let listen: SocketAddr = listen.parse().unwrap();
        let bare = Options { listen, insecure: true, ..Options::default() };
        let error = Server::bind(bare, engine.handle()).await.unwrap_err();
        assert!(matches!(error, Error::NeedsTokens { .. }), "{listen}: {error}");
        let clear = Options { listen, tokens: tokens(), ..Options::default() };
        let error = Server::bind(clear, engine.handle()).await.unwrap_err();
        assert!(matches!(error, Error::NeedsTls { .. }), "{listen}: {error}");
    }
    let listen = "0.0.0.0:0".parse().unwrap();
    let insecure = Options { listen, tokens: tokens(), insecure: true, ..Options::default() };
    assert!(Server::bind(insecure, engine.handle()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_where_there_is_a_certificate() {
    let engine = an_engine().await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let tls = Tls::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    assert!(Tls::from_pem(b"", key.as_bytes()).is_err());
    assert!(Tls::from_pem(made.cert.pem().as_bytes(), b"").is_err());
    let options = Options { tls: Some(tls), ..anywhere() };
    let server = Server::bind(options, engine.handle()).await.unwrap();
    let address = server.local_addr();
    let running = tokio::spawn(server.run(std::future::pending()));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = talk(stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_reads_why() {
    let engine = an_engine().await;
    let server = Server::bind(anywhere(), engine.handle()).await.unwrap();
    let address = server.local_addr();
    let running = tokio::spawn(server.run(std::future::pending()));
    let body = "x".repeat(4 * 1024 * 1024);
    let said = format!("content-length: {}\r\n\r\n{body}", body.len());
    let chunked =
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (head, body, status) in [
        ("POST /v1/sagas/Order HTTP/1.1\r\ncontent-type: application/json", &said, "413"),
        ("POST /v1/sagas/Order HTTP/1.1\r\ncontent-type: application/json", &chunked, "413"),
        ("POST /v1/sagas/Order HTTP/1.1\r\ncontent-type: text/plain", &said, "415"),
        ("POST /nowhere HTTP/1.1", &said, "404"),
    ] {
        let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n{body}");
        let answer = talk(TcpStream::connect(address).await.unwrap(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
    }
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_are_answered_and_end_their_connection_only() {
    let engine = an_engine().await;
    let server = Server::bind(anywhere(), engine.handle()).await.unwrap();
    let address = server.local_addr();
    let running = tokio::spawn(server.run(std::future::pending()));
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(100));
    for (request, status) in [("nonsense\r\n\r\n", "400"), (&*long, "431"), (&*many, "431")] {
        let answer = talk(TcpStream::connect(address).await.unwrap(), request).await;
        let shown = &request[..20.min(request.len())];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {answer}");
    }
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = talk(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    running.abort();
}
