//! The HTTP transport passes the suite of transports, against a hyper server on loopback.

use std::sync::Arc;

use amends_transport::conformance::{Capabilities, Participant, SERVICE, Said, Seen, Subject};
use amends_transport::{Transport, conformance_tests};
use amends_transport_http::{HttpService, Options};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

struct OverHttp;

impl Subject for OverHttp {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: true,
            tells_not_sent: true,
            sees_crashes: true,
            carries_retry_after: true,
        }
    }

    fn start(
        &self,
        participant: Participant,
        kept_open_max: usize,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(serve(listener, participant));
            over(url, kept_open_max)
        })
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async {
            // A port that was just free, and that nobody listens on.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            over(format!("http://{address}"), 1)
        })
    }
}

fn over(url: String, kept_open_max: usize) -> Arc<dyn Transport> {
    let options = Options { kept_open_max, ..Options::new(Handle::current()) };
    let transport = options.build().unwrap();
    transport.bind(SERVICE, HttpService::at(url)).unwrap();
    Arc::new(transport)
}

async fn serve(listener: TcpListener, participant: Participant) {
    while let Ok((stream, _)) = listener.accept().await {
        let participant = Arc::clone(&participant);
        let service = service_fn(move |request| answer(request, Arc::clone(&participant)));
        // A broken connection is what some cases are about.
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    participant: Participant,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let text = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let seen = Seen {
        body: body.collect().await.unwrap().to_bytes(),
        attempt: text("amends-attempt").unwrap().parse().unwrap(),
        deadline: text("amends-deadline").unwrap(),
        reply_to: text("amends-reply-to"),
        traceparent: text("traceparent"),
    };
    let error = |code, message| format!(r#"{{"code":"{code}","message":"{message}"}}"#);
    let (status, body, wait) = match participant(seen).await {
        Said::Completed(result) => (200, result.unwrap_or_default(), None),
        Said::Undone(undone) => (200, format!(r#"{{"undone":{undone}}}"#).into(), None),
        Said::Accepted => (202, Bytes::new(), None),
        Said::Refused { code, message } => {
            (409, format!(r#"{{"error":{}}}"#, error(code, message)).into(), None)
        }
        Said::Transient { code, message, retry_after } => {
            let error = error(code, message);
            (503, format!(r#"{{"error":{error},"retryable":true}}"#).into(), retry_after)
        }
        Said::Crash => return Err(std::io::Error::other("the suite asked for it")),
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(wait) = wait {
        response = response.header(RETRY_AFTER, wait.as_secs());
    }
    Ok(response.body(Full::new(body)).unwrap())
}

conformance_tests!(OverHttp);
