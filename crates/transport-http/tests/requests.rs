//! What arrives: path, headers, signature, body; over plain HTTP and over TLS.

mod peers;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use amends_transport::Outgoing;
use amends_transport_http::{HttpService, Options};
use amends_wire::Outcome;
use amends_wire::signature::{Secret, Signed};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use peers::{Sender, action, header, json, request, server};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A server that completes everything and shows what arrived.
async fn recorder() -> (HttpService, mpsc::UnboundedReceiver<(String, Bytes)>) {
    let (arrived, requests) = mpsc::unbounded_channel();
    let address = server(move |_, mut stream| {
        let arrived = arrived.clone();
        async move {
            while let Some(request) = request(&mut stream).await {
                let _ = arrived.send(request);
                let _ = stream.write_all(json("200 OK", "{}").as_bytes()).await;
            }
        }
    })
    .await;
    (HttpService::at(format!("http://{address}/api/")), requests)
}

#[tokio::test]
async fn a_request_carries_the_body_and_every_fact_of_the_sending() {
    let (mut service, mut requests) = recorder().await;
    service.commands.insert("Act".to_owned(), "/acts".to_owned());
    service.headers.push(("X-Tenant".to_owned(), "t-1".to_owned()));
    let mut sender = Sender::to(service.bearer("hunter2"));
    let mut outgoing = action();
    outgoing.ticket.attempt = 3;
    outgoing.reply_to = Some("http://us/v1/replies/TOKEN?a=%20".to_owned());
    outgoing.causation_id = Some("x/7".to_owned());
    outgoing.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    sender.exchange(outgoing.clone()).await;

    let (head, body) = requests.recv().await.unwrap();
    assert_eq!(body, outgoing.body);
    assert!(head.starts_with("POST /api/acts HTTP/1.1\r\n"), "{head}");
    let id = "00000000-0000-0000-0000-000000000001";
    for (name, value) in [
        ("content-type", "application/json"),
        ("idempotency-key", &*format!("{id}/s.2/action")),
        ("amends-attempt", "3"),
        ("amends-deadline", "2023-11-14T22:13:20.000Z"),
        ("amends-reply-to", "http://us/v1/replies/TOKEN?a=%20"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("ce-specversion", "1.0"),
        ("ce-id", &*format!("{id}/s.2/action:3")),
        ("ce-source", "/sagas/T"),
        ("ce-type", "S.Act"),
        ("ce-correlationid", id),
        ("ce-causationid", "x/7"),
        ("ce-expirytime", "2023-11-14T22:13:20.000Z"),
        ("authorization", "Bearer hunter2"),
        ("x-tenant", "t-1"),
    ] {
        assert_eq!(header(&head, name), Some(value), "{name}");
    }
    assert_eq!(header(&head, "webhook-signature"), None, "there is no secret to sign with");
}

#[tokio::test]
async fn a_request_is_signed_with_every_secret() {
    let (mut service, mut requests) = recorder().await;
    let (old, new) = (Secret::new("the old secret"), Secret::new("whsec_dGhlIG5ldyBzZWNyZXQ="));
    let (old, new) = (old.unwrap(), new.unwrap());
    service.secrets = vec![old.clone(), new.clone()];
    Sender::to(service).exchange(action()).await;

    let (head, body) = requests.recv().await.unwrap();
    let signed = Signed {
        id: header(&head, "webhook-id"),
        timestamp: header(&head, "webhook-timestamp"),
        signature: header(&head, "webhook-signature"),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for secret in [old, new] {
        assert_eq!(signed.verify(&[secret], &body, now), Ok(()));
    }
    assert!(!signed.id.unwrap().contains('.'), "a full stop parts the signed text");
}

#[tokio::test]
async fn a_participant_is_tried_with_a_head_that_no_engine_sends() {
    let (mut service, mut requests) = recorder().await;
    service.secrets = vec![Secret::new("hunter2").unwrap()];
    let transport = Options::new(Handle::current()).build().unwrap();
    transport.bind("S", service).unwrap();
    let asked = Outgoing { service: "S".into(), ..action() };
    let unsigned = transport.exchange_altered(asked.clone(), |head| {
        head.headers.remove("webhook-signature");
    });
    assert!(matches!(unsigned.await.0, Outcome::Completed { .. }));
    let (head, body) = requests.recv().await.unwrap();
    assert_eq!(body, asked.body);
    assert!(!head.contains("webhook-signature") && head.contains("webhook-id"), "{head}");
}

#[tokio::test]
async fn a_service_that_is_bound_anew_gets_the_next_command() {
    let (first, mut at_first) = recorder().await;
    let (second, mut at_second) = recorder().await;
    let mut sender = Sender::to(first);
    sender.exchange(action()).await;
    sender.transport.bind("S", second).unwrap();
    sender.exchange(action()).await;
    assert!(at_first.try_recv().is_ok() && at_first.try_recv().is_err());
    assert!(at_second.try_recv().is_ok());
    sender.transport.unbind("S");
    let outcome = sender.exchange(action()).await;
    assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn over_tls_the_certificate_counts_and_http_2_is_taken_where_offered() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = cert.der().clone();
    for (offered, version) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![root.clone()], key.into())
            .unwrap();
        tls.alpn_protocols = vec![offered.to_vec()];
        let url = tls_server(TlsAcceptor::from(Arc::new(tls))).await;

        let options =
            Options { extra_roots: vec![root.clone()], ..Options::new(Handle::current()) };
        let outcome = Sender::with(options, HttpService::at(&url)).exchange(action()).await;
        let result = Some(Bytes::from(format!("\"{version}\"")));
        assert_eq!(outcome, Outcome::Completed { result, undone: None });

        // Whoever does not trust the certificate has sent nothing.
        let outcome = Sender::to(HttpService::at(&url)).exchange(action()).await;
        assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    }
}

/// Answers with the version of HTTP that was spoken.
async fn tls_server(acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service =
                hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
                    let version = format!("\"{:?}\"", request.version());
                    request.into_body().collect().await?;
                    Ok::<_, hyper::Error>(http::Response::new(Full::<Bytes>::from(version)))
                });
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                if http2 {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(io, service).await;
                } else {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(io, service).await;
                }
            });
        }
    });
    format!("https://localhost:{port}")
}
