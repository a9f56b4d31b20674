//! The HTTP client: pooled connections, TLS, and the line between sent and not sent.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client as Pooled};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

/// How long an unused connection is kept: less than the 5 s after which common servers hang up,
/// since a command that crosses their goodbye on the way has an unknown outcome.
const IDLE_SECS_MAX: u64 = 4;

/// How many unused connections are kept for each host: a service's window of sendings, twice.
const IDLE_CONNECTIONS_MAX: usize = 128;

/// The most header bytes of an answer; participants send a few hundred.
const ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most headers of an answer.
const ANSWER_HEADERS_MAX: usize = 100;

pub(crate) type Client = Pooled<Connector, Full<Bytes>>;
pub(crate) type Connector = InTime<HttpsConnector<HttpConnector>>;

/// A client that trusts the machine's certificates and these.
pub(crate) fn client(
    connect_timeout: Duration,
    extra_roots: Vec<CertificateDer<'static>>,
) -> Result<Client, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates can still send over plain HTTP; over TLS every handshake
    // then fails and says why.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for root in extra_roots {
        roots.add(root)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);

    Ok(Pooled::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(IDLE_SECS_MAX))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http1_max_buf_size(ANSWER_HEAD_BYTES_MAX)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .build(InTime { inner: https, limit: connect_timeout }))
}

/// Did this error strike before a byte of the request was written?
///
/// Two cases are certain: no connection came about (name, route, refusal, TLS), and hyper handed
/// the request back unstarted, which it calls canceled, because the connection had closed. In
/// the second case it has already tried the other connections it had.
pub(crate) fn nothing_left(error: &legacy::Error) -> bool {
    let unstarted = || {
        causes(error).any(|cause| {
            cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
        })
    };
    error.is_connect() || unstarted()
}

/// An error with its causes, in words for people: without the layers of the client that only say
/// that the next one failed, and without the system's numbers.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let part = words(cause);
        if cause.source().is_some() && is_wrapper(cause, &part) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
}

fn is_wrapper(cause: &(dyn Error + 'static), part: &str) -> bool {
    cause.is::<legacy::Error>() || part == "tcp connect error"
}

fn words(cause: &(dyn Error + 'static)) -> String {
    let text = cause.to_string();
    match cause.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        Some(error) => match error.raw_os_error() {
            Some(number) => text.trim_end_matches(&format!(" (os error {number})")).to_owned(),
            None => text,
        },
        None => text,
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// A connector that is given a limited time for all it does, the TLS handshake included.
#[derive(Clone)]
pub(crate) struct InTime<C> {
    inner: C,
    limit: Duration,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(to), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(TooSlow(limit).into()),
            }
        })
    }
}

#[derive(Debug)]
struct TooSlow(Duration);

impl Error for TooSlow {}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {:?}", self.0)
    }
}
